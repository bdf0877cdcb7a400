package tensor

import "github.com/sugarme/gotch/libtch"

// ToPrecision rounds x to the engine's precision. At Float it returns x itself.
func (a *Arena) ToPrecision(x T) T { return a.ToKind(x, a.precision) }

// Autocast runs fn with the products of Linear and Matmul computed in bfloat16 (Micikevicius et al. 2018,
// https://arxiv.org/abs/1710.03740, with the wider exponent that needs no scaling of the loss). Operands are rounded
// on the way in and results widened on the way out, so that parameters, gradients and everything else stay float32.
func (a *Arena) Autocast(fn func()) {
	was := a.autocast
	a.autocast = true
	defer func() { a.autocast = was }()
	fn()
}

// product runs a product of float32 operands in the arena's precision; an operand that is no tensor stays none.
func (a *Arena) product(name string, weight T, inner func() int64, operands []T, call func(o *libtch.Ctensor, operands []T)) T {
	if !a.autocast || a.KindOf(operands[0]) != Float {
		return a.layer(name, weight, inner, func(o *libtch.Ctensor) { call(o, operands) })
	}
	low := make([]T, len(operands))
	for i, x := range operands {
		if x.Defined() {
			low[i] = a.ToKind(x, BFloat16)
		}
	}
	return a.ToKind(a.layer(name, weight, inner, func(o *libtch.Ctensor) { call(o, low) }), Float)
}
