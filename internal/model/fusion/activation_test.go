package fusion

import (
	"math"
	"slices"
	"testing"

	"consilium/internal/tensor"
)

// TestGradientByTheLastReading compares the gradient of each finding's logit by the weights of the last reading with
// central differences. The weights w (H, S) are a softmax of logits, to which the memory's bias is added; if w has the
// gradient g, a bias on cell s has the gradient of w_s (g_s - sum over t of w_t g_t), summed over the heads.
func TestGradientByTheLastReading(t *testing.T) {
	once := tiny
	once.Depth = 1 // the bias acts on every reading, the gradient is by the last
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer e.Close()
	err := e.Do(t.Context(), func(a *tensor.Arena) error {
		m := New(a, tensor.Random(3), once)
		const cells, findings = 4, 2
		memory := random(a, 2, once.Dim, cells).Values
		queries, mask, _ := m.queries(a, Batch{Image: random(a, 4, once.ImageDim, cells)})
		logits := func(bias []float32) (tensor.T, tensor.T) {
			decoded, weights := m.decoder.forward(a, queries, mask, memory, a.FromFloat32(bias, 1, 1, 1, cells))
			return m.head(a, Batch{}, decoded), weights
		}
		var w, g []float32
		a.Recording(func() {
			a.RequireGrad(memory)
			out, weights := logits(make([]float32, cells))
			w, g = a.Float32s(a.Detach(weights)), a.Float32s(a.Gradients(a.Sum(out, false), []tensor.T{weights})[0])
		})
		for cell := range cells {
			at := func(d float32) []float32 {
				bias := make([]float32, cells)
				bias[cell] = d
				out, _ := logits(bias)
				return a.Float32s(out)
			}
			up, down := at(1e-2), at(-1e-2)
			for f := range findings {
				want := float64(up[f]-down[f]) / 2e-2
				got := 0.0
				for h := range int(once.Heads) {
					row := (h*findings + f) * cells
					mean := 0.0
					for s := range cells {
						mean += float64(w[row+s] * g[row+s])
					}
					got += float64(w[row+cell]) * (float64(g[row+cell]) - mean)
				}
				if math.Abs(got-want) > 1e-4+1e-2*math.Abs(want) {
					t.Errorf("finding %d, cell %d: the gradient says %v, central differences %v", f, cell, got, want)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestActivations(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		in := Batch{Text: random(a, 1, 5, 3, 2), Image: random(a, 2, 7, 4, 4), Audio: random(a, 3, 3, 6, 0)}
		plain := m.Forward(a, in)
		out, maps := m.Activations(a, in)
		close32(t, "logits", a.Float32s(a.Detach(out.Logits)), a.Float32s(plain.Logits))
		const findings, cells = 2, 4
		if shape := a.Shape(maps); !slices.Equal(shape, []int64{2, findings, cells}) {
			t.Fatalf("the maps have the shape %v", shape)
		}
		values := a.Float32s(maps)
		different := false
		for grid := range slices.Chunk(values, cells) {
			if most := slices.Max(grid); most != 1 && most != 0 || slices.Min(grid) < 0 {
				t.Errorf("a map is %v", grid)
			}
			different = different || !slices.Equal(grid, values[:cells])
		}
		if !different {
			t.Error("all maps are the same")
		}

		// Each finding's map is that of its own logit, each row's of its own image.
		var reading, own tensor.T
		a.Recording(func() {
			one := Batch{Image: Tokens{Values: a.Narrow(in.Image.Values, 0, 1, 1), Mask: a.Narrow(in.Image.Mask, 0, 1, 1)}}
			one.Text = Tokens{Values: a.Narrow(a.Narrow(in.Text.Values, 0, 1, 1), 1, 0, 2), Mask: a.Ones(1, 2)}
			alone := m.Forward(a, one)
			reading = alone.reading
			own = a.Gradients(a.Sum(a.Select(alone.Logits, 1, 1), false), []tensor.T{reading})[0]
		})
		speaks := a.Mean(a.Relu(a.Mul(a.Detach(reading), own)), false, 1)
		speaks = a.Narrow(a.Select(speaks, 1, 1), 1, 2, cells)
		want := a.Float32s(a.Div(speaks, a.Amax(speaks, true, 1)))
		close32(t, "map of the second finding of the second row", values[3*cells:], want)
	})
}
