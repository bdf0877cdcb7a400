package eval

import (
	"math"
	"testing"

	"consilium/internal/dataset"
)

// TestRadFigures counts three closed questions about two pictures and an open one by hand.
func TestRadFigures(t *testing.T) {
	test := blindSet{questions: []dataset.RadQuestion{
		{Image: "b", Answer: "yes", Closed: true}, {Image: "b", Answer: "no", Closed: true},
		{Image: "a", Answer: "yes", Closed: true}, {Image: "a", Answer: "left"},
	}}
	next := shuffledImages(test)
	if next["a"] != "b" || next["b"] != "a" {
		t.Errorf("other pictures %v", next)
	}
	answers := radAnswers{
		shown: []string{"yes", "no", "no", "left"}, blank: []string{"yes", "yes", "no", "left"},
		shuffled: []string{"no", "yes", "no", "left"}, none: []string{"yes", "no", "yes", "left"},
	}
	floor := []string{"no", "no", "no", "no"}
	want := map[string][2]float64{
		"closed-accuracy": {2. / 3, 1. / 3}, "open-accuracy": {1, 0}, "closed-blank-image": {1. / 3, 1. / 3},
		"closed-shuffled-image": {0, 1. / 3}, "closed-no-image": {1, 1. / 3},
		// Drawn twice, the picture a gains nothing in one question, and b one answer in two.
		"closed-gain-low": {0, 0}, "closed-gain-high": {0.5, 0},
	}
	figures := radFigures(test, answers, blindAnswers{floor, floor})
	for _, f := range figures {
		w, ok := want[f.Metric]
		if !ok || math.Abs(f.Value-w[0]) > 1e-9 || math.Abs(f.Floor-w[1]) > 1e-9 {
			t.Errorf("%s: %v over %v, want %v", f.Metric, f.Value, f.Floor, w)
		}
	}
	if len(figures) != len(want) {
		t.Errorf("%d figures, want %d", len(figures), len(want))
	}
}
