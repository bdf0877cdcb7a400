package efficientnet

import (
	"math"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// bytes8 says how a layer's values become bytes, channel by channel: v is round((v - low) / step). The mean is that of v.
type bytes8 struct{ low, step, mean []float32 }

// leastRange bounds a range from below, so that a channel that was silent on all pictures may still say something.
const leastRange = 0.1

// newBytes8 spreads what was seen over 0 to 255, or 0..6 where values are clipped: ranges that were seen were no better there.
func newBytes8(s *Seen) bytes8 {
	n := len(s.Mean)
	b := bytes8{make([]float32, n), make([]float32, n), s.Mean}
	for c := range n {
		b.step[c] = 6.0 / 255
		if s.High != nil {
			b.low[c], b.step[c] = s.Low[c], max(leastRange, s.High[c]-s.Low[c])/255
		}
	}
	return b
}

// rounding is b for the kernels.
func (b bytes8) rounding() *kernels.Rounding {
	share, zero := make([]float32, len(b.low)), make([]float32, len(b.low))
	for c, step := range b.step {
		share[c], zero[c] = 1/step, -b.low[c]/step
	}
	return kernels.NewRounding(share, zero)
}

// layer8 is a convolution of bytes: a result is the sum of bytes times weights, times scale, plus bias.
type layer8 struct {
	weight      []int8
	scale, bias []float32
}

// quantise rounds the weights of c to 8 bits, those of an output by their largest, for an input of bytes. What rounding them
// adds to the mean of an output is taken off its bias (Nagel et al. 2019, https://arxiv.org/abs/1906.04721). The results are to
// be bytes as out says, or floats if that is nil.
func quantise(a *tensor.Arena, c conv, in bytes8, out *bytes8) layer8 {
	weight, bias := a.Float32s(a.Contiguous(c.weight)), a.Float32s(c.bias)
	l := layer8{make([]int8, len(weight)), make([]float32, len(bias)), make([]float32, len(bias))}
	per, taps := len(weight)/len(bias), int(c.kernel*c.kernel)
	for o := range bias {
		channel := func(i int) int { return i / taps } // of weight i
		if c.groups > 1 {
			channel = func(int) int { return o }
		}
		row, top := weight[o*per:(o+1)*per], 1e-12
		for i, w := range row {
			top = max(top, math.Abs(float64(w)*float64(in.step[channel(i)])))
		}
		scale, shift := top/127, float64(bias[o])
		for i, w := range row {
			c := channel(i)
			q := math.RoundToEven(float64(w) * float64(in.step[c]) / scale)
			l.weight[o*per+i] = int8(q)
			kept := scale * q / float64(in.step[c]) // what is left of w
			shift += kept*float64(in.low[c]) + (float64(w)-kept)*float64(in.mean[c])
		}
		if out != nil {
			scale, shift = scale/float64(out.step[o]), (shift-float64(out.low[o]))/float64(out.step[o])
		}
		l.scale[o], l.bias[o] = float32(scale), float32(shift)
	}
	return l
}
