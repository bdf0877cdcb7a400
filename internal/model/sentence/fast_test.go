package sentence

import (
	"context"
	"math"
	"slices"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// TestKernelsChangeNothing: the steps are those of the layers at every level, and so is what beam search makes of them.
func TestKernelsChangeNothing(t *testing.T) {
	c := tiny
	c.Dim, c.Heads, c.Length = 32, 2, 30
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer e.Close()
	if err := e.Do(context.Background(), func(a *tensor.Arena) error {
		p := tensor.Random(5)
		m := New(a, p, c)
		words := []int64{1, 2, 6, 3, 4}
		batch := c.Batch(a, []*Input{input(1)})
		want := m.Follow(a, batch, words, false)
		all := func(string) bool { return true }
		drafts := m.Write(a, input(1), 4, all)
		for level := kernels.Plain; level <= kernels.Best(); level++ {
			m.Hasten(a, p, level)
			for i, row := range m.Follow(a, batch, words, true) {
				for j, got := range row {
					if math.Abs(float64(got-want[i][j])) > 1e-5 || len(row) != len(want[i]) {
						t.Fatalf("%s, word %d: logit %d is %v, want %v", level, i, j, got, want[i][j])
					}
				}
			}
			if got := m.Write(a, input(1), 4, all); !slices.Equal(got, drafts) {
				t.Errorf("%s: drafts %q, want %q", level, got, drafts)
			}
			m.Free()
		}
		if len(drafts) == 0 {
			t.Error("there are no drafts to compare")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
