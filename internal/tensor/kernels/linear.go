package kernels

// #include "kernels.h"
import "C"

import (
	"fmt"
	"unsafe"

	"consilium/internal/profile"
)

// After says what follows x W + b.
type After int

// What can follow.
const (
	Keep After = C.CONSILIUM_KEEP // nothing
	Gelu After = C.CONSILIUM_GELU // x times the normal distribution function of x
	Add  After = C.CONSILIUM_ADD  // the residual
	Silu After = C.CONSILIUM_SILU // x times the logistic function of x
)

// Linear is the weight of a linear layer, packed as float32 or as bytes.
type Linear struct {
	In, Out int
	// Name is what a profile shows.
	Name    string
	panels  []float32
	panels8 []int8
	bias    []float32
	scale   []float32 // of each output of panels8
	sums    []int32   // of each output of panels8
	c       C.consilium_linear32
	c8      C.consilium_linear8
}

const (
	panel  = 48  // columns of a float32 panel
	panel8 = 64  // columns of a panel of bytes
	turned = 128 // inputs of a layer of bytes that are turned together
)

// NewLinear packs weight (out, in) and bias (out). Free frees it.
func NewLinear(weight, bias []float32, in, out int) *Linear {
	if out%16 != 0 {
		panic(fmt.Sprintf("kernels: a layer with %d outputs, want a multiple of 16", out))
	}
	l := newLinear(weight, bias, in, out, panel)
	l.panels = memory[float32](len(l.bias) * in)
	C.consilium_pack32(floats(weight, in*out, "weight"), C.int(in), C.int(out), floats(l.panels, len(l.panels), "panels"))
	l.c = C.consilium_linear32{
		in: C.int(in), out: C.int(out), panels: floats(l.panels, len(l.panels), "panels"), bias: floats(l.bias, len(l.bias), "bias"),
	}
	return l
}

// NewLinear8 packs weight (out, in), quantised to 8 bits with a scale for each output, and bias (out). Free frees it.
func NewLinear8(weight, bias []float32, in, out int) *Linear {
	if in%turned != 0 || out%panel8 != 0 {
		panic(fmt.Sprintf("kernels: a layer of bytes from %d to %d values, want multiples of %d and %d", in, out, turned, panel8))
	}
	l := newLinear(weight, bias, in, out, panel8)
	l.panels8, l.scale, l.sums = memory[int8](in*out), memory[float32](out), memory[int32](out)
	panels := (*C.int8_t)(unsafe.SliceData(l.panels8))
	C.consilium_pack8(floats(weight, in*out, "weight"), C.int(in), C.int(out), panels, floats(l.scale, out, "scale"), ints(l.sums),
		floats(make([]float32, in), in, "row"))
	l.c8 = C.consilium_linear8{
		in: C.int(in), out: C.int(out), panels: panels, bias: floats(l.bias, out, "bias"), scale: floats(l.scale, out, "scale"), sums: ints(l.sums),
	}
	return l
}

func newLinear(weight, bias []float32, in, out, panel int) *Linear {
	if in < 1 || out < 1 || len(weight) != in*out || len(bias) != out {
		panic(fmt.Sprintf("kernels: a layer from %d to %d values with %d weights and %d biases", in, out, len(weight), len(bias)))
	}
	l := &Linear{In: in, Out: out, bias: memory[float32]((out + panel - 1) / panel * panel)}
	copy(l.bias, bias)
	return l
}

// Bytes reports whether the layer is one of NewLinear8.
func (l *Linear) Bytes() bool { return l.panels8 != nil }

// Free frees the layer.
func (l *Linear) Free() {
	free(l.panels)
	free(l.panels8)
	free(l.bias)
	free(l.scale)
	free(l.sums)
	*l = Linear{}
}

// Multiply writes f(x W + b) to y (rows, out), from x (rows, in). The residual (rows, out) is for Add; it may be y.
func (t *Team) Multiply(l *Linear, x []float32, rows int, f After, residual, y []float32) {
	n := rows * l.Out
	if l.panels == nil {
		panic("kernels: a layer of bytes needs bytes")
	}
	defer profile.End(profile.Begin(), "product", l.Name, float64(n)*float64(l.In))
	C.consilium_multiply32(t.c, &l.c, floats(x, rows*l.In, "x"), C.int(rows), C.int(f), added(f, residual, n), floats(y, n, "y"))
}

// MultiplyBytes is Multiply for a layer of bytes.
func (t *Team) MultiplyBytes(l *Linear, x *Bytes, rows int, f After, residual, y []float32) {
	n := rows * l.Out
	if l.panels8 == nil {
		panic("kernels: this layer is not of bytes")
	}
	defer profile.End(profile.Begin(), "product of bytes", l.Name, float64(n)*float64(l.In))
	C.consilium_multiply8(t.c, &l.c8, x.reserve(rows, l.In), C.int(rows), C.int(f), added(f, residual, n), floats(y, n, "y"))
}

// added returns the residual if f needs one.
func added(f After, residual []float32, n int) *C.float {
	if f != Add {
		return nil
	}
	return floats(residual, n, "residual")
}
