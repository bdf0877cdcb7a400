// Package efficientnet is the EfficientNet-Lite0 image network.
package efficientnet

import (
	"fmt"
	"math"
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

// Model holds the network with its batch normalisation folded into the convolutions.
type Model struct {
	stem   conv
	blocks []block
	head   conv
}

// New builds the network from the PyTorch state dict's parameters. The model does not use params afterwards. A
// parameter that is missing or has another shape ends the computation with an error that names it.
func New(a *tensor.Arena, params *tensor.Params) *Model {
	in := int64(32)
	m := &Model{stem: newConv(a, params, "_conv_stem", "_bn0", 3, in, 3, 2, 1)}
	for _, s := range stages {
		stride := s.stride
		for range s.repeats {
			m.blocks = append(m.blocks, newBlock(a, params.Sub("_blocks").Sub(strconv.Itoa(len(m.blocks))), s, in, stride))
			in, stride = s.out, 1
		}
	}
	m.head = newConv(a, params, "_conv_head", "_bn1", in, Dim, 1, 1, 1)
	return m
}

// Forward returns the features (B, 1280), the mean over the grid, and the grid (B, 49, 1280), row by row, of the
// pictures x (B, 3, 224, 224), red, green and blue as (v - 127) / 128.
func (m *Model) Forward(a *tensor.Arena, x tensor.T) (features, grid tensor.T) {
	if s := a.Shape(x); len(s) != 4 || s[1] != 3 || s[2] != Side || s[3] != Side {
		a.Fail("efficientnet", "input of shape %v, want [B 3 %d %d]", s, Side, Side)
	}
	mark := a.Mark()
	x = a.Relu6InPlace(m.stem.forward(a, a.ChannelsLast(x))) // (B, 32, 112, 112)
	a.Release(mark, x)
	for _, b := range m.blocks {
		mark := a.Mark() - 1 // the block's input goes as well
		x = b.forward(a, x)
		a.Release(mark, x)
	}
	x = a.Relu6InPlace(m.head.forward(a, x))                       // (B, 1280, 7, 7)
	features = a.Mean(x, false, 2, 3)                              // (B, 1280)
	grid = a.Reshape(a.Permute(x, 0, 2, 3, 1), -1, Grid*Grid, Dim) // (B, 49, 1280)
	a.Release(mark, features, grid)
	return features, grid
}

// Free frees the weights.
func (m *Model) Free(a *tensor.Arena) {
	m.stem.free(a)
	for _, b := range m.blocks {
		b.expand.free(a)
		b.depthwise.free(a)
		b.project.free(a)
	}
	m.head.free(a)
}

// block is an inverted residual (MobileNetV2, arXiv 1801.04381): widen, filter each channel, narrow.
type block struct {
	expand    conv // of weight "none" where the block does not widen
	depthwise conv
	project   conv
	residual  bool
}

func newBlock(a *tensor.Arena, p *tensor.Params, s stage, in, stride int64) block {
	b := block{residual: stride == 1 && in == s.out}
	wide := in * s.expand
	if s.expand != 1 {
		b.expand = newConv(a, p, "_expand_conv", "_bn0", in, wide, 1, 1, 1)
	}
	b.depthwise = newConv(a, p, "_depthwise_conv", "_bn1", wide, wide, s.kernel, stride, wide)
	b.project = newConv(a, p, "_project_conv", "_bn2", wide, s.out, 1, 1, 1)
	return b
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
	kernel, stride, groups int64
}

// newConv reads a convolution and its normalisation and folds them:
// gamma (w x - mean) / sqrt(variance + eps) + beta = (w gamma / sqrt(variance + eps)) x + (beta - mean gamma / sqrt(variance + eps)).
func newConv(a *tensor.Arena, p *tensor.Params, name, norm string, in, out, kernel, stride, groups int64) conv {
	w := a.Float32s(p.Sub(name).Get(a, "weight", nil, out, in/groups, kernel, kernel))
	n := p.Sub(norm)
	gamma, beta := a.Float32s(n.Get(a, "weight", nil, out)), a.Float32s(n.Get(a, "bias", nil, out))
	mean, variance := a.Float32s(n.Get(a, "running_mean", nil, out)), a.Float32s(n.Get(a, "running_var", nil, out))
	bias := make([]float32, out)
	per := len(w) / int(out)
	for o := range bias {
		scale := float64(gamma[o]) / math.Sqrt(float64(variance[o])+eps)
		for i := o * per; i < (o+1)*per; i++ {
			w[i] = float32(float64(w[i]) * scale)
		}
		bias[o] = float32(float64(beta[o]) - float64(mean[o])*scale)
	}
	return conv{
		weight: a.Keep(a.ChannelsLast(a.FromFloat32(w, out, in/groups, kernel, kernel))),
		bias:   a.Keep(a.FromFloat32(bias, out)),
		kernel: kernel, stride: stride, groups: groups,
	}
}

// forward convolves x (B, in, H, W) with TensorFlow's "same" padding: the output has ceil(H / stride) rows, and where
// the padding is odd the greater half lies below and to the right.
func (c conv) forward(a *tensor.Arena, x tensor.T) tensor.T {
	before, after := samePadding(a.Size(x, 2), c.kernel, c.stride) // the pictures are square all the way
	if before != after {
		x, before = a.Pad(x, 0, before, after, before, after), 0
	}
	return a.Conv2d(x, c.weight, c.bias, c.stride, before, c.groups)
}

func (c conv) free(a *tensor.Arena) { a.Free(c.weight, c.bias) }

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
