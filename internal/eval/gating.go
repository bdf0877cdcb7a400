package eval

import (
	"math"

	"consilium/internal/analysis"
	fusion "consilium/services/fusion"
)

// A rule weighs the modalities of one case from what each of them answers alone. Weights sum to 1.
type rule struct {
	name string
	of   func(e *fusion.Explanation) map[analysis.Modality]float64
}

// rules are the ways to weigh, over the same heads. H is the entropy of a modality's own prediction in nats.
var rules = []rule{
	{"gate", func(e *fusion.Explanation) map[analysis.Modality]float64 { return e.Weights }},
	{"uniform", func(e *fusion.Explanation) map[analysis.Modality]float64 {
		return normalised(e, func(float64) float64 { return 1 })
	}},
	// The article's: the share of a modality in the sum of entropies.
	{"entropy-share", func(e *fusion.Explanation) map[analysis.Modality]float64 {
		return normalised(e, func(h float64) float64 { return h })
	}},
	{"inverse-entropy", func(e *fusion.Explanation) map[analysis.Modality]float64 {
		return normalised(e, func(h float64) float64 { return 1 / h })
	}},
	{"softmax-entropy", func(e *fusion.Explanation) map[analysis.Modality]float64 {
		return normalised(e, func(h float64) float64 { return math.Exp(-h) })
	}},
}

// normalised weighs each modality by score of its entropy.
func normalised(e *fusion.Explanation, score func(h float64) float64) map[analysis.Modality]float64 {
	weights, sum := map[analysis.Modality]float64{}, 0.0
	for m, p := range e.Alone {
		weights[m] = score(max(entropy(p), 1e-6)) // a head that is certain still has a finite weight
		sum += weights[m]
	}
	for m := range weights {
		weights[m] /= sum
	}
	return weights
}

// entropy of a distribution, in nats.
func entropy(p []float64) float64 {
	h := 0.0
	for _, v := range p {
		if v > 0 {
			h -= v * math.Log(v)
		}
	}
	return h
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
