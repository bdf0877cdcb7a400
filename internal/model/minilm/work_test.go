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
