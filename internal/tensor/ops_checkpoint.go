package tensor

import "github.com/sugarme/gotch/libtch"

// segment is a part of a computation of which only the ends are kept.
type segment struct {
	run         func(in []T) []T
	in, out     []T // handles of the segment's own
	randomState T
	autocast    bool
}

// SaveMemory runs fn with Checkpoint in force.
func (a *Arena) SaveMemory(fn func()) {
	was := a.saving
	a.saving = true
	defer func() { a.saving = was }()
	fn()
}

// Checkpoint returns run(in). Within SaveMemory it forgets what run computes on the way and lets Gradients compute it
// again, with the same random numbers (Chen et al. 2016, https://arxiv.org/abs/1604.06174). So run is called twice and
// must do the same both times; besides in it may read only what lives until Gradients, such as parameters.
func (a *Arena) Checkpoint(run func(in []T) []T, in ...T) []T {
	if !a.saving || !gradEnabled() {
		return run(in)
	}
	s := segment{run: run, autocast: a.autocast, in: clones(in), randomState: clones([]T{a.randomState()})[0]}
	mark := a.Mark()
	var out []T
	a.NoGrad(func() {
		for _, y := range run(in) {
			out = append(out, a.Detach(y))
		}
	})
	a.Release(mark, out...)
	for _, y := range out {
		a.RequireGrad(y)
	}
	s.out = clones(out)
	a.tape = append(a.tape, s)
	return out
}

// replay adds to grads, the gradients by wanted, what flows through segment s, given the gradients by its results.
func (a *Arena) replay(s segment, by, wanted, grads []T) {
	mark := a.Mark()
	now := a.randomState()
	a.setRandomState(s.randomState)
	saving, autocast := a.saving, a.autocast
	a.saving, a.autocast = false, s.autocast
	out := s.run(s.in)
	a.saving, a.autocast = saving, autocast
	a.setRandomState(now)

	var root T // its gradient by the i-th result is by[i]
	for i, y := range out {
		if !by[i].Defined() || !libtch.AtRequiresGrad(y.h) {
			continue
		}
		term := a.Sum(a.Mul(y, by[i]), false)
		if root.Defined() {
			term = a.Add(root, term)
		}
		root = term
	}
	var kept []T
	if root.Defined() {
		more := a.backward(root, wanted, true)
		a.NoGrad(func() {
			for i, g := range more {
				switch {
				case !g.Defined():
					continue
				case grads[i].Defined():
					grads[i] = a.Add(grads[i], g)
				default:
					grads[i] = a.op("alias", func(o *libtch.Ctensor) { libtch.AtgAlias(o, g.h) })
				}
				kept = append(kept, grads[i])
			}
		})
	}
	a.Release(mark, kept...)
}

// freeTape forgets every segment.
func (a *Arena) freeTape() {
	for _, s := range a.tape {
		a.Free(s.in...)
		a.Free(s.out...)
		a.Free(s.randomState)
	}
	a.tape = nil
}

// clones returns second handles to the tensors, which their receiver frees.
func clones(ts []T) []T {
	out := make([]T, len(ts))
	for i, t := range ts {
		if t.Defined() {
			out[i] = T{libtch.AtShallowClone(t.h)}
		}
	}
	return out
}

func gradEnabled() bool {
	was := libtch.AtGradSetEnabled(1) & 1
	libtch.AtGradSetEnabled(was)
	return was == 1
}
