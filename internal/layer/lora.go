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
	scale     float64
}

// NewLoRA draws adapters of the given rank for the named matrices (out, in) of base. At first they change nothing.
func NewLoRA(a *tensor.Arena, base *tensor.Params, names []string, seed uint64, rank int64, alpha float64) *LoRA {
	l := &LoRA{base: base, own: tensor.Random(seed), names: names, scale: alpha / float64(rank)}
	for _, name := range names {
		shape := a.Shape(base.Tensor(name))
		l.own.Get(a, name+".lora_a", tensor.Normal(1/math.Sqrt(float64(shape[1]))), rank, shape[1])
		l.own.Get(a, name+".lora_b", tensor.Constant(0), shape[0], rank)
	}
	return l
}

// Own returns the adapters' own parameters: NAME.lora_a (rank, in) and NAME.lora_b (out, rank). The caller frees them.
func (l *LoRA) Own() *tensor.Params { return l.own }

// Merged returns base's parameters with the adapters added, as tensors of the arena: to build the net with, for one
// computation, and to write to a file.
func (l *LoRA) Merged(a *tensor.Arena) *tensor.Params {
	merged := make(map[string]tensor.T, len(l.names))
	for _, name := range l.names {
		product := a.Matmul(l.own.Tensor(name+".lora_b"), l.own.Tensor(name+".lora_a")) // (out, in)
		merged[name] = a.Add(l.base.Tensor(name), a.MulScalar(product, l.scale))
	}
	return l.base.Replace(merged)
}
