package smollm

import (
	"math"

	"consilium/internal/tensor"
)

// block is one layer: attention and a gated feed-forward half, each behind a normalisation.
type block struct {
	config                  Config
	query, key, value, out  tensor.T // (D, D), (KD/H, D), (KD/H, D), (D, D)
	gate, up, down          tensor.T // (I, D), (I, D), (D, I)
	attentionNorm, feedNorm tensor.T // (D)
}

func newBlock(a *tensor.Arena, p *tensor.Params, c Config) *block {
	narrow := c.Dim / c.Heads * c.KeyHeads
	matrix := func(name string, out, in int64) tensor.T { return p.Get(a, name+".weight", tensor.Fan(in), out, in) }
	return &block{
		config:        c,
		query:         matrix("attn_q", c.Dim, c.Dim),
		key:           matrix("attn_k", narrow, c.Dim),
		value:         matrix("attn_v", narrow, c.Dim),
		out:           matrix("attn_output", c.Dim, c.Dim),
		gate:          matrix("ffn_gate", c.Inner, c.Dim),
		up:            matrix("ffn_up", c.Inner, c.Dim),
		down:          matrix("ffn_down", c.Dim, c.Inner),
		attentionNorm: p.Get(a, "attn_norm.weight", tensor.Constant(1), c.Dim),
		feedNorm:      p.Get(a, "ffn_norm.weight", tensor.Constant(1), c.Dim),
	}
}

// forward maps x (B, T, D) to (B, T, D) and returns the memory with x in it.
func (b *block) forward(a *tensor.Arena, x tensor.T, memory Memory, at place) (tensor.T, Memory) {
	none := tensor.T{}
	y := a.RMSNorm(x, b.attentionNorm, b.config.Epsilon)
	memory = memory.with(a,
		a.RotatePairs(b.split(a, a.Linear(y, b.key, none), b.config.KeyHeads), at.cos, at.sin),
		b.split(a, a.Linear(y, b.value, none), b.config.KeyHeads))
	q := a.RotatePairs(b.split(a, a.Linear(y, b.query, none), b.config.Heads), at.cos, at.sin) // (B, H, T, D/H)
	x = a.Add(x, a.Linear(b.attend(a, q, memory, at.mask), b.out, none))
	y = a.RMSNorm(x, b.feedNorm, b.config.Epsilon)
	gated := a.Mul(a.Silu(a.Linear(y, b.gate, none)), a.Linear(y, b.up, none)) // (B, T, I)
	return a.Add(x, a.Linear(gated, b.down, none)), memory
}

// attend returns what the queries q (B, H, T, D/H) read from memory, (B, T, D). The queries of one key head are one
// longer sequence to it, so that nothing is repeated.
func (b *block) attend(a *tensor.Arena, q tensor.T, memory Memory, mask tensor.T) tensor.T {
	shape := a.Shape(q)
	n, h, t, width := shape[0], shape[1], shape[2], shape[3]
	k, s := b.config.KeyHeads, a.Size(memory.keys, 2)
	q = a.MulScalar(a.Reshape(q, n, k, h/k*t, width), 1/math.Sqrt(float64(width)))
	logits := a.Matmul(q, a.Transpose(memory.keys, -1, -2)) // (B, K, TH/K, S)
	if t > 1 {
		logits = a.Reshape(a.Add(a.Reshape(logits, n, k, h/k, t, s), mask), n, k, h/k*t, s)
	}
	y := a.Matmul(a.Softmax(logits, -1), memory.values) // (B, K, TH/K, D/H)
	return a.Reshape(a.Transpose(a.Reshape(y, n, h, t, width), 1, 2), n, t, h*width)
}

// split turns (B, T, heads W) into (B, heads, T, W).
func (b *block) split(a *tensor.Arena, x tensor.T, heads int64) tensor.T {
	shape := a.Shape(x)
	return a.Transpose(a.Reshape(x, shape[0], shape[1], heads, shape[2]/heads), 1, 2)
}
