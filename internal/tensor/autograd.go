package tensor

import "github.com/sugarme/gotch/libtch"

// RequireGrad marks x as a leaf that gradients are wanted for.
func (a *Arena) RequireGrad(x T) {
	h := a.op("require grad", func(o *libtch.Ctensor) { libtch.AtgSetRequiresGrad(o, x.h, 1) })
	_ = h // a second handle to x, freed with the arena
}

// Gradients returns the gradient of the scalar loss by each parameter, in order; the zero T for a parameter that
// the loss does not depend on. The engine needs Options.Grad. It frees the record of the computation, so that it can
// be called once for each.
func (a *Arena) Gradients(loss T, parameters []T) []T {
	if len(a.tape) == 0 {
		return a.backward(loss, parameters, false)
	}
	defer a.freeTape()
	wanted := append([]T(nil), parameters...)
	for _, s := range a.tape {
		wanted = append(wanted, s.out...)
	}
	grads := a.backward(loss, wanted, true)
	for i := len(a.tape) - 1; i >= 0; i-- {
		s := a.tape[i]
		n := len(grads) - len(s.out)
		by := grads[n:]
		wanted, grads = wanted[:n], grads[:n]
		a.replay(s, by, wanted, grads)
	}
	return grads
}

// backward is Gradients without checkpoints; keep leaves the record of the computation for another call.
func (a *Arena) backward(loss T, by []T, keep bool) []T {
	if len(by) == 0 {
		return nil
	}
	in, out := handles(by), make([]libtch.Ctensor, len(by))
	libtch.AtRunBackward(&loss.h, 1, &in[0], len(in), &out[0], int(flag(keep)), 0)
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

// Recording runs fn and records its operators, so that an engine without Options.Grad can compute a gradient now and then.
func (a *Arena) Recording(fn func()) {
	was := libtch.AtGradSetEnabled(1)
	defer libtch.AtGradSetEnabled(was & 1)
	fn()
}

// Copy overwrites dst, in place, with src.
func (a *Arena) Copy(dst, src T) {
	libtch.AtCopy_(dst.h, src.h)
	a.check("copy")
}
