package fusion

import (
	"math"
	"testing"

	"consilium/internal/tensor"
)

// TestRules has a modality that knows nothing, one with half the entropy of four answers and one that is absent: the
// weights by hand.
func TestRules(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		entropies, present := a.FromFloat32([]float32{1, 0.5, 1}, 1, 3), a.FromFloat32([]float32{1, 1, 0}, 1, 3)
		slope := math.Log(1 + math.Exp(5)) // as it starts; the bias starts at 0
		for rule, first := range map[Rule]float64{
			Learned: 1 / (1 + math.Exp(slope/2)), EntropyShare: 2.0 / 3, InverseEntropy: 1.0 / 3, SoftmaxEntropy: 1.0 / 3, Uniform: 0.5,
		} {
			got := a.Float32s(m.gate.weigh(a, rule, entropies, present, math.Log(4)))
			close32(t, "weights by "+rule.String(), got, []float32{float32(first), float32(1 - first), 0})
		}
	})
}

// TestCertainModalities has heads whose entropy is 0, of which a share and an inverse would not be numbers.
func TestCertainModalities(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		for rule := range Rules {
			got := a.Float32s(m.gate.weigh(a, rule, a.Zeros(1, 3), a.Ones(1, 3), 1))
			close32(t, "weights by "+rule.String(), got, []float32{1.0 / 3, 1.0 / 3, 1.0 / 3})
		}
	})
}

// TestTheNetFollowsItsRule runs one net with either rule that it may be run with.
func TestTheNetFollowsItsRule(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, p *tensor.Params) {
		in := Batch{Question: random(a, 1, 5, 3), Image: random(a, 2, 7, 4), Audio: random(a, 3, 3, 2)}
		in.Text = in.Question
		logits := map[Rule][]float32{}
		for _, rule := range []Rule{Learned, EntropyShare} {
			c := tiny
			c.Gate = rule
			m := New(a, p, c)
			out := m.Forward(a, in)
			close32(t, rule.String(), a.Float32s(out.Weights), a.Float32s(m.Weigh(a, in, out, rule)))
			logits[rule] = a.Float32s(out.Logits)
			if rule == EntropyShare {
				h := a.Float32s(out.Entropies)
				sum := h[0] + h[1] + h[2]
				close32(t, "shares", a.Float32s(out.Weights), []float32{h[0] / sum, h[1] / sum, h[2] / sum})
			}
		}
		if logits[Learned][0] == logits[EntropyShare][0] {
			t.Error("the rule does not change the answer")
		}
	})
}

func TestRuleNames(t *testing.T) {
	for name, want := range map[string]Rule{"learned": Learned, "entropy-share": EntropyShare} {
		var r Rule
		if err := r.UnmarshalText([]byte(name)); err != nil || r != want || r.String() != name {
			t.Errorf("%s was read as %v, %v", name, r, err)
		}
	}
	for _, name := range []string{"", "uniform", "Learned"} {
		var r Rule
		if err := r.UnmarshalText([]byte(name)); err == nil {
			t.Errorf("%q was read as %v", name, r)
		}
	}
}
