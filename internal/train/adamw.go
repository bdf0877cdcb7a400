package train

import (
	"fmt"
	"math"
	"slices"

	"consilium/internal/tensor"
)

// AdamW is the optimiser of Loshchilov and Hutter (2019), https://arxiv.org/abs/1711.05101, in operators of our own
// so that its state can be stored and a run resumed. Gradients are clipped by their global norm first.
type AdamW struct {
	Beta1, Beta2, Epsilon, WeightDecay, ClipNorm float64

	// Average is the decay of a running mean of the parameters (Polyak and Juditsky 1992), which generalises better
	// than the last step does; 0 keeps none.
	Average float64

	names         []string
	params        []tensor.T
	first, second []tensor.T // running means of the gradient and of its square
	mean          []tensor.T // running mean of the parameters
	decays        []bool
	step          int
}

// newAdamW returns an optimiser of params, all of which will require gradients. Vectors, such as biases and the
// weights of normalisations, are not decayed.
func newAdamW(a *tensor.Arena, params []named) *AdamW {
	o := &AdamW{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.01, ClipNorm: 1}
	for _, p := range params {
		t := p.t
		shape := a.Shape(t)
		o.names = append(o.names, p.name)
		o.params = append(o.params, t)
		o.first = append(o.first, a.Keep(a.Zeros(shape...)))
		o.second = append(o.second, a.Keep(a.Zeros(shape...)))
		o.mean = append(o.mean, a.Keep(a.MulScalar(a.Detach(t), 1)))
		o.decays = append(o.decays, len(shape) > 1)
		a.RequireGrad(t)
	}
	return o
}

// Step moves every parameter against its gradient, in the order of the parameters; no tensor leaves a parameter where
// it is. A gradient that is not finite is an error that names its parameter, and then nothing has moved.
func (o *AdamW) Step(a *tensor.Arena, grads []tensor.T, rate float64) error {
	var err error
	a.NoGrad(func() { err = o.apply(a, grads, rate) })
	return err
}

func (o *AdamW) apply(a *tensor.Arena, grads []tensor.T, rate float64) error {
	norm, err := o.norm(a, grads)
	if err != nil {
		return err
	}
	clip := math.Min(1, o.ClipNorm/(norm+1e-6))
	o.step++
	correct1 := 1 - math.Pow(o.Beta1, float64(o.step))
	correct2 := 1 - math.Pow(o.Beta2, float64(o.step))
	for i, g := range grads {
		if !g.Defined() {
			continue
		}
		mark := a.Mark()
		g = a.MulScalar(g, clip)
		m := a.Add(a.MulScalar(o.first[i], o.Beta1), a.MulScalar(g, 1-o.Beta1))
		v := a.Add(a.MulScalar(o.second[i], o.Beta2), a.MulScalar(a.Square(g), 1-o.Beta2))
		a.Copy(o.first[i], m)
		a.Copy(o.second[i], v)
		update := a.Div(a.DivScalar(m, correct1), a.AddScalar(a.Sqrt(a.DivScalar(v, correct2)), o.Epsilon))
		p := o.params[i]
		if o.decays[i] {
			update = a.Add(update, a.MulScalar(p, o.WeightDecay))
		}
		a.Copy(p, a.Sub(p, a.MulScalar(update, rate)))
		a.Release(mark)
	}
	if o.Average > 0 {
		for i, p := range o.params {
			mark := a.Mark()
			a.Copy(o.mean[i], a.Add(a.MulScalar(o.mean[i], o.Average), a.MulScalar(p, 1-o.Average)))
			a.Release(mark)
		}
	}
	return nil
}

// averaged runs fn with every parameter replaced by its running mean, if one is kept.
func (o *AdamW) averaged(a *tensor.Arena, fn func()) {
	if o.Average == 0 {
		fn()
		return
	}
	o.swap(a)
	defer o.swap(a)
	fn()
}

// swap exchanges the parameters and their running means.
func (o *AdamW) swap(a *tensor.Arena) {
	a.NoGrad(func() {
		for i, p := range o.params {
			mark := a.Mark()
			was := a.MulScalar(p, 1)
			a.Copy(p, o.mean[i])
			a.Copy(o.mean[i], was)
			a.Release(mark)
		}
	})
}

// norm returns the global norm of the gradients.
func (o *AdamW) norm(a *tensor.Arena, grads []tensor.T) (float64, error) {
	mark := a.Mark()
	defer a.Release(mark)
	squares := make([]tensor.T, 0, len(grads))
	for _, g := range grads {
		if g.Defined() {
			squares = append(squares, a.Sum(a.Square(g), false))
		}
	}
	if len(squares) == 0 {
		return 0, fmt.Errorf("the loss depends on no parameter")
	}
	norm := math.Sqrt(a.Item(a.Sum(a.Stack(0, squares...), false)))
	if !math.IsNaN(norm) && !math.IsInf(norm, 0) {
		return norm, nil
	}
	for i, g := range grads {
		if g.Defined() && a.Item(a.ToKind(a.All(a.Isfinite(g)), tensor.Float)) == 0 {
			return 0, fmt.Errorf("step %d: the gradient of %s is not finite", o.step+1, o.names[i])
		}
	}
	return 0, fmt.Errorf("step %d: the norm of the gradients overflows", o.step+1)
}

// state returns copies of the running means, by the prefix of their names in a checkpoint and by parameter.
func (o *AdamW) state(a *tensor.Arena) map[string]map[string]tensor.Raw {
	all := map[string]map[string]tensor.Raw{}
	for prefix, tensors := range o.means() {
		all[prefix] = map[string]tensor.Raw{}
		for i, name := range o.names {
			all[prefix][name] = tensor.Raw{Shape: a.Shape(o.params[i]), Values: a.Float32s(tensors[i])}
		}
	}
	return all
}

// load continues from a state after that many steps.
func (o *AdamW) load(a *tensor.Arena, step int, state map[string]map[string]tensor.Raw) error {
	o.step = step
	for prefix, tensors := range o.means() {
		for i, name := range o.names {
			from, shape := state[prefix][name], a.Shape(o.params[i])
			if !slices.Equal(from.Shape, shape) {
				return fmt.Errorf("the optimiser's %s%s has shape %v, want %v", prefix, name, from.Shape, shape)
			}
			a.Copy(tensors[i], a.FromFloat32(from.Values, from.Shape...))
		}
	}
	return nil
}

// means are the running means by the prefix of their names in a checkpoint.
func (o *AdamW) means() map[string][]tensor.T {
	return map[string][]tensor.T{firstPrefix: o.first, secondPrefix: o.second, meanPrefix: o.mean}
}

// Free frees the optimiser's state.
func (o *AdamW) Free(a *tensor.Arena) {
	a.Free(o.first...)
	a.Free(o.second...)
	a.Free(o.mean...)
}
