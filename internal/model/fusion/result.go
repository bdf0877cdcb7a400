package fusion

import (
	"math"

	"consilium/internal/tensor"
)

// Input is one request: the tokens of what is there, row by row, nil for what is not. At least one is there.
type Input struct {
	Question []float32 // (Q, TextDim); without it the findings are asked for
	Text     []float32 // (S, TextDim) what stands beside the question: to the net, the text is the question and this
	Image    []float32 // (G*G, ImageDim)
	Audio    []float32 // (S, AudioDim)
}

// Result is what the net says to one Input. L is the number of answers, or of findings.
type Result struct {
	Logits    []float32             // (L), from all modalities
	Alone     [modalities][]float32 // (L) each, from one modality alone; nil where it is absent
	Entropies [modalities]float64   // from 0 to 1 for the largest possible; 1 for an absent modality
	Weights   [modalities]float64   // summing to 1, 0 for an absent modality
	Attention []float32             // (G*G), as of Output; nil without an image
	Maps      []float32             // (F, G*G), as of Activations; nil unless findings are asked for of an image

	maximum float64 // the entropy, in nats, that an entropy of 1 stands for
}

// Present reports whether the modality was there.
func (r *Result) Present(modality int) bool { return r.Alone[modality] != nil }

// ByRule returns the weights that a rule makes of the entropies, by the gate that the net has learnt.
func (r *Result) ByRule(g Gate, rule Rule) (weights [modalities]float64) {
	most, sum := math.Inf(-1), 0.0
	for i, h := range r.Entropies {
		logEntropy := math.Log(max(h, leastEntropy))
		switch rule {
		case EntropyShare:
			weights[i] = logEntropy
		case InverseEntropy:
			weights[i] = -logEntropy
		case SoftmaxEntropy:
			weights[i] = -r.maximum * h
		case Uniform:
			weights[i] = 0
		default:
			weights[i] = g.Bias[i] - g.Slope*h
		}
		if r.Present(i) {
			most = max(most, weights[i])
		}
	}
	for i, score := range weights {
		if weights[i] = 0; r.Present(i) {
			weights[i] = math.Exp(score - most)
			sum += weights[i]
		}
	}
	for i := range weights {
		weights[i] /= sum
	}
	return weights
}

// Gate is what the gate has learnt.
type Gate struct {
	Slope float64
	Bias  [modalities]float64
}

// Gate returns what the gate has learnt.
func (m *Model) Gate(a *tensor.Arena) Gate {
	g := Gate{Slope: math.Log(1 + math.Exp(float64(a.Float32s(m.gate.slope)[0])))} // softplus keeps it positive
	for i, v := range a.Float32s(m.gate.bias) {
		g.Bias[i] = float64(v)
	}
	return g
}

// Read answers one request.
func (m *Model) Read(a *tensor.Arena, in Input) Result {
	batch := m.batch(a, in)
	var out Output
	var r Result
	if in.Question == nil && in.Image != nil {
		var maps tensor.T
		out, maps = m.Activations(a, batch)
		r.Maps = a.Float32s(maps)
	} else {
		out = m.Forward(a, batch)
	}
	r.Logits, r.maximum = a.Float32s(out.Logits), m.maxEntropy(batch)
	for i, logits := range out.Alone {
		if logits.Defined() {
			r.Alone[i] = a.Float32s(logits)
		}
	}
	copy(r.Entropies[:], a.Float64s(out.Entropies))
	copy(r.Weights[:], a.Float64s(out.Weights))
	if out.Attention.Defined() {
		r.Attention = a.Float32s(out.Attention)
	}
	return r
}

// batch makes a batch of one.
func (m *Model) batch(a *tensor.Arena, in Input) Batch {
	tokens := func(values []float32, dim int64) Tokens {
		if values == nil {
			return Tokens{}
		}
		count := int64(len(values)) / dim
		return Tokens{Values: a.FromFloat32(values, 1, count, dim), Mask: a.Ones(1, count)}
	}
	c := m.config
	return Batch{
		Question: tokens(in.Question, c.TextDim), Text: tokens(in.text(), c.TextDim),
		Image: tokens(in.Image, c.ImageDim), Audio: tokens(in.Audio, c.AudioDim),
	}
}

// text returns all tokens of text.
func (in Input) text() []float32 {
	switch {
	case in.Question == nil:
		return in.Text
	case in.Text == nil:
		return in.Question
	}
	return append(append([]float32(nil), in.Question...), in.Text...)
}
