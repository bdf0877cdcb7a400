package eval

import (
	"math"
	"testing"

	"consilium/internal/analysis"
	fusion "consilium/services/fusion"
)

// TestRules has one sure modality and one that knows nothing: half a bit against one, by hand.
func TestRules(t *testing.T) {
	e := &fusion.Explanation{
		Answers: []string{"a", "b", "c", "d"},
		Alone: map[analysis.Modality][]float64{
			analysis.Text:  {0.25, 0.25, 0.25, 0.25},
			analysis.Image: {0, 0.5, 0, 0.5},
		},
		Weights: map[analysis.Modality]float64{analysis.Text: 0.1, analysis.Image: 0.9},
	}
	for name, want := range map[string]float64{ // of the text
		"gate": 0.1, "uniform": 0.5, "entropy-share": 2.0 / 3, "inverse-entropy": 1.0 / 3, "softmax-entropy": 1.0 / 3,
	} {
		found := false
		for _, r := range rules {
			if r.name != name {
				continue
			}
			found = true
			w := r.of(e)
			if math.Abs(w[analysis.Text]-want) > 1e-9 || math.Abs(w[analysis.Text]+w[analysis.Image]-1) > 1e-9 || len(w) != 2 {
				t.Errorf("%s: %v, want %v for the text", name, w, want)
			}
		}
		if !found {
			t.Errorf("there is no rule %s", name)
		}
	}
	p := mix(e, e.Weights)
	if math.Abs(p[0]-0.025) > 1e-9 || math.Abs(p[1]-0.475) > 1e-9 || best(e, p) != "b" {
		t.Errorf("mixed to %v, the best is %s", p, best(e, p))
	}
}
