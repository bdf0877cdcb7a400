package layer

import (
	"math"
	"slices"
	"testing"

	"consilium/internal/tensor"
)

func TestLoRA(t *testing.T) {
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer e.Close()
	err := e.Do(t.Context(), func(a *tensor.Arena) error {
		base := tensor.Random(1)
		NewMLP(a, base, 4, 6)
		before := base.Values(a)
		l := NewLoRA(a, base, []string{"up.weight", "down.weight"}, 2, 2, 6)
		if names := l.Own().Order(); !slices.Equal(names, []string{"up.weight.lora_a", "up.weight.lora_b", "down.weight.lora_a", "down.weight.lora_b"}) {
			t.Errorf("adapters %v", names)
		}
		x := a.FromFloat32([]float32{1, -2, 3, 0.5, 0, 1, 1, -1}, 2, 4)
		run := func(p *tensor.Params) tensor.T { return NewMLP(a, p, 4, 6).Forward(a, x) }
		if plain, adapted := a.Float32s(run(base)), a.Float32s(run(l.Merged(a))); !slices.Equal(plain, adapted) {
			t.Error("a fresh adapter changes the net")
		}

		// A step against the gradient moves the adapters, lowers the loss and leaves the base alone.
		loss := func() tensor.T { return a.Mean(a.Square(a.AddScalar(run(l.Merged(a)), -1)), false) }
		var own []tensor.T
		for _, name := range l.Own().Order() {
			a.RequireGrad(l.Own().Tensor(name))
			own = append(own, l.Own().Tensor(name))
		}
		first := a.Item(a.Detach(loss()))
		for range 20 {
			grads := a.Gradients(loss(), own)
			a.NoGrad(func() {
				for i, g := range grads {
					a.Copy(own[i], a.Sub(own[i], a.MulScalar(g, 0.05)))
				}
			})
		}
		if last := a.Item(a.Detach(loss())); !(last < first/2) {
			t.Errorf("the loss fell from %v to %v only", first, last)
		}
		for name, v := range base.Values(a) {
			if !slices.Equal(v.Values, before[name].Values) {
				t.Errorf("%s moved", name)
			}
		}

		// Merged is W + alpha/rank B A, and what is written is what ran.
		merged := l.Merged(a).Values(a)
		w, b := before["up.weight"].Values, a.Float32s(l.Own().Tensor("up.weight.lora_b"))
		down := a.Float32s(l.Own().Tensor("up.weight.lora_a"))
		for i := range 6 {
			for j := range 4 {
				want := w[i*4+j] + 3*(b[i*2]*down[j]+b[i*2+1]*down[4+j])
				if got := merged["up.weight"].Values[i*4+j]; math.Abs(float64(got-want)) > 1e-6 {
					t.Errorf("merged %d %d is %v, want %v", i, j, got, want)
				}
			}
		}
		if plain, adapted := a.Float32s(run(tensor.FromRaw(merged))), a.Float32s(run(l.Merged(a))); !slices.Equal(plain, adapted) {
			t.Error("the merged net answers differently")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
