package unet

import (
	"strconv"

	"consilium/internal/tensor"
)

// stage is a run of equal blocks; the stride belongs to the first of them.
type stage struct {
	repeats, kernel, stride, expand, out int64
}

// stages are those of EfficientNet-Lite0 (https://arxiv.org/abs/1905.11946, table 1, without squeeze-and-excitation).
var stages = []stage{
	{1, 3, 1, 1, 16},
	{2, 3, 2, 6, 24},
	{2, 5, 2, 6, 40},
	{3, 3, 2, 6, 80},
	{3, 5, 1, 6, 112},
	{4, 5, 2, 6, 192},
	{1, 3, 1, 6, 320},
}

// taps are the stages whose last block the decoder sees as well: the largest pictures of 1/2, 1/4, 1/8 and 1/16 size.
var taps = []int{0, 1, 2, 4}

// stemWidth is how many channels the first convolution makes.
const stemWidth = 32

// encoder is EfficientNet-Lite0 without its head and with its batch normalisation folded into the convolutions, which
// are trained on as they are: the statistics of ImageNet are a scale like any other.
type encoder struct {
	stem   conv
	blocks []block
	taps   []bool  // by block
	skips  []int64 // channels at the taps
	out    int64   // channels at the end
}

func newEncoder(a *tensor.Arena, p *tensor.Params) *encoder {
	e := &encoder{stem: newConv(a, p.Sub("stem"), 1, stemWidth, 3, 2, 1)}
	in, next := int64(stemWidth), 0
	for i, s := range stages {
		stride := s.stride
		for r := range s.repeats {
			e.blocks = append(e.blocks, newBlock(a, p.Sub("blocks").Sub(strconv.Itoa(len(e.blocks))), s, in, stride))
			tap := next < len(taps) && taps[next] == i && r == s.repeats-1
			if e.taps = append(e.taps, tap); tap {
				e.skips, next = append(e.skips, s.out), next+1
			}
			in, stride = s.out, 1
		}
	}
	e.out = in
	return e
}

// forward takes x (B, 1, H, W) to (B, 320, H/32, W/32) and the pictures at the taps, the largest first.
func (e *encoder) forward(a *tensor.Arena, x tensor.T) (y tensor.T, skips []tensor.T) {
	y = relu6(a, e.stem.forward(a, x)) // (B, 32, H/2, W/2)
	for i, b := range e.blocks {
		if y = b.forward(a, y); e.taps[i] {
			skips = append(skips, y)
		}
	}
	return y, skips
}

// block is an inverted residual (MobileNetV2, https://arxiv.org/abs/1801.04381): widen, filter each channel, narrow.
type block struct {
	widens    bool
	expand    conv
	depthwise conv
	project   conv
	residual  bool
}

func newBlock(a *tensor.Arena, p *tensor.Params, s stage, in, stride int64) block {
	b := block{widens: s.expand != 1, residual: stride == 1 && in == s.out}
	wide := in * s.expand
	if b.widens {
		b.expand = newConv(a, p.Sub("expand"), in, wide, 1, 1, 1)
	}
	b.depthwise = newConv(a, p.Sub("depthwise"), wide, wide, s.kernel, stride, wide)
	b.project = newConv(a, p.Sub("project"), wide, s.out, 1, 1, 1)
	return b
}

// forward takes x (B, in, H, W) to (B, out, ceil(H / stride), ceil(W / stride)).
func (b block) forward(a *tensor.Arena, x tensor.T) tensor.T {
	y := x
	if b.widens {
		y = relu6(a, b.expand.forward(a, y)) // (B, wide, H, W)
	}
	y = relu6(a, b.depthwise.forward(a, y))
	y = b.project.forward(a, y)
	if b.residual {
		y = a.Add(y, x)
	}
	return y
}

func relu6(a *tensor.Arena, x tensor.T) tensor.T { return a.Clamp(x, 0, 6) }

// conv is a convolution of kernel x kernel with TensorFlow's "same" padding.
type conv struct {
	weight, bias           tensor.T // (out, in/groups, k, k) and (out)
	kernel, stride, groups int64
}

func newConv(a *tensor.Arena, p *tensor.Params, in, out, kernel, stride, groups int64) conv {
	return conv{
		weight: p.Get(a, "weight", tensor.Fan(in/groups*kernel*kernel), out, in/groups, kernel, kernel),
		bias:   p.Get(a, "bias", tensor.Constant(0), out),
		kernel: kernel, stride: stride, groups: groups,
	}
}

// forward takes x (B, in, H, W) to (B, out, ceil(H / stride), ceil(W / stride)). Where the padding is odd its greater
// half lies below and to the right.
func (c conv) forward(a *tensor.Arena, x tensor.T) tensor.T {
	top, bottom := samePadding(a.Size(x, 2), c.kernel, c.stride)
	left, right := samePadding(a.Size(x, 3), c.kernel, c.stride)
	if top == bottom && left == right && top == left {
		return a.Conv2d(x, c.weight, c.bias, c.stride, top, c.groups)
	}
	return a.Conv2d(a.Pad(x, 0, left, right, top, bottom), c.weight, c.bias, c.stride, 0, c.groups)
}

// samePadding returns the rows to add before and after a side of that size.
func samePadding(size, kernel, stride int64) (before, after int64) {
	out := (size + stride - 1) / stride
	total := max(0, (out-1)*stride+kernel-size)
	return total / 2, total - total/2
}
