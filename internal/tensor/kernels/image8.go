package kernels

// #include "image8.h"
import "C"

import (
	"fmt"
	"unsafe"

	"consilium/internal/profile"
)

// Point8 is the weight of a convolution of one pixel in 8 bits, packed.
type Point8 struct {
	In, Out int
	// Name is what a profile shows.
	Name        string
	panels      []int8
	scale, bias []float32
	c           C.consilium_point8
}

// NewPoint8 packs weight (out, in): a result is the sum of bytes times weights, times its scale, plus its bias, (out) each. Free frees it.
func NewPoint8(weight []int8, scale, bias []float32, in, out int) *Point8 {
	if in < 1 || out < 1 || len(weight) != in*out || len(scale) != out || len(bias) != out {
		panic(fmt.Sprintf("kernels: a convolution of bytes from %d to %d channels with %d weights, %d scales and %d biases",
			in, out, len(weight), len(scale), len(bias)))
	}
	vectors := panelVectors(Padded(out) / 16)
	panel, blocks := vectors*16, (in+63)/64
	n := (out + panel - 1) / panel * panel
	p := &Point8{In: in, Out: out, panels: memory[int8](n * blocks * 64), scale: memory[float32](n), bias: memory[float32](n)}
	copy(p.scale, scale)
	copy(p.bias, bias)
	for o := range out {
		for i := range in {
			p.panels[o/panel*panel*blocks*64+i/4*panel*4+o%panel*4+i%4] = weight[o*in+i]
		}
	}
	p.c = C.consilium_point8{
		in: C.int(Padded(in)), out: C.int(Padded(out)), blocks: C.int(blocks), vectors: C.int(vectors), panels: bytes(p.panels),
		scale: floats(p.scale, n, "scale"), bias: floats(p.bias, n, "bias"),
	}
	return p
}

// panelVectors is how wide the panels of so many vectors are: four, or what leaves less of the last one over.
func panelVectors(n int) int {
	if n <= 4 {
		return n
	}
	if (n+3)/4*4 > (n+2)/3*3+1 {
		return 3
	}
	return 4
}

func bytes(x []int8) *C.int8_t { return (*C.int8_t)(unsafe.SliceData(x)) }

// Free frees the weight.
func (p *Point8) Free() {
	free(p.panels)
	free(p.scale)
	free(p.bias)
	*p = Point8{}
}

// Depth8 is Depth in 8 bits.
type Depth8 struct {
	// Name is what a profile shows.
	Name                     string
	channels, kernel, stride int
	weight                   []int8
	scale, bias              []float32
	c                        C.consilium_depth8
}

// NewDepth8 packs weight (channels, kernel, kernel), with scales and biases as for NewPoint8. Free frees it.
func NewDepth8(weight []int8, scale, bias []float32, kernel, stride int) *Depth8 {
	n, taps := len(bias), kernel*kernel
	if n < 1 || n%16 != 0 || kernel != 3 && kernel != 5 || stride != 1 && stride != 2 || len(weight) != n*taps || len(scale) != n {
		panic(fmt.Sprintf("kernels: filters of bytes of %d x %d, stride %d, for %d channels with %d weights and %d scales",
			kernel, kernel, stride, n, len(weight), len(scale)))
	}
	// A step computes so many rows, from so many fours of rows.
	rows, fours := [2]int{2, 1}[stride-1], 1
	if kernel == 5 {
		rows, fours = 2*rows, 2
	}
	d := &Depth8{channels: n, kernel: kernel, stride: stride, weight: memory[int8](n * rows * fours * kernel * 4), scale: memory[float32](n), bias: memory[float32](n)}
	copy(d.scale, scale)
	copy(d.bias, bias)
	for c := range n {
		for row := range rows {
			for ky := range kernel {
				for kx := range kernel {
					at := row*stride + ky // among the fours
					d.weight[((((c/16*rows+row)*fours+at/4)*kernel+kx)*16+c%16)*4+at%4] = weight[c*taps+ky*kernel+kx]
				}
			}
		}
	}
	d.c = C.consilium_depth8{
		channels: C.int(n), kernel: C.int(kernel), stride: C.int(stride), weight: bytes(d.weight),
		scale: floats(d.scale, n, "scale"), bias: floats(d.bias, n, "bias"),
	}
	return d
}

// Free frees the weight.
func (d *Depth8) Free() {
	free(d.weight)
	free(d.scale)
	free(d.bias)
	*d = Depth8{}
}

// Pixels8 is room for pixels of bytes.
type Pixels8 []uint8

// NewPixels8 returns room for n bytes.
func NewPixels8(n int) Pixels8 { return make(Pixels8, n, n+C.CONSILIUM_SLACK) }

// room returns x for C, which has to hold n bytes and what a product may read behind them.
func (x Pixels8) room(n int, what string) *C.uint8_t {
	if len(x) < n || cap(x) < n+C.CONSILIUM_SLACK {
		panic(fmt.Sprintf("kernels: %s holds %d bytes and room for %d, want %d", what, len(x), cap(x), n))
	}
	return (*C.uint8_t)(unsafe.SliceData(x))
}

// sides8 panics unless a picture of so many columns fits the kernels, and out channels fit d's.
func (d *Depth8) sides8(out, side int) {
	if side%7 != 0 || side/d.stride%7 != 0 || out != d.channels {
		panic(fmt.Sprintf("kernels: %d columns, stride %d, %d channels of bytes for a filter of %d", side, d.stride, out, d.channels))
	}
}

// Widen8 is Widen for bytes: what p gives is rounded to 0..255, and so is y.
func (t *Team) Widen8(p *Point8, d *Depth8, x Pixels8, images, side int, y Pixels8) {
	if d.sides8(p.Out, side); p.c.vectors < 3 || Padded(p.In) > maxIn8 {
		panic(fmt.Sprintf("kernels: a convolution of bytes from %d to %d channels before a filter", p.In, p.Out))
	}
	out := side / d.stride
	defer profile.End(profile.Begin(), "widen in 8 bits", p.Name, widened(images, side, p.In, p.Out, d.kernel, d.stride))
	C.consilium_widen8(t.bits8(), &p.c, &d.c, x.room(images*side*side*Padded(p.In), "x"), C.int(images), C.int(side),
		y.room(images*out*out*d.channels, "y"))
}

// maxIn8 is the widest pixel whose product reads no further than there is room.
const maxIn8 = (C.CONSILIUM_SLACK - 64) / 32

// Stem8 is Stem for bytes: what p gives is rounded to 0..255, and so is y.
func (t *Team) Stem8(p *Point, d *Depth8, x []float32, images, side int, y Pixels8) {
	d.sides8(p.Out, side)
	p.stem()
	out := side / d.stride
	defer profile.End(profile.Begin(), "stem in 8 bits", p.Name, widened(images, side, p.In, p.Out, d.kernel, d.stride))
	C.consilium_stem8(t.bits8(), &p.c, &d.c, floats(x, images*3*4*side*side, "x"), C.int(images), C.int(side),
		y.room(images*out*out*d.channels, "y"))
}

// Rounding says how values become bytes: times Share plus Zero, (channels) each, rounded to 0..255.
type Rounding struct{ Share, Zero []float32 }

// NewRounding pads share and zero (channels).
func NewRounding(share, zero []float32) *Rounding {
	n := Padded(len(share))
	r := &Rounding{make([]float32, n), make([]float32, n)}
	copy(r.Share, share)
	copy(r.Zero, zero)
	return r
}

// Narrow8 is Narrow for bytes x (rows, In): f(p(x)) goes to y unless that is nil, and rounded by r to bytes unless that is nil.
func (t *Team) Narrow8(p *Point8, x Pixels8, rows int, f PointAfter, residual, y []float32, r *Rounding, b Pixels8) {
	n, wide := rows*Padded(p.Out), Padded(p.Out)
	if Padded(p.In) > maxIn8 {
		panic(fmt.Sprintf("kernels: a convolution of bytes from %d channels, want at most %d", p.In, maxIn8))
	}
	var added, floating, share, zero *C.float
	var rounded *C.uint8_t
	if f == PointAdd {
		added = floats(residual, n, "residual")
	}
	if y != nil {
		floating = floats(y, n, "y")
	}
	if b != nil {
		share, zero, rounded = floats(r.Share, wide, "share"), floats(r.Zero, wide, "zero"), b.room(n, "bytes")
	}
	defer profile.End(profile.Begin(), "narrow in 8 bits", p.Name, float64(rows)*float64(p.In)*float64(p.Out))
	C.consilium_narrow8(t.bits8(), &p.c, x.room(rows*Padded(p.In), "x"), C.int(rows), C.int(f), added, floating, share, zero, rounded)
}

// bits8 panics on a team that has no kernels for pictures in 8 bits.
func (t *Team) bits8() *C.consilium_team {
	if t.level < AVX512 {
		panic(fmt.Sprintf("kernels: pictures in 8 bits at level %s, want %s", t.level, AVX512))
	}
	return t.c
}
