package layer

import (
	"math"

	"consilium/internal/tensor"
)

// Attention is multi-head scaled dot-product attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762). It is
// written out, not fused, because callers show the weights to people.
type Attention struct {
	query, key, value, out *Linear
	heads                  int64
}

// NewAttention returns attention over d features with the given number of heads, which divides d.
func NewAttention(a *tensor.Arena, p *tensor.Params, d, heads int64) *Attention {
	return &Attention{
		query: NewLinear(a, p.Sub("query"), d, d),
		key:   NewLinear(a, p.Sub("key"), d, d),
		value: NewLinear(a, p.Sub("value"), d, d),
		out:   NewLinear(a, p.Sub("out"), d, d),
		heads: heads,
	}
}

// Memory is what queries attend to: keys and values (B, H, S, D/H), made once however often they are read.
type Memory struct{ keys, values tensor.T }

// Values copies the keys and the values out, (B, S, H, D/H).
func (m Memory) Values(a *tensor.Arena) (keys, values []float32) {
	return a.Float32s(a.Transpose(m.keys, 1, 2)), a.Float32s(a.Transpose(m.values, 1, 2))
}

// Memorise projects memory (B, S, D) to keys and values.
func (m *Attention) Memorise(a *tensor.Arena, memory tensor.T) Memory {
	return Memory{
		keys:   m.split(a, m.key.Forward(a, memory)),
		values: m.split(a, m.value.Forward(a, memory)),
	}
}

// Forward returns what x (B, T, D) reads from memory, (B, T, D), and the weights (B, H, T, S). Bias is added to the
// logits and broadcasts to (B, H, T, S); a very negative one hides a token.
func (m *Attention) Forward(a *tensor.Arena, x tensor.T, memory Memory, bias tensor.T) (out, weights tensor.T) {
	shape := a.Shape(x)
	b, t, d := shape[0], shape[1], shape[2]
	q := a.MulScalar(m.split(a, m.query.Forward(a, x)), 1/math.Sqrt(float64(d/m.heads))) // (B, H, T, D/H)
	logits := a.Matmul(q, a.Transpose(memory.keys, -1, -2))                              // (B, H, T, S)
	weights = a.Softmax(a.Add(logits, bias), -1)
	y := a.Transpose(a.Matmul(weights, memory.values), 1, 2) // (B, T, H, D/H)
	return m.out.Forward(a, a.Reshape(y, b, t, d)), weights
}

// Read is Forward where nothing is hidden and nobody wants the weights: in a third of the operators, because it is for
// the few tokens of one step of a decoder.
func (m *Attention) Read(a *tensor.Arena, x tensor.T, memory Memory) tensor.T {
	shape := a.Shape(x)
	y := a.AttentionUnmasked(m.split(a, m.query.Forward(a, x)), memory.keys, memory.values) // (B, H, T, D/H)
	return m.out.Forward(a, a.Reshape(a.Transpose(y, 1, 2), shape...))
}

// split turns (B, T, D) into (B, H, T, D/H).
func (m *Attention) split(a *tensor.Arena, x tensor.T) tensor.T {
	shape := a.Shape(x)
	b, t, d := shape[0], shape[1], shape[2]
	return a.Transpose(a.Reshape(x, b, t, m.heads, d/m.heads), 1, 2)
}
