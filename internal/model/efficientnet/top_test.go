package efficientnet

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"consilium/internal/tensor"
)

// cut returns what the trunk makes of some pictures, (B, 112, 14, 14), row by row.
func cut(t *testing.T, e *tensor.Engine, m *Model, pictures ...int) []float32 {
	t.Helper()
	var x, out []float32
	for _, i := range pictures {
		x = append(x, input(t, i)...)
	}
	do(t, e, func(a *tensor.Arena) error {
		out = a.Float32s(a.Contiguous(m.Trunk(a, a.FromFloat32(x, int64(len(pictures)), 3, Side, Side))))
		return nil
	})
	return out
}

func TestTopOfItsOwnWeightsIsTheModel(t *testing.T) {
	e, m := newModel(t)
	trunk := cut(t, e, m, 5, 12)
	do(t, e, func(a *tensor.Arena) error {
		raw := m.Top().Weights(a)
		top := LoadTop(a, raw)
		defer top.Free(a)
		p := tensor.FromRaw(raw)
		defer p.Free(a)
		x := a.FromFloat32(append(input(t, 5), input(t, 12)...), 2, 3, Side, Side)
		want, wantGrid := m.Forward(a, x)
		y := a.FromFloat32(trunk, 2, CutDim, CutGrid, CutGrid)
		for name, top := range map[string]*Top{"loaded": top, "for training": NewTop(a, p)} {
			got, grid := top.Forward(a, y)
			if d := distance(a.Float32s(got), a.Float32s(want)); !(d <= 1e-5) {
				t.Errorf("%s: features differ by %.2g", name, d)
			}
			if d := distance(a.Float32s(grid), a.Float32s(wantGrid)); !(d <= 1e-5) {
				t.Errorf("%s: grid differs by %.2g", name, d)
			}
		}
		if len(p.Names()) != 2*(5*3+1) {
			t.Errorf("%d parameters: %v", len(p.Names()), p.Names())
		}
		return nil
	})
}

// The gradients that training uses, along a random direction of each parameter, against finite differences of the
// loss in the same arithmetic. A single weight of a network this deep moves the loss by less than its rounding.
func TestGradientsOfTop(t *testing.T) {
	e, m := newModel(t)
	trunk := cut(t, e, m, 12)
	var raw map[string]tensor.Raw
	do(t, e, func(a *tensor.Arena) error { raw = m.Top().Weights(a); return nil })
	trainer := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer trainer.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	draw := func(n int, scale float64) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(rng.NormFloat64() * scale)
		}
		return values
	}
	do(t, trainer, func(a *tensor.Arena) error {
		p := tensor.FromRaw(raw)
		defer p.Free(a)
		top := NewTop(a, p)
		x, by := a.FromFloat32(trunk, 1, CutDim, CutGrid, CutGrid), a.FromFloat32(draw(Dim, 1), Dim)
		loss := func() tensor.T {
			features, _ := top.Forward(a, x)
			return a.Sum(a.Mul(features, by), false)
		}
		var params []tensor.T
		for _, name := range p.Names() {
			a.RequireGrad(p.Tensor(name))
			params = append(params, p.Tensor(name))
		}
		grads := a.Gradients(loss(), params)
		a.NoGrad(func() {
			for i, name := range p.Names() {
				values, shape, got := a.Float32s(params[i]), a.Shape(params[i]), a.Float32s(grads[i])
				var norm float64
				for _, v := range values {
					norm += float64(v) * float64(v)
				}
				direction := draw(len(values), math.Sqrt(norm/float64(len(values))))
				slope := 0.0
				for j, d := range direction {
					slope += float64(d) * float64(got[j])
				}
				const step = 2e-4 // of the weights' own size
				shifted := func(by float32) float64 {
					moved := slices.Clone(values)
					for j := range moved {
						moved[j] += by * direction[j]
					}
					a.Copy(params[i], a.FromFloat32(moved, shape...))
					return a.Item(loss())
				}
				want := (shifted(step) - shifted(-step)) / (2 * step)
				shifted(0)
				if math.Abs(slope-want) > 0.1+0.1*math.Abs(want) {
					t.Errorf("%s: gradient %.4f, finite difference %.4f", name, slope, want)
				}
			}
		})
		return nil
	})
}
