package tensor

import "github.com/sugarme/gotch/libtch"

// RequireGrad marks x as a leaf that gradients are wanted for.
func (a *Arena) RequireGrad(x T) {
	h := a.op("require grad", func(o *libtch.Ctensor) { libtch.AtgSetRequiresGrad(o, x.h, 1) })
	_ = h // a second handle to x, freed with the arena
}

// Gradients returns the gradient of the scalar loss by each parameter, in order; the zero T for a parameter that
// the loss does not depend on. The engine needs Options.Grad.
func (a *Arena) Gradients(loss T, parameters []T) []T {
	in, out := handles(parameters), make([]libtch.Ctensor, len(parameters))
	libtch.AtRunBackward(&loss.h, 1, &in[0], len(in), &out[0], 0, 0)
	a.check("backward")
	grads := make([]T, len(out))
	for i, h := range out {
		g := a.own("backward", h)
		if libtch.AtDefined(h) {
			grads[i] = g
		}
	}
	return grads
}

// NoGrad runs fn without recording operators.
func (a *Arena) NoGrad(fn func()) {
	was := libtch.AtGradSetEnabled(0)
	defer libtch.AtGradSetEnabled(was & 1)
	fn()
}

// Copy overwrites dst, in place, with src.
func (a *Arena) Copy(dst, src T) {
	libtch.AtCopy_(dst.h, src.h)
	a.check("copy")
}
