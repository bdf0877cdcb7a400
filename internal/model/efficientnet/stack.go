package efficientnet

import (
	"fmt"
	"slices"
	"strconv"

	"consilium/internal/tensor"
)

// Stack is the network without its head, for nets that learn on from what it was taught: its batch normalisation is folded
// into the convolutions, which are trained as they are. Its parameters are named as Folded names them.
type Stack struct {
	stem   conv
	stages [][]block
}

// NewStack builds a stack that sees pictures of so many colours. It keeps no tensor but p's.
func NewStack(a *tensor.Arena, p *tensor.Params, colours int64) *Stack {
	get := func(p *tensor.Params, c conv) conv {
		c.weight = p.Get(a, "weight", tensor.Fan(c.in/c.groups*c.kernel*c.kernel), c.shape()...)
		c.bias = p.Get(a, "bias", tensor.Constant(0), c.out)
		return c
	}
	s := &Stack{stem: get(p.Sub("stem"), conv{in: colours, out: stemDim, kernel: 3, stride: 2, groups: 1})}
	first := 0
	for _, stage := range stages {
		end := first + int(stage.repeats)
		s.stages = append(s.stages, newBlocks(first, end, func(i int) maker {
			p := p.Sub("blocks").Sub(strconv.Itoa(i))
			return func(name string, c conv) conv { return get(p.Sub(name), c) }
		}))
		first = end
	}
	return s
}

// Widths are the channels of what Forward returns.
func Widths() []int64 {
	var widths []int64
	for _, s := range stages {
		widths = append(widths, s.out)
	}
	return widths
}

// Forward takes x (B, colours, H, W), H and W multiples of 32, to what each of the seven stages makes of it: of H/2, H/4,
// H/8, H/16 (twice) and H/32 (twice) rows.
func (s *Stack) Forward(a *tensor.Arena, x tensor.T) []tensor.T {
	mark := a.Mark()
	x = a.Relu6InPlace(s.stem.forward(a, x)) // (B, 32, H/2, W/2)
	var made []tensor.T
	for _, blocks := range s.stages {
		x = run(a, blocks, x)
		made = append(made, x)
		a.Release(mark, made...)
	}
	return made
}

// Folded returns the parameters of a Stack of three colours as a PyTorch state dict of EfficientNet-Lite0 has them.
func Folded(dict map[string]tensor.Raw) (map[string]tensor.Raw, error) {
	out := map[string]tensor.Raw{}
	take := func(to, name, norm string) error {
		w, ok := dict[name+".weight"]
		if !ok || len(w.Shape) != 4 || w.Shape[0] == 0 {
			return fmt.Errorf("fold EfficientNet-Lite0: there is no convolution %s", name)
		}
		var parts [4][]float32
		for i, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			if parts[i] = dict[norm+"."+part].Values; int64(len(parts[i])) != w.Shape[0] {
				return fmt.Errorf("fold EfficientNet-Lite0: %s.%s has %d values, want %d", norm, part, len(parts[i]), w.Shape[0])
			}
		}
		values := slices.Clone(w.Values)
		bias := fold(values, parts[0], parts[1], parts[2], parts[3])
		out[to+".weight"], out[to+".bias"] = tensor.Raw{Shape: w.Shape, Values: values}, tensor.Raw{Shape: w.Shape[:1], Values: bias}
		return nil
	}
	if err := take("stem", "_conv_stem", "_bn0"); err != nil {
		return nil, err
	}
	for i, s := range shapes {
		for _, name := range []string{"expand", "depthwise", "project"} {
			if name == "expand" && s.expand == 1 {
				continue
			}
			from := "_blocks." + strconv.Itoa(i) + "."
			if err := take("blocks."+strconv.Itoa(i)+"."+name, from+"_"+name+"_conv", from+norms[name]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
