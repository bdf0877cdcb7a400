package fusion

import (
	"math"
	"testing"

	"consilium/internal/tensor"
)

// TestCheckpointingKeepsTheGradients compares every gradient of the net with and without checkpoints. The decoder's
// parameters are read four times, so that the order of the sums differs.
func TestCheckpointingKeepsTheGradients(t *testing.T) {
	with(t, true, func(a *tensor.Arena, m *Model, p *tensor.Params) {
		var params []tensor.T
		for _, name := range p.Names() {
			a.RequireGrad(p.Tensor(name))
			params = append(params, p.Tensor(name))
		}
		in := Batch{Question: random(a, 1, 5, 3, 2), Image: random(a, 2, 7, 4, 4), Audio: random(a, 3, 3, 2, 1)}
		in.Text = in.Question
		gradients := func() [][]float32 {
			out := m.Forward(a, in)
			loss := a.Mean(a.CrossEntropy(out.Logits, a.FromInt64([]int64{0, 2}, 2)), false)
			for _, logits := range out.Alone {
				loss = a.Add(loss, a.Mean(a.Square(logits), false))
			}
			loss = a.Add(loss, a.Sum(a.Square(out.Attention), false))
			var values [][]float32
			for _, g := range a.Gradients(loss, params) {
				if g.Defined() {
					values = append(values, a.Float32s(g))
				} else {
					values = append(values, nil)
				}
			}
			return values
		}
		want := gradients()
		a.SaveMemory(func() {
			for i, got := range gradients() {
				if len(got) != len(want[i]) {
					t.Errorf("%s has %d gradients, want %d", p.Names()[i], len(got), len(want[i]))
					continue
				}
				for j, g := range got {
					if math.Abs(float64(g-want[i][j])) > 1e-5*math.Max(1, math.Abs(float64(want[i][j]))) {
						t.Errorf("%s %d is %v, want %v", p.Names()[i], j, g, want[i][j])
					}
				}
			}
		})
	})
}
