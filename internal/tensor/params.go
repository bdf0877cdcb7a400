package tensor

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// Params are a model's named parameters. They come from a file (FromRaw), are drawn at random for training (Random),
// or both (RandomFrom); the model asks for each by name and shape either way, so that one constructor serves both.
type Params struct {
	prefix string
	store  *store
}

type store struct {
	raw    map[string]Raw // what a file holds
	rng    *rand.Rand     // draws the rest; nil if a file has to hold everything
	byName map[string]T
	shapes map[string][]int64
	order  []string // as asked for
}

// FromRaw serves parameters from tensors read from a file.
func FromRaw(raw map[string]Raw) *Params {
	return &Params{store: &store{raw: raw, byName: map[string]T{}, shapes: map[string][]int64{}}}
}

// Random draws parameters with a seeded generator.
func Random(seed uint64) *Params {
	return &Params{store: &store{rng: rand.New(rand.NewPCG(seed, 0)), byName: map[string]T{}, shapes: map[string][]int64{}}}
}

// RandomFrom takes the parameters that raw holds and draws the others: a pretrained net under a new head.
func RandomFrom(seed uint64, raw map[string]Raw) *Params {
	p := Random(seed)
	p.store.raw = raw
	return p
}

// Sub returns the parameters whose names begin with "name.".
func (p *Params) Sub(name string) *Params {
	return &Params{prefix: p.prefix + name + ".", store: p.store}
}

// Path returns the full name of what is called name here.
func (p *Params) Path(name string) string { return p.prefix + name }

// Init draws the value at position i of a new parameter.
type Init func(rng *rand.Rand) float32

// Normal draws from a normal distribution around zero.
func Normal(std float64) Init {
	return func(rng *rand.Rand) float32 { return float32(rng.NormFloat64() * std) }
}

// Fan draws uniformly with the variance 1/(3 fanIn), the usual start of a linear or convolutional layer.
func Fan(fanIn int64) Init {
	bound := 1 / math.Sqrt(float64(fanIn))
	return func(rng *rand.Rand) float32 { return float32((2*rng.Float64() - 1) * bound) }
}

// Constant fills with v.
func Constant(v float32) Init { return func(*rand.Rand) float32 { return v } }

// Get returns the parameter of that name and shape in the engine's precision. One that the file lacks, or holds in another
// shape, ends the computation with an error that names it.
func (p *Params) Get(a *Arena, name string, init Init, shape ...int64) T {
	full := p.prefix + name
	if t, ok := p.store.byName[full]; ok {
		return t
	}
	var values []float32
	if _, ok := p.store.raw[full]; ok || p.store.rng == nil {
		values = p.Floats(a, name, shape...)
	} else {
		values = make([]float32, count(shape))
		for i := range values {
			values[i] = init(p.store.rng)
		}
	}
	t := a.Name(a.Keep(a.ToPrecision(a.FromFloat32(values, shape...))), full)
	p.store.byName[full], p.store.shapes[full] = t, shape
	p.store.order = append(p.store.order, full)
	return t
}

// Floats returns the values that the file holds of a parameter, for whoever computes with them before they are rounded. They
// are the file's: nobody may change them. Errors are those of Get.
func (p *Params) Floats(a *Arena, name string, shape ...int64) []float32 {
	full := p.prefix + name
	r, ok := p.store.raw[full]
	if !ok {
		a.fail("load", "the weights hold no tensor %q", full)
	}
	if fmt.Sprint(r.Shape) != fmt.Sprint(shape) {
		a.fail("load", "tensor %q has shape %v, want %v", full, r.Shape, shape)
	}
	return r.Values
}

// Names lists every parameter that was asked for, sorted.
func (p *Params) Names() []string {
	names := make([]string, 0, len(p.store.byName))
	for name := range p.store.byName {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Order lists every parameter in the order in which the model asked for it, which is that of its layers.
func (p *Params) Order() []string { return slices.Clone(p.store.order) }

// Replace returns parameters of which those of the given full names are other tensors of the same shape. Nothing is
// copied, and the result is not to be freed.
func (p *Params) Replace(tensors map[string]T) *Params {
	byName := maps.Clone(p.store.byName)
	maps.Copy(byName, tensors)
	return &Params{prefix: p.prefix, store: &store{byName: byName, shapes: p.store.shapes, order: p.store.order}}
}

// Load overwrites every parameter with a value from Values, or of a file of the same names and shapes.
func (p *Params) Load(a *Arena, values map[string]Raw) {
	for name, t := range p.store.byName {
		v, ok := values[name]
		if !ok || !slices.Equal(v.Shape, p.store.shapes[name]) {
			a.fail("load", "tensor %q has shape %v, want %v", name, v.Shape, p.store.shapes[name])
		}
		a.NoGrad(func() { a.Copy(t, a.FromFloat32(v.Values, v.Shape...)) })
	}
}

// Tensor returns the parameter of that full name.
func (p *Params) Tensor(name string) T { return p.store.byName[name] }

// Free frees every parameter.
func (p *Params) Free(a *Arena) {
	for name, t := range p.store.byName {
		a.Free(a.Name(t, ""))
		delete(p.store.byName, name)
	}
}

// Half returns every parameter as float16, for WriteSafetensors.
func (p *Params) Half(a *Arena) map[string]HalfTensor {
	out := make(map[string]HalfTensor, len(p.store.byName))
	for name, t := range p.store.byName {
		out[name] = HalfTensor{Shape: p.store.shapes[name], Bits: a.Halfs(t)}
	}
	return out
}

// Values returns a copy of every parameter.
func (p *Params) Values(a *Arena) map[string]Raw {
	out := make(map[string]Raw, len(p.store.byName))
	for name, t := range p.store.byName {
		out[name] = Raw{Shape: p.store.shapes[name], Values: a.Float32s(t)}
	}
	return out
}
