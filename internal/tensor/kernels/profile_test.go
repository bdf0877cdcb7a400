package kernels

import (
	"testing"

	"consilium/internal/profile"
)

func TestProfileCountsProducts(t *testing.T) {
	r := profile.Start()
	defer r.Stop()
	team := NewTeam(1, Plain)
	defer team.Free()
	l := NewLinear(make([]float32, 32*96), make([]float32, 96), 32, 96)
	defer l.Free()
	l.Name = "0.qkv"
	text := Text{Start: []int32{0, 3, 5}, Dim: 32, Heads: 1}
	qkv := make([]float32, 5*96)
	team.Multiply(l, make([]float32, 5*32), 5, Keep, nil, qkv)
	team.Attend(text, qkv, make([]float32, 5*32))
	got := map[string]float64{}
	for _, each := range r.Layers() {
		got[each.Kernel+" "+each.Name] = each.MultiplyAdds
	}
	if got["product 0.qkv"] != 5*32*96 || got["attend "] != 2*(3*3+2*2)*32 || len(got) != 2 {
		t.Errorf("recorded %v", got)
	}
}
