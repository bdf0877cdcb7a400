package fusion

import (
	"math"

	"consilium/internal/tensor"
)

// gate weighs the modalities by how sure each is on its own.
//
// The entropy of a modality is that of the prediction which the shared decoder makes from this modality alone,
// divided by its maximum: 0 is certain, 1 knows nothing. A Rule turns entropies into weights. Slope and bias of the
// learned one are trained together with the heads, because the entropy of a head that has never seen a bad input says
// little about how far to trust it.
type gate struct {
	slope tensor.T // (1), before softplus
	bias  tensor.T // (3)
}

func newGate(a *tensor.Arena, p *tensor.Params) *gate {
	return &gate{
		slope: p.Get(a, "slope", tensor.Constant(5), 1),
		bias:  p.Get(a, "bias", tensor.Constant(0), modalities),
	}
}

// leastEntropy is what a head that is certain counts as: its share of the entropies and its inverse stay finite.
const leastEntropy = 1e-6

// weigh maps entropies (B, 3) and present (B, 3), 1 or 0, to weights (B, 3) that sum to 1 over what is present: the
// softmax of the rule's score. maximum is the entropy, in nats, that an entropy of 1 stands for.
func (g *gate) weigh(a *tensor.Arena, rule Rule, entropies, present tensor.T, maximum float64) tensor.T {
	logEntropies := a.Log(a.Clamp(entropies, leastEntropy, math.Inf(1)))
	var score tensor.T
	switch rule {
	case EntropyShare:
		score = logEntropies
	case InverseEntropy:
		score = a.Neg(logEntropies)
	case SoftmaxEntropy:
		score = a.MulScalar(entropies, -maximum)
	case Uniform:
		score = a.MulScalar(entropies, 0)
	default:
		slope := a.Log(a.AddScalar(a.Exp(g.slope), 1)) // softplus keeps it positive
		score = a.Sub(g.bias, a.Mul(entropies, slope))
	}
	return a.Softmax(a.Add(score, absent(a, present)), 1)
}

// absent is 0 where present is 1 and hides where it is 0.
func absent(a *tensor.Arena, present tensor.T) tensor.T {
	return a.MulScalar(a.AddScalar(a.Neg(present), 1), hidden)
}

// categorical returns the entropy (B) of the answer logits (B, V), in shares of maximum.
func categorical(a *tensor.Arena, logits tensor.T, maximum float64) tensor.T {
	logp := a.LogSoftmax(logits, 1)
	h := a.Neg(a.Sum(a.Mul(a.Exp(logp), logp), false, 1))
	return a.DivScalar(h, maximum)
}

// binary returns the entropy (B) in shares of maximum, averaged over the labels that judged (B, F) selects, of the finding
// logits (B, F); 1 where nothing is judged.
func binary(a *tensor.Arena, logits, judged tensor.T, maximum float64) tensor.T {
	p := a.Clamp(a.Sigmoid(logits), 1e-6, 1-1e-6)
	q := a.AddScalar(a.Neg(p), 1)
	h := a.DivScalar(a.Neg(a.Add(a.Mul(p, a.Log(p)), a.Mul(q, a.Log(q)))), maximum) // (B, F)
	count := a.Sum(judged, false, 1)
	mean := a.Div(a.Sum(a.Mul(h, judged), false, 1), a.Clamp(count, 1, math.Inf(1)))
	return a.Add(mean, a.AddScalar(a.Neg(a.Clamp(count, 0, 1)), 1))
}
