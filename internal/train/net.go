package train

import (
	"fmt"
	"slices"
	"strings"

	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// net is the parameters of a run: the model's own, of which some are frozen, and the adapters.
type net struct {
	base      *tensor.Params
	lora      *layer.LoRA // nil if there are no adapters
	trainable []named
}

type named struct {
	name string
	t    tensor.T
}

// newNet divides the parameters of a model that has been built, by the settings.
func newNet(a *tensor.Arena, base *tensor.Params, s Settings) (*net, error) {
	n := &net{base: base}
	frozen, rest := divide(a, base, s.Freeze)
	if s.LoRARank > 0 {
		var matrices []string
		for _, name := range frozen {
			if adaptable(name, a.Shape(base.Tensor(name)), int64(s.LoRARank)) {
				matrices = append(matrices, name)
			}
		}
		if len(matrices) == 0 {
			return nil, fmt.Errorf("lora_rank = %d: none of the %d frozen parameters is a matrix wider than that", s.LoRARank, len(frozen))
		}
		n.lora = layer.NewLoRA(a, base, matrices, s.Seed, int64(s.LoRARank), s.LoRAAlpha)
		for _, name := range n.lora.Own().Order() {
			n.trainable = append(n.trainable, named{name, n.lora.Own().Tensor(name)})
		}
	}
	for _, name := range rest {
		n.trainable = append(n.trainable, named{name, base.Tensor(name)})
	}
	slices.SortFunc(n.trainable, func(x, y named) int { return strings.Compare(x.name, y.name) })
	return n, nil
}

// divide freezes parameters in the order of the layers as long as they make up no more than that share of all values.
func divide(a *tensor.Arena, p *tensor.Params, share float64) (frozen, rest []string) {
	size := func(name string) int64 {
		n := int64(1)
		for _, d := range a.Shape(p.Tensor(name)) {
			n *= d
		}
		return n
	}
	order, total := p.Order(), int64(0)
	for _, name := range order {
		total += size(name)
	}
	below := int64(0)
	for i, name := range order {
		if below += size(name); float64(below) > share*float64(total) {
			return order[:i], order[i:]
		}
	}
	return order, nil
}

// adaptable says whether a parameter is the weight of a linear layer that an adapter would be smaller than; a table
// of embeddings is looked up, not multiplied.
func adaptable(name string, shape []int64, rank int64) bool {
	return len(shape) == 2 && min(shape[0], shape[1]) > rank && strings.HasSuffix(name, ".weight") && !strings.Contains(name, "embedding")
}

// merged returns what the model runs on and what is saved.
func (n *net) merged(a *tensor.Arena) *tensor.Params {
	if n.lora == nil {
		return n.base
	}
	return n.lora.Merged(a)
}

// values returns a copy of every parameter, by name.
func (n *net) values(a *tensor.Arena) map[string]tensor.Raw {
	values := n.base.Values(a)
	if n.lora != nil {
		for name, v := range n.lora.Own().Values(a) {
			values[name] = v
		}
	}
	return values
}

// shapes returns the shape of every parameter, by name.
func (n *net) shapes(a *tensor.Arena) map[string][]int64 {
	all := []*tensor.Params{n.base}
	if n.lora != nil {
		all = append(all, n.lora.Own())
	}
	shapes := map[string][]int64{}
	for _, p := range all {
		for _, name := range p.Order() {
			shapes[name] = a.Shape(p.Tensor(name))
		}
	}
	return shapes
}

// load overwrites every parameter.
func (n *net) load(a *tensor.Arena, values map[string]tensor.Raw) {
	n.base.Load(a, values)
	if n.lora != nil {
		n.lora.Own().Load(a, values)
	}
}

func (n *net) free(a *tensor.Arena) {
	if n.lora != nil {
		n.lora.Own().Free(a)
	}
	n.base.Free(a)
}
