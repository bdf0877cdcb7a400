package layer

import (
	"math"

	"consilium/internal/tensor"
)

// LoRA adapts matrices that stay as they are by products of two narrow ones: W + alpha/rank B A (Hu et al. 2021,
// https://arxiv.org/abs/2106.09685). It works on a net's parameters, not on its layers, so that any net can be
// adapted without knowing it.
type LoRA struct {
	base, own *tensor.Params
	names     []string
	down, up  []tensor.T // of each name: (rank, in), (out, rank)
	scale     float64
}

// NewLoRA draws adapters of the given rank for the named matrices (out, in) of base. At first they change nothing.
func NewLoRA(a *tensor.Arena, base *tensor.Params, names []string, seed uint64, rank int64, alpha float64) *LoRA {
	return NewLoRAOf(a, tensor.Random(seed), base, names, rank, alpha)
}

// NewLoRAOf takes the adapters' parameters from own, which is a weights' file or a random start.
func NewLoRAOf(a *tensor.Arena, own, base *tensor.Params, names []string, rank int64, alpha float64) *LoRA {
	l := &LoRA{base: base, own: own, names: names, scale: alpha / float64(rank)}
	for _, name := range names {
		shape := a.Shape(base.Tensor(name))
		l.down = append(l.down, own.Get(a, name+".lora_a", tensor.Normal(1/math.Sqrt(float64(shape[1]))), rank, shape[1]))
		l.up = append(l.up, own.Get(a, name+".lora_b", tensor.Constant(0), shape[0], rank))
	}
	return l
}

// Names lists the matrices that are adapted.
func (l *LoRA) Names() []string { return l.names }

// Own returns the adapters' own parameters: NAME.lora_a (rank, in) and NAME.lora_b (out, rank). The caller frees them.
func (l *LoRA) Own() *tensor.Params { return l.own }

// Merged returns base's parameters with the adapters added, as tensors of the arena: to build the net with, for one
// computation, and to write to a file.
func (l *LoRA) Merged(a *tensor.Arena) *tensor.Params {
	merged := make(map[string]tensor.T, len(l.names))
	for i, name := range l.names {
		product := a.Matmul(l.up[i], l.down[i]) // (out, in)
		merged[name] = a.Add(l.base.Tensor(name), a.MulScalar(product, l.scale))
	}
	return l.base.Replace(merged)
}
