package kernels

// #include "image.h"
import "C"

import (
	"fmt"

	"consilium/internal/profile"
)

// PointAfter says what follows a convolution of one pixel.
type PointAfter int

// What can follow.
const (
	PointKeep PointAfter = C.CONSILIUM_POINT_KEEP // nothing
	PointAdd  PointAfter = C.CONSILIUM_POINT_ADD  // the residual
	PointClip PointAfter = C.CONSILIUM_POINT_CLIP // to 0..6 (ReLU6)
)

// Padded is how many channels a picture of so many has in memory, (rows, columns, Padded(channels)), zeros at the end.
func Padded(channels int) int { return (channels + 15) / 16 * 16 }

// Point is the weight of a convolution of one pixel, packed.
type Point struct {
	In, Out int
	// Name is what a profile shows.
	Name         string
	panels, bias []float32
	c            C.consilium_point
}

// NewPoint packs weight (out, in) and bias (out). Free frees it.
func NewPoint(weight, bias []float32, in, out int) *Point {
	if in < 1 || out < 1 || len(weight) != in*out || len(bias) != out {
		panic(fmt.Sprintf("kernels: a convolution from %d to %d channels with %d weights and %d biases", in, out, len(weight), len(bias)))
	}
	p := &Point{In: in, Out: out, panels: memory[float32](in * Padded(out)), bias: memory[float32](Padded(out))}
	copy(p.bias, bias)
	C.consilium_pack_point(floats(weight, in*out, "weight"), C.int(in), C.int(out), floats(p.panels, in*Padded(out), "panels"))
	p.c = C.consilium_point{
		in: C.int(in), out: C.int(out), panels: floats(p.panels, len(p.panels), "panels"), bias: floats(p.bias, len(p.bias), "bias"),
	}
	return p
}

// Free frees the weight.
func (p *Point) Free() {
	free(p.panels)
	free(p.bias)
	*p = Point{}
}

// Depth is the weight of a filter for each channel (depthwise convolution), with "same" padding as TensorFlow has it.
type Depth struct {
	channels, kernel, stride int
	weight, bias             []float32
	c                        C.consilium_depth
}

// NewDepth copies weight (channels, kernel, kernel) and bias (channels). Free frees it.
func NewDepth(weight, bias []float32, kernel, stride int) *Depth {
	n, taps := len(bias), kernel*kernel
	if n < 1 || n%16 != 0 || kernel != 3 && kernel != 5 || stride != 1 && stride != 2 || len(weight) != n*taps {
		panic(fmt.Sprintf("kernels: filters of %d x %d, stride %d, for %d channels with %d weights", kernel, kernel, stride, n, len(weight)))
	}
	d := &Depth{channels: n, kernel: kernel, stride: stride, weight: memory[float32](n * taps), bias: memory[float32](n)}
	copy(d.bias, bias)
	for c := range n {
		for tap := range taps {
			d.weight[tap*n+c] = weight[c*taps+tap]
		}
	}
	d.c = C.consilium_depth{
		channels: C.int(n), kernel: C.int(kernel), stride: C.int(stride), weight: floats(d.weight, n*taps, "weight"), bias: floats(d.bias, n, "bias"),
	}
	return d
}

// Free frees the weight.
func (d *Depth) Free() {
	free(d.weight)
	free(d.bias)
	*d = Depth{}
}

// sides panics unless a picture of so many columns fits the kernels and p's channels fit d's.
func sides(p *Point, d *Depth, side int) {
	if side%7 != 0 || side/d.stride%7 != 0 || p.Out != d.channels {
		panic(fmt.Sprintf("kernels: %d columns, stride %d, %d channels for a filter of %d", side, d.stride, p.Out, d.channels))
	}
}

// Widen writes clip(d(clip(p(x)))) to y (images, side / stride, side / stride, channels), from x (images, side, side, In).
func (t *Team) Widen(p *Point, d *Depth, x []float32, images, side int, y []float32) {
	sides(p, d, side)
	out := side / d.stride
	defer profile.End(profile.Begin(), "widen", p.Name, widened(images, side, p.In, p.Out, d.kernel, d.stride))
	C.consilium_widen(t.c, &p.c, &d.c, floats(x, images*side*side*Padded(p.In), "x"), C.int(images), C.int(side),
		floats(y, images*out*out*d.channels, "y"))
}

// Stem is Widen with a convolution of 3 x 3 pixels and stride 2 before the filter: x is (images, 3, 2 side, 2 side), and p
// packs a weight (32, 3, 3, 3).
func (t *Team) Stem(p *Point, d *Depth, x []float32, images, side int, y []float32) {
	sides(p, d, side)
	p.stem()
	out := side / d.stride
	defer profile.End(profile.Begin(), "stem", p.Name, widened(images, side, p.In, p.Out, d.kernel, d.stride))
	C.consilium_stem(t.c, &p.c, &d.c, floats(x, images*3*4*side*side, "x"), C.int(images), C.int(side), floats(y, images*out*out*d.channels, "y"))
}

// stem panics unless p is the convolution of a stem.
func (p *Point) stem() {
	if p.In != 27 || p.Out != 32 {
		panic(fmt.Sprintf("kernels: a stem of %d inputs and %d outputs, want 27 and 32", p.In, p.Out))
	}
}

// widened counts the multiplications with an addition of a convolution and of the filter that follows it.
func widened(images, side, in, out, kernel, stride int) float64 {
	return float64(images*side*side) * float64(out) * (float64(in) + float64(kernel*kernel)/float64(stride*stride))
}

// Narrow writes f(p(x)) to y (rows, Out) from x (rows, In), both padded; rows is a multiple of 7. The residual is for PointAdd.
func (t *Team) Narrow(p *Point, x []float32, rows int, f PointAfter, residual, y []float32) {
	if rows%7 != 0 {
		panic(fmt.Sprintf("kernels: %d pixels, want a multiple of 7", rows))
	}
	n := rows * Padded(p.Out)
	if f != PointAdd {
		residual = y
	}
	defer profile.End(profile.Begin(), "narrow", p.Name, float64(rows)*float64(p.In)*float64(p.Out))
	C.consilium_narrow(t.c, &p.c, floats(x, rows*Padded(p.In), "x"), C.int(rows), C.int(f), floats(residual, n, "residual"), floats(y, n, "y"))
}

// Mean writes the mean over the cells of x (images, cells, dim) to y (images, dim).
func (t *Team) Mean(x []float32, images, cells, dim int, y []float32) {
	defer profile.End(profile.Begin(), "mean", nil, 0)
	C.consilium_mean(t.c, floats(x, images*cells*dim, "x"), C.int(images), C.int(cells), C.int(dim), floats(y, images*dim, "y"))
}
