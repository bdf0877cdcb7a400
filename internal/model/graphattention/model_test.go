package graphattention

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"consilium/internal/tensor"
)

var small = Config{In: 5, Dim: 6, Heads: 2, Depth: 2, Relations: 3}

// sizes are the nodes of the golden's two graphs; the second is padded.
var sizes = []int64{4, 2}

// with runs fn on the golden's weights.
func with(t *testing.T, fn func(a *tensor.Arena, golden map[string]tensor.Raw, p *tensor.Params)) {
	t.Helper()
	golden, _, err := tensor.ReadSafetensors("testdata/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer e.Close()
	if err := e.Do(t.Context(), func(a *tensor.Arena) error {
		p := tensor.FromRaw(golden)
		defer p.Free(a)
		fn(a, golden, p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func load(a *tensor.Arena, r tensor.Raw) tensor.T { return a.FromFloat32(r.Values, r.Shape...) }

// The golden is made by testdata/make_golden.py, with PyTorch 2.1.2, edge by edge. Tolerance: 1e-5 absolute for values
// of about 1.
func TestMatchesPyTorch(t *testing.T) {
	with(t, func(a *tensor.Arena, golden map[string]tensor.Raw, p *tensor.Params) {
		out, weights := New(a, p, small).Forward(a, load(a, golden["nodes"]), load(a, golden["edges"]))
		if !slices.Equal(a.Shape(out), []int64{2, 4, 6}) || !slices.Equal(a.Shape(weights), []int64{2, 2, 4, 4}) {
			t.Fatalf("shapes %v and %v", a.Shape(out), a.Shape(weights))
		}
		for row, n := range sizes {
			own := a.Narrow(a.Select(out, 0, int64(row)), 0, 0, n)
			shares := a.Narrow(a.Narrow(a.Select(weights, 0, int64(row)), 1, 0, n), 2, 0, n)
			for name, got := range map[string]tensor.T{"out": own, "shares": shares} {
				want, values := golden[name+strconv.Itoa(row)].Values, a.Float32s(got)
				for i := range want {
					if math.Abs(float64(values[i]-want[i])) > 1e-5 {
						t.Errorf("%s of graph %d at %d: %g, want %g", name, row, i, values[i], want[i])
					}
				}
			}
		}
	})
}

// A node reads what leads to it over at most Depth edges, and nothing that it leads to.
func TestReach(t *testing.T) {
	with(t, func(a *tensor.Arena, _ map[string]tensor.Raw, p *tensor.Params) {
		m := New(a, p, small)
		const n = 4
		edges := make([]float32, 3*n*n)
		for i := range n - 1 {
			edges[(i+1)*n+i] = 1 // 0 leads to 1, 1 to 2, 2 to 3
		}
		run := func(first float32) []float32 {
			nodes := make([]float32, n*5)
			for i := range nodes {
				nodes[i] = float32(i%7) / 7
			}
			nodes[0] = first
			out, _ := m.Forward(a, a.FromFloat32(nodes, 1, n, 5), a.FromFloat32(edges, 1, 3, n, n))
			return a.Float32s(out)
		}
		before, after := run(0), run(1)
		for i, want := range []bool{true, true, true, false} {
			if moved := !slices.Equal(before[i*6:i*6+6], after[i*6:i*6+6]); moved != want {
				t.Errorf("node %d read node 0: %v, want %v", i, moved, want)
			}
		}
	})
}

// The gradients that training uses, against finite differences of the loss in the same arithmetic.
func TestGradients(t *testing.T) {
	with(t, func(a *tensor.Arena, golden map[string]tensor.Raw, p *tensor.Params) {
		m := New(a, p, small)
		loss := func() tensor.T {
			out, _ := m.Forward(a, load(a, golden["nodes"]), load(a, golden["edges"]))
			return a.Sum(a.Square(a.AddScalar(a.Narrow(out, 1, 0, 2), -0.7)), false)
		}
		var names []string
		var params []tensor.T
		for _, name := range p.Names() {
			names, params = append(names, name), append(params, p.Tensor(name))
			a.RequireGrad(p.Tensor(name))
		}
		grads := a.Gradients(loss(), params)
		a.NoGrad(func() {
			const step = 2e-3
			for i, name := range names {
				values, shape, got := a.Float32s(params[i]), a.Shape(params[i]), a.Float32s(grads[i])
				for _, at := range []int{0, len(values) / 2, len(values) - 1} {
					shifted := func(by float32) float64 {
						moved := slices.Clone(values)
						moved[at] += by
						a.Copy(params[i], a.FromFloat32(moved, shape...))
						return a.Item(loss())
					}
					want := (shifted(step) - shifted(-step)) / (2 * step)
					shifted(0)
					if math.Abs(float64(got[at])-want) > 2e-2+0.03*math.Abs(want) {
						t.Errorf("%s at %d: gradient %.5f, finite difference %.5f", name, at, got[at], want)
					}
				}
			}
		})
	})
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]Config{
		"no input":       {Dim: 6, Heads: 2, Depth: 1, Relations: 1},
		"no relation":    {In: 5, Dim: 6, Heads: 2, Depth: 1},
		"uneven heads":   {In: 5, Dim: 6, Heads: 4, Depth: 1, Relations: 1},
		"negative heads": {In: 5, Dim: 6, Heads: -2, Depth: 1, Relations: 1},
	} {
		if c.Check() == nil {
			t.Errorf("%s: %+v is taken", name, c)
		}
	}
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer e.Close()
	for name, shape := range map[string][]int64{"a row short": {1, 3, 2, 3}, "a relation too many": {1, 4, 3, 3}, "another batch": {2, 3, 3, 3}} {
		if err := e.Do(t.Context(), func(a *tensor.Arena) error {
			count := int64(1)
			for _, n := range shape {
				count *= n
			}
			New(a, tensor.Random(1), small).Forward(a, a.FromFloat32(make([]float32, 15), 1, 3, 5), a.FromFloat32(make([]float32, count), shape...))
			return nil
		}); err == nil {
			t.Errorf("%s: edges of shape %v are taken", name, shape)
		}
	}
}
