package minilm

import "testing"

func TestWork(t *testing.T) {
	// Counted by hand: 10,616,832 parameters of linear layers work on every token, and 4,608 products of attention for
	// every pair.
	for tokens, want := range map[int]float64{1: 2 * (10616832 + 4608), 64: 2 * 64 * (10616832 + 64*4608)} {
		if got := L6.Work(tokens); got != want {
			t.Errorf("%d tokens take %.0f operations, want %.0f", tokens, got, want)
		}
	}
}

func TestLayerWork(t *testing.T) {
	total := 0.0
	for _, name := range Linears {
		total += L6.LayerWork("3." + name)
	}
	if want := 10616832.0 / 6; total != want {
		t.Errorf("the layers of a block take %v multiplications a token, want %v", total, want)
	}
}
