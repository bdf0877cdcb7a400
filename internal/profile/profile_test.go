package profile

import "testing"

func TestRecording(t *testing.T) {
	if Name(1, "lost"); On() || !Begin().IsZero() {
		t.Error("somebody records")
	}
	End(Begin(), "product", "nobody asked", 1)

	r := Start()
	Name(1, "up.weight")
	Name(2, "down.weight")
	Name(2, "")
	End(Begin(), "product", 1, 99)
	r.Reset()
	for range 3 {
		End(Begin(), "product", 1, 10)
	}
	End(Begin(), "product", "(4, 2)", 8)
	End(Begin(), "product", 2, 5)
	End(Begin(), "sum", nil, 0)
	r.Stop()
	End(Begin(), "product", 1, 10)
	if On() {
		t.Error("the recording goes on")
	}
	got := map[string]Layer{}
	for i, l := range r.Layers() {
		if i > 0 && l.Seconds > r.Layers()[i-1].Seconds {
			t.Errorf("layer %d costs more than the one before", i)
		}
		l.Seconds = 0
		got[l.Kernel+" "+l.Name] = l
	}
	for key, want := range map[string]Layer{
		"product up.weight": {Name: "up.weight", Kernel: "product", Calls: 3, MultiplyAdds: 30},
		"product (4, 2)":    {Name: "(4, 2)", Kernel: "product", Calls: 1, MultiplyAdds: 8},
		"product ":          {Kernel: "product", Calls: 1, MultiplyAdds: 5},
		"sum ":              {Kernel: "sum", Calls: 1},
	} {
		if got[key] != want {
			t.Errorf("%q: got %+v, want %+v", key, got[key], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d layers, want 4", len(got))
	}
}
