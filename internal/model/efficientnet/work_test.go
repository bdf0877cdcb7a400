package efficientnet

import "testing"

func TestWork(t *testing.T) {
	// Counted from arXiv 1905.11946, table 1, without squeeze-and-excitation, by another program.
	if got, want := Work(), 2*383907552.0; got != want {
		t.Errorf("a picture takes %.0f operations, want %.0f", got, want)
	}
}
