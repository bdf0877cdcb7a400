package unet

import (
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
)

// taps are the stages that the decoder sees besides the last: the largest pictures of 1/2, 1/4, 1/8 and 1/16 size.
var taps = []int{0, 1, 2, 4}

// encoder is EfficientNet-Lite0 without its head, on grey pictures; the statistics of ImageNet are a scale like any other.
type encoder struct {
	stack *efficientnet.Stack
	skips []int64 // channels at the taps
	out   int64   // channels at the end
}

func newEncoder(a *tensor.Arena, p *tensor.Params) *encoder {
	e := &encoder{stack: efficientnet.NewStack(a, p, 1)}
	widths := efficientnet.Widths()
	for _, tap := range taps {
		e.skips = append(e.skips, widths[tap])
	}
	e.out = widths[len(widths)-1]
	return e
}

// forward takes x (B, 1, H, W) to (B, 320, H/32, W/32) and the pictures at the taps, the largest first.
func (e *encoder) forward(a *tensor.Arena, x tensor.T) (y tensor.T, skips []tensor.T) {
	made := e.stack.Forward(a, x)
	for _, tap := range taps {
		skips = append(skips, made[tap])
	}
	return made[len(made)-1], skips
}
