package fusion

import (
	"maps"
	"math"
	"slices"
	"testing"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
)

// TestExplainAgreesWithFuse compares the explanation's numbers with those of the result, and each distribution with 1.
func TestExplainAgreesWithFuse(t *testing.T) {
	s := open(t)
	r := s.goldenRequest()
	r.Image = nil
	result, err := analysis.FuseOne(t.Context(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Explain(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]float64{}
	for _, c := range result.Answers {
		known[c.Text] = c.Probability
	}
	for i, answer := range e.Answers {
		if math.Abs(e.Fused[i]-known[answer]) > 1e-5 {
			t.Errorf("%s has %v, and %v in the result", answer, e.Fused[i], known[answer])
		}
	}
	if len(e.Alone) != 2 || e.Alone[analysis.Image] != nil {
		t.Errorf("%d modalities are explained, want text and sound", len(e.Alone))
	}
	for _, m := range result.Modalities {
		entropy, sum := 0.0, 0.0
		for _, p := range e.Alone[m.Modality] {
			sum += p
			if p > 0 {
				entropy -= p * math.Log(p)
			}
		}
		entropy /= math.Log(float64(len(e.Answers)))
		if math.Abs(sum-1) > 1e-4 || math.Abs(entropy-m.Entropy) > 1e-3 || math.Abs(e.Weights[m.Modality]-m.Weight) > 1e-5 {
			t.Errorf("%s: sum %v, entropy %v, weight %v; the result has %+v", m.Modality, sum, entropy, e.Weights[m.Modality], m)
		}
	}
	if !maps.Equal(e.ByRule[net.Learned], e.Weights) || len(e.ByRule[net.Uniform]) != 2 || e.ByRule[net.Uniform][analysis.Text] != 0.5 {
		t.Errorf("weights by rule %v, of the gate %v", e.ByRule, e.Weights)
	}
	report := &analysis.FuseRequest{Task: analysis.Report, Text: r.Question, Audio: r.Audio}
	if e, err = s.Explain(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	if result, err = analysis.FuseOne(t.Context(), s, report); err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Findings {
		if i := slices.Index(e.Answers, f.Label); i < 0 || math.Abs(e.Fused[i]-f.Probability) > 1e-5 {
			t.Errorf("finding %+v is not in the explanation %+v", f, e)
		}
	}
}
