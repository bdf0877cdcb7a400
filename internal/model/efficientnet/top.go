package efficientnet

import (
	"strconv"

	"consilium/internal/tensor"
)

// Top is the upper part of the network, above the trunk: the last five blocks, which see the picture in 7 x 7 cells,
// and the widening convolution. Several tops may read one trunk: the published one, and one that was trained on for a
// kind of picture that ImageNet lacks.
type Top struct {
	blocks []block
	head   conv
}

// NewTop builds a top of parameters as Weights names them, for training; the parameters stay p's.
func NewTop(a *tensor.Arena, p *tensor.Params) *Top {
	get := func(p *tensor.Params, c conv) conv {
		c.weight, c.bias = p.Get(a, "weight", nil, c.shape()...), p.Get(a, "bias", nil, c.out)
		return c
	}
	return &Top{
		blocks: newBlocks(trunkBlocks, len(shapes), func(i int) maker {
			p := p.Sub("blocks").Sub(strconv.Itoa(i))
			return func(name string, c conv) conv { return get(p.Sub(name), c) }
		}),
		head: get(p.Sub("head"), headShape),
	}
}

// LoadTop builds a top for inference of what a file holds under the names of Weights. Free frees it.
func LoadTop(a *tensor.Arena, raw map[string]tensor.Raw) *Top {
	p := tensor.FromRaw(raw)
	defer p.Free(a)
	t := NewTop(a, p)
	t.each(func(_ string, c *conv) {
		c.weight, c.bias = a.Keep(a.ChannelsLast(c.weight)), a.Keep(a.Detach(c.bias))
	})
	return t
}

// Weights returns a copy of the weights with the normalisation folded in: "blocks.11.expand.weight" to "head.bias".
func (t *Top) Weights(a *tensor.Arena) map[string]tensor.Raw {
	all := map[string]tensor.Raw{}
	t.each(func(name string, c *conv) {
		all[name+".weight"] = tensor.Raw{Shape: c.shape(), Values: a.Float32s(a.Contiguous(c.weight))}
		all[name+".bias"] = tensor.Raw{Shape: []int64{c.out}, Values: a.Float32s(c.bias)}
	})
	return all
}

// each visits every convolution.
func (t *Top) each(visit func(name string, c *conv)) {
	for i := range t.blocks {
		b, name := &t.blocks[i], "blocks."+strconv.Itoa(trunkBlocks+i)
		visit(name+".expand", &b.expand)
		visit(name+".depthwise", &b.depthwise)
		visit(name+".project", &b.project)
	}
	visit("head", &t.head)
}

// Forward returns the features (B, 1280), the mean over the grid, and the grid (B, 49, 1280), row by row, of what the
// trunk made of the pictures, x (B, 112, 14, 14).
func (t *Top) Forward(a *tensor.Arena, x tensor.T) (features, grid tensor.T) {
	mark := a.Mark()
	x = a.Relu6InPlace(t.head.forward(a, run(a, t.blocks, x)))     // (B, 1280, 7, 7)
	features = a.Mean(x, false, 2, 3)                              // (B, 1280)
	grid = a.Reshape(a.Permute(x, 0, 2, 3, 1), -1, Grid*Grid, Dim) // (B, 49, 1280)
	a.Release(mark, features, grid)
	return features, grid
}

// Free frees the weights.
func (t *Top) Free(a *tensor.Arena) { t.each(func(_ string, c *conv) { c.free(a) }) }
