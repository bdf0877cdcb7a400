// Package efficientnet is the EfficientNet-Lite0 image network.
package efficientnet

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"consilium/internal/tensor"
)

// Sizes of EfficientNet-Lite0.
const (
	Side = 224  // pixels of the input, each way
	Grid = 7    // cells of the output, each way
	Dim  = 1280 // values of a cell and of the pooled vector
)

// eps is what the network's batch normalisation adds to the variance.
const eps = 1e-3

// stage is a run of equal blocks; the stride belongs to the first of them.
type stage struct {
	repeats, kernel, stride, expand, out int64
}

// stages are those of EfficientNet-B0 (arXiv 1905.11946, table 1). The Lite variant leaves out squeeze-and-excitation
// and uses ReLU6 in place of swish.
var stages = []stage{
	{1, 3, 1, 1, 16},
	{2, 3, 2, 6, 24},
	{2, 5, 2, 6, 40},
	{3, 3, 2, 6, 80},
	{3, 5, 1, 6, 112},
	{4, 5, 2, 6, 192},
	{1, 3, 1, 6, 320},
}

// trunkBlocks is how many of the 16 blocks, from the lowest up, belong to the trunk: those up to the last grid of
// 14 x 14. They hold a fifth of the parameters and three fifths of the work.
const trunkBlocks = 11

// Cut is the shape of what the trunk hands to a top.
const (
	CutDim  = 112
	CutGrid = 14
)

// Model holds the network with its batch normalisation folded into the convolutions: a trunk, and a top that may stand
// beside other tops on the same trunk.
type Model struct {
	stem  conv
	trunk []block
	top   *Top
}

// New builds the network from the PyTorch state dict's parameters. The model does not use params afterwards. A
// parameter that is missing or has another shape ends the computation with an error that names it.
func New(a *tensor.Arena, params *tensor.Params) *Model {
	read := func(p *tensor.Params, name, norm string, c conv) conv { return newConv(a, p, name, norm, c) }
	m := &Model{stem: read(params, "_conv_stem", "_bn0", conv{in: 3, out: stemDim, kernel: 3, stride: 2, groups: 1})}
	blocks := newBlocks(0, len(shapes), func(i int) maker {
		p := params.Sub("_blocks").Sub(strconv.Itoa(i))
		return func(name string, c conv) conv { return read(p, "_"+name+"_conv", norms[name], c) }
	})
	m.trunk = blocks[:trunkBlocks]
	m.top = &Top{blocks: blocks[trunkBlocks:], head: read(params, "_conv_head", "_bn1", headShape)}
	return m
}

// norms are the names of the normalisations that follow a block's convolutions.
var norms = map[string]string{"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}

// Forward returns the features (B, 1280), the mean over the grid, and the grid (B, 49, 1280), row by row, of the
// pictures x (B, 3, 224, 224), red, green and blue as (v - 127) / 128.
func (m *Model) Forward(a *tensor.Arena, x tensor.T) (features, grid tensor.T) {
	return m.top.Forward(a, m.Trunk(a, x))
}

// Top returns the model's own top.
func (m *Model) Top() *Top { return m.top }

// Trunk returns what the tops read, (B, 112, 14, 14), of pictures as Forward takes them.
func (m *Model) Trunk(a *tensor.Arena, x tensor.T) tensor.T {
	if s := a.Shape(x); len(s) != 4 || s[1] != 3 || s[2] != Side || s[3] != Side {
		a.Fail("efficientnet", "input of shape %v, want [B 3 %d %d]", s, Side, Side)
	}
	mark := a.Mark()
	x = a.Relu6InPlace(m.stem.forward(a, a.ChannelsLast(a.ToPrecision(x)))) // (B, 32, 112, 112)
	a.Release(mark, x)
	return run(a, m.trunk, x)
}

// run takes x through the blocks and frees what lies between.
func run(a *tensor.Arena, blocks []block, x tensor.T) tensor.T {
	mark := a.Mark()
	for _, b := range blocks {
		x = b.forward(a, x)
		a.Release(mark, x)
	}
	return x
}

// Free frees the weights.
func (m *Model) Free(a *tensor.Arena) {
	m.stem.free(a)
	for _, b := range m.trunk {
		b.free(a)
	}
	m.top.Free(a)
}

// shape says where a block stands.
type shape struct {
	stage
	in     int64
	stride int64
}

const stemDim = 32

// headShape is the last convolution.
var headShape = conv{in: 320, out: Dim, kernel: 1, stride: 1, groups: 1}

// shapes are those of all blocks.
var shapes = func() (all []shape) {
	in := int64(stemDim)
	for _, s := range stages {
		stride := s.stride
		for range s.repeats {
			all = append(all, shape{s, in, stride})
			in, stride = s.out, 1
		}
	}
	return all
}()

// maker makes one convolution of a block: expand, depthwise or project.
type maker func(name string, c conv) conv

// newBlocks makes the blocks from number first to before number end.
func newBlocks(first, end int, of func(i int) maker) (blocks []block) {
	for i := first; i < end; i++ {
		blocks = append(blocks, newBlock(of(i), shapes[i]))
	}
	return blocks
}

// block is an inverted residual (MobileNetV2, arXiv 1801.04381): widen, filter each channel, narrow.
type block struct {
	expand    conv // of weight "none" where the block does not widen
	depthwise conv
	project   conv
	residual  bool
}

func newBlock(make maker, s shape) block {
	b := block{residual: s.stride == 1 && s.in == s.out}
	wide := s.in * s.expand
	if s.expand != 1 {
		b.expand = make("expand", conv{in: s.in, out: wide, kernel: 1, stride: 1, groups: 1})
	}
	b.depthwise = make("depthwise", conv{in: wide, out: wide, kernel: s.kernel, stride: s.stride, groups: wide})
	b.project = make("project", conv{in: wide, out: s.out, kernel: 1, stride: 1, groups: 1})
	return b
}

func (b block) free(a *tensor.Arena) {
	b.expand.free(a)
	b.depthwise.free(a)
	b.project.free(a)
}

// forward takes x (B, in, H, W) to (B, out, ceil(H / stride), ceil(W / stride)).
func (b block) forward(a *tensor.Arena, x tensor.T) tensor.T {
	y := x
	if b.expand.weight.Defined() {
		y = a.Relu6InPlace(b.expand.forward(a, y)) // (B, wide, H, W)
	}
	y = a.Relu6InPlace(b.depthwise.forward(a, y))
	y = b.project.forward(a, y)
	if b.residual {
		y = a.Add(y, x)
	}
	return y
}

// conv is a convolution with the batch normalisation that follows it folded in.
type conv struct {
	weight, bias           tensor.T // (out, in/groups, k, k) and (out)
	in, out                int64
	kernel, stride, groups int64
}

// shape is that of the weight.
func (c conv) shape() []int64 { return []int64{c.out, c.in / c.groups, c.kernel, c.kernel} }

// newConv reads a convolution of c's shape and its normalisation and folds them.
func newConv(a *tensor.Arena, p *tensor.Params, name, norm string, c conv) conv {
	w := slices.Clone(p.Sub(name).Floats(a, "weight", c.shape()...))
	n := p.Sub(norm)
	gamma, beta := n.Floats(a, "weight", c.out), n.Floats(a, "bias", c.out)
	mean, variance := n.Floats(a, "running_mean", c.out), n.Floats(a, "running_var", c.out)
	bias := fold(w, gamma, beta, mean, variance)
	c.weight = a.Name(a.Keep(a.ChannelsLast(a.ToPrecision(a.FromFloat32(w, c.shape()...)))), p.Path(name))
	c.bias = a.Keep(a.ToPrecision(a.FromFloat32(bias, c.out)))
	return c
}

// fold scales the weights w and returns the bias so that the normalisation is part of them:
// gamma (w x - mean) / sqrt(variance + eps) + beta = (w gamma / sqrt(variance + eps)) x + (beta - mean gamma / sqrt(variance + eps)).
func fold(w, gamma, beta, mean, variance []float32) (bias []float32) {
	bias = make([]float32, len(gamma))
	per := len(w) / len(gamma)
	for o := range bias {
		scale := float64(gamma[o]) / math.Sqrt(float64(variance[o])+eps)
		for i := o * per; i < (o+1)*per; i++ {
			w[i] = float32(float64(w[i]) * scale)
		}
		bias[o] = float32(float64(beta[o]) - float64(mean[o])*scale)
	}
	return bias
}

// forward convolves x (B, in, H, W) with TensorFlow's "same" padding: the output has ceil(H / stride) rows, and where
// the padding is odd the greater half lies below and to the right.
func (c conv) forward(a *tensor.Arena, x tensor.T) tensor.T {
	before, after := samePadding(a.Size(x, 2), c.kernel, c.stride) // the pictures are square, or their sides multiples of the stride
	if before != after {
		x, before = a.Pad(x, 0, before, after, before, after), 0
	}
	return a.Conv2d(x, c.weight, c.bias, c.stride, before, c.groups)
}

func (c conv) free(a *tensor.Arena) { a.Free(a.Name(c.weight, ""), c.bias) }

// samePadding returns the rows to add before and after a side of that size.
func samePadding(size, kernel, stride int64) (before, after int64) {
	out := (size + stride - 1) / stride
	total := max(0, (out-1)*stride+kernel-size)
	return total / 2, total - total/2
}

// Load reads the weights from a PyTorch state dict.
func Load(a *tensor.Arena, path string) (*Model, error) {
	raw, err := tensor.ReadPTH(path)
	if err != nil {
		return nil, fmt.Errorf("load EfficientNet-Lite0: %w", err)
	}
	params := tensor.FromRaw(raw)
	defer params.Free(a)
	return New(a, params), nil
}
