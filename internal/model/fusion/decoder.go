package fusion

import (
	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// decoder is the one Transformer decoder that everything shares: every depth (one block applied again and again, as
// in ALBERT, https://arxiv.org/abs/1909.11942), every task (an answer and each finding is a query, as in Query2Label,
// https://arxiv.org/abs/2107.10834) and every memory (each modality alone, and all of them together).
type decoder struct {
	self, cross         *layer.Attention
	mlp                 *layer.MLP
	norm1, norm2, norm3 *layer.Norm
	memory, final       *layer.Norm
	depth               int
}

func newDecoder(a *tensor.Arena, p *tensor.Params, c Config) *decoder {
	return &decoder{
		self:   layer.NewAttention(a, p.Sub("self"), c.Dim, c.Heads),
		cross:  layer.NewAttention(a, p.Sub("cross"), c.Dim, c.Heads),
		mlp:    layer.NewMLP(a, p.Sub("mlp"), c.Dim, 2*c.Dim),
		norm1:  layer.NewNorm(a, p.Sub("norm1"), c.Dim),
		norm2:  layer.NewNorm(a, p.Sub("norm2"), c.Dim),
		norm3:  layer.NewNorm(a, p.Sub("norm3"), c.Dim),
		memory: layer.NewNorm(a, p.Sub("memory"), c.Dim),
		final:  layer.NewNorm(a, p.Sub("final"), c.Dim),
		depth:  c.Depth,
	}
}

// forward decodes the queries x (B, T, D), of which mask (B, 1, 1, T) hides padding, against memory (B, S, D), whose
// attention logits get bias (B, 1, 1, S). It returns the decoded queries (B, T, D) and the last weights (B, H, T, S).
func (d *decoder) forward(a *tensor.Arena, x, mask, memory, bias tensor.T) (out, weights tensor.T) {
	both := a.Checkpoint(func(in []tensor.T) []tensor.T {
		out, weights := d.decode(a, in[0], in[1], in[2], in[3])
		return []tensor.T{out, weights}
	}, x, mask, memory, bias)
	return both[0], both[1]
}

func (d *decoder) decode(a *tensor.Arena, x, mask, memory, bias tensor.T) (out, weights tensor.T) {
	read := d.cross.Memorise(a, d.memory.Forward(a, memory))
	for range d.depth {
		y := d.norm1.Forward(a, x)
		own, _ := d.self.Forward(a, y, d.self.Memorise(a, y), mask)
		x = a.Add(x, own) // (B, T, D)
		var seen tensor.T
		seen, weights = d.cross.Forward(a, d.norm2.Forward(a, x), read, bias)
		x = a.Add(x, seen)                                    // (B, T, D)
		x = a.Add(x, d.mlp.Forward(a, d.norm3.Forward(a, x))) // (B, T, D)
	}
	return d.final.Forward(a, x), weights
}
