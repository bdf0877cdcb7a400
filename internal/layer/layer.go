// Package layer holds the blocks that two or more nets are made of.
package layer

import "consilium/internal/tensor"

// Linear is x w^T + b.
type Linear struct{ weight, bias tensor.T }

// NewLinear returns a layer from in to out features.
func NewLinear(a *tensor.Arena, p *tensor.Params, in, out int64) *Linear {
	return &Linear{
		weight: p.Get(a, "weight", tensor.Fan(in), out, in),
		bias:   p.Get(a, "bias", tensor.Constant(0), out),
	}
}

// Forward maps x (..., in) to (..., out).
func (l *Linear) Forward(a *tensor.Arena, x tensor.T) tensor.T { return a.Linear(x, l.weight, l.bias) }

// Norm is layer normalisation over the last dimension (Ba et al. 2016, https://arxiv.org/abs/1607.06450).
type Norm struct{ weight, bias tensor.T }

// NewNorm returns a normalisation of d features.
func NewNorm(a *tensor.Arena, p *tensor.Params, d int64) *Norm {
	return &Norm{
		weight: p.Get(a, "weight", tensor.Constant(1), d),
		bias:   p.Get(a, "bias", tensor.Constant(0), d),
	}
}

// Forward normalises x (..., D).
func (n *Norm) Forward(a *tensor.Arena, x tensor.T) tensor.T {
	return a.LayerNorm(x, n.weight, n.bias, 1e-5)
}

// MLP is the feed-forward half of a Transformer block, with SiLU: one operator whose gradient is right, which
// cannot be said of this libtorch's GELU.
type MLP struct{ up, down *Linear }

// NewMLP returns an MLP of d features and a hidden layer of h.
func NewMLP(a *tensor.Arena, p *tensor.Params, d, h int64) *MLP {
	return &MLP{up: NewLinear(a, p.Sub("up"), d, h), down: NewLinear(a, p.Sub("down"), h, d)}
}

// Forward maps x (..., D) to (..., D).
func (m *MLP) Forward(a *tensor.Arena, x tensor.T) tensor.T {
	return m.down.Forward(a, a.Silu(m.up.Forward(a, x)))
}
