package eval

import (
	"consilium/internal/analysis"
	"consilium/internal/dataset/triples"
	net "consilium/internal/model/fusion"
	"consilium/services/fusion"
)

// digitTally counts the answers to triples that are shown in one way.
type digitTally struct {
	n      int
	byRule [net.Rules]tally
	fused  tally
	oracle tally // what the first part that is whole answers alone
	alone  map[analysis.Modality]*tally
	digits map[int]int
	// The weights, by the rule in force, of parts that are corrupted and of parts that are whole.
	corrupted, whole mean
}

func newDigitTally() *digitTally {
	return &digitTally{alone: map[analysis.Modality]*tally{}, digits: map[int]int{}}
}

// count counts one triple, of which e explains the answer.
func (t *digitTally) count(x triples.Triple, e *fusion.Explanation) {
	want := triples.Words[x.Digit]
	t.n++
	t.digits[x.Digit]++
	for rule, weights := range e.ByRule {
		t.byRule[rule].count(best(e, mix(e, weights)) == want)
	}
	t.fused.count(best(e, e.Fused) == want)
	known := false
	for part, m := range analysis.Modalities {
		p := e.Alone[m]
		if p == nil {
			continue
		}
		right := best(e, p) == want
		if t.alone[m] == nil {
			t.alone[m] = &tally{}
		}
		t.alone[m].count(right)
		if x.Corrupted[part] {
			t.corrupted.add(e.Weights[m])
			continue
		}
		t.whole.add(e.Weights[m])
		if !known {
			known = true
			t.oracle.count(right)
		}
	}
}

// bestSingle is the accuracy of the modality that is right most often, chosen in hindsight.
func (t *digitTally) bestSingle() float64 {
	best := 0.0
	for _, a := range t.alone {
		best = max(best, a.share())
	}
	return best
}

// gains are how much more often the learned gate is right than the best modality and than uniform weights over the same heads;
// and the same for the fused answer, whose decoder reads all modalities together under the gate's weights.
func (t *digitTally) gains() []Figure {
	var figures []Figure
	for _, x := range []struct {
		suffix string
		tally  *tally
	}{{"", &t.byRule[net.Learned]}, {"-fused", &t.fused}} {
		figures = append(figures,
			Figure{Name: "digits", Metric: "gain-over-best-modality" + x.suffix, Value: x.tally.share() - t.bestSingle(), N: t.n},
			Figure{Name: "digits", Metric: "gain-over-uniform" + x.suffix, Value: x.tally.share() - t.byRule[net.Uniform].share(), N: t.n})
	}
	return figures
}

// figures are what was counted under the condition name. The floor of an accuracy is the best modality's; of that,
// always to say the most frequent digit; of a weight, the uniform one.
func (t *digitTally) figures(name string, isCorrupted bool) []Figure {
	var figures []Figure
	add := func(metric string, value, floor float64, n int) {
		figures = append(figures, Figure{Name: "digits", Metric: metric + "-" + name, Value: value, Floor: floor, N: n})
	}
	frequent := 0
	for _, n := range t.digits {
		frequent = max(frequent, n)
	}
	single := t.bestSingle()
	add("best-modality", single, float64(frequent)/float64(t.n), t.n)
	add("fused", t.fused.share(), single, t.n)
	for rule := range net.Rules {
		add(rule.String(), t.byRule[rule].share(), single, t.n)
	}
	if isCorrupted {
		add("oracle", t.oracle.share(), single, t.oracle.n)
		add("weight-corrupted", t.corrupted.value(), 1.0/triples.Parts, t.corrupted.n)
		add("weight-whole", t.whole.value(), 1.0/triples.Parts, t.whole.n)
	}
	return figures
}

// mix is the weighted mean of what the modalities answer alone.
func mix(e *fusion.Explanation, weights map[analysis.Modality]float64) []float64 {
	mixed := make([]float64, len(e.Answers))
	for _, m := range analysis.Modalities {
		for i, p := range e.Alone[m] {
			mixed[i] += weights[m] * p
		}
	}
	return mixed
}

// best returns the most probable answer.
func best(e *fusion.Explanation, p []float64) string {
	at := 0
	for i, v := range p {
		if v > p[at] {
			at = i
		}
	}
	return e.Answers[at]
}
