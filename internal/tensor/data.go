package tensor

// #include <stdlib.h>
// #include "device.h"
import "C"

import (
	"unsafe"

	"github.com/sugarme/gotch/libtch"
)

// Kind is the type of a tensor's elements, numbered as in libtorch.
type Kind int32

// The kinds in use.
const (
	Uint8    Kind = 0
	Int64    Kind = 4
	Half     Kind = 5
	Float    Kind = 6
	Double   Kind = 7
	Bool     Kind = 11
	BFloat16 Kind = 15
)

func (k Kind) String() string {
	switch k {
	case Uint8:
		return "uint8"
	case Int64:
		return "int64"
	case Half:
		return "float16"
	case Float:
		return "float32"
	case Double:
		return "float64"
	case Bool:
		return "bool"
	case BFloat16:
		return "bfloat16"
	}
	return "kind " + string(rune('0'+k%10))
}

// Shape returns the size of every dimension.
func (a *Arena) Shape(x T) []int64 {
	n := libtch.AtDim(x.h)
	a.check("dim")
	if n == 0 {
		return []int64{}
	}
	shape := make([]int64, n)
	libtch.AtShape(x.h, unsafe.Pointer(&shape[0]))
	a.check("shape")
	return shape
}

// Size returns the size of dimension dim; a negative dim counts from the end.
func (a *Arena) Size(x T, dim int) int64 {
	shape := a.Shape(x)
	if dim < 0 {
		dim += len(shape)
	}
	if dim < 0 || dim >= len(shape) {
		a.fail("size", "dimension %d of a tensor with %d dimensions", dim, len(shape))
	}
	return shape[dim]
}

// KindOf returns the kind of x's elements.
func (a *Arena) KindOf(x T) Kind { return Kind(libtch.AtScalarType(x.h)) }

func count(shape []int64) int64 {
	n := int64(1)
	for _, s := range shape {
		n *= s
	}
	return n
}

func fromSlice[E any](a *Arena, op string, kind Kind, values []E, shape []int64) T {
	if count(shape) != int64(len(values)) {
		a.fail(op, "%d values do not fill the shape %v", len(values), shape)
	}
	dims := shape
	if len(dims) == 0 {
		dims = []int64{0} // no element of it is read
	}
	var h unsafe.Pointer
	a.native(op, C.consilium_upload(&h, unsafe.Pointer(unsafe.SliceData(values)), (*C.longlong)(&dims[0]), C.int(len(shape)), C.int(kind), C.int(a.device)))
	return a.own(op, libtch.Ctensor(h))
}

// FromFloat32 copies values into a tensor of the given shape, row-major.
func (a *Arena) FromFloat32(values []float32, shape ...int64) T {
	return fromSlice(a, "from float32", Float, values, shape)
}

// FromInt64 copies values into a tensor of the given shape, row-major.
func (a *Arena) FromInt64(values []int64, shape ...int64) T {
	return fromSlice(a, "from int64", Int64, values, shape)
}

// FromUint8 copies values into a tensor of the given shape, row-major.
func (a *Arena) FromUint8(values []uint8, shape ...int64) T {
	return fromSlice(a, "from uint8", Uint8, values, shape)
}

// FromHalf copies IEEE 754 half-precision bit patterns into a tensor of the given shape.
func (a *Arena) FromHalf(bits []uint16, shape ...int64) T {
	return fromSlice(a, "from float16", Half, bits, shape)
}

func toSlice[E any](a *Arena, op string, kind Kind, x T) []E {
	values := make([]E, count(a.Shape(x)))
	a.native(op, C.consilium_download(unsafe.Pointer(unsafe.SliceData(values)), unsafe.Pointer(x.h), C.int(kind)))
	return values
}

// Float32s copies x out, row-major.
func (a *Arena) Float32s(x T) []float32 { return toSlice[float32](a, "float32s", Float, x) }

// Float64s copies x out, widened, row-major.
func (a *Arena) Float64s(x T) []float64 { return toSlice[float64](a, "float64s", Double, x) }

// Int64s copies x out, row-major.
func (a *Arena) Int64s(x T) []int64 { return toSlice[int64](a, "int64s", Int64, x) }

// Halfs copies x out as IEEE 754 half-precision bit patterns, row-major.
func (a *Arena) Halfs(x T) []uint16 { return toSlice[uint16](a, "halfs", Half, x) }

// Item returns the only element of x.
func (a *Arena) Item(x T) float64 {
	v := toSlice[float64](a, "item", Double, x)
	if len(v) != 1 {
		a.fail("item", "want one element, found %d", len(v))
	}
	return v[0]
}

// ToKind converts x's elements; x itself is returned if there is nothing to do.
func (a *Arena) ToKind(x T, kind Kind) T {
	if a.KindOf(x) == kind {
		return x
	}
	return a.op("to kind", func(o *libtch.Ctensor) { libtch.AtgToDtype(o, x.h, int32(kind), 0, 0) })
}

// ToDevice moves x; x itself is returned if there is nothing to do.
func (a *Arena) ToDevice(x T, d Device) T {
	if Device(libtch.AtDevice(x.h)) == d {
		return x
	}
	return a.op("to device", func(o *libtch.Ctensor) { libtch.AtgTo(o, x.h, int32(d)) })
}

// Zeros, Ones and Full return float32 tensors filled with one value.
func (a *Arena) Zeros(shape ...int64) T {
	return a.op("zeros", func(o *libtch.Ctensor) {
		libtch.AtgZeros(o, shape, len(shape), int32(Float), int32(a.device))
	})
}

// Ones returns a float32 tensor of ones.
func (a *Arena) Ones(shape ...int64) T { return a.Full(1, shape...) }

// Full returns a float32 tensor filled with v.
func (a *Arena) Full(v float64, shape ...int64) T {
	return a.withScalar("full", v, func(o *libtch.Ctensor, s libtch.Cscalar) {
		libtch.AtgFull(o, shape, len(shape), s, int32(Float), int32(a.device))
	})
}

// Rand returns float32 values drawn evenly from [0, 1) by libtorch's generator.
func (a *Arena) Rand(shape ...int64) T {
	return a.op("rand", func(o *libtch.Ctensor) {
		libtch.AtgRand(o, shape, len(shape), int32(Float), int32(a.device))
	})
}

// withScalar runs an operator that takes a scalar, which has to be freed.
func (a *Arena) withScalar(op string, v float64, call func(o *libtch.Ctensor, s libtch.Cscalar)) T {
	s := libtch.AtsFloat(v)
	defer libtch.AtsFree(s)
	return a.op(op, func(o *libtch.Ctensor) { call(o, s) })
}
