package wire

import (
	"fmt"
	"math"
	"slices"
)

// Datatype is the type of a tensor's elements, by the protocol's name.
type Datatype string

// The datatypes that the models use.
const (
	FP32  Datatype = "FP32"
	INT64 Datatype = "INT64"
	BOOL  Datatype = "BOOL"
	BYTES Datatype = "BYTES"
)

// width is the size of one element in bytes; for BYTES the smallest one, a length of zero.
func (d Datatype) width() int {
	switch d {
	case INT64:
		return 8
	case BOOL:
		return 1
	}
	return 4
}

// Spec describes one tensor of a model. In Shape -1 stands for any size.
type Spec struct {
	Name     string   `json:"name"`
	Datatype Datatype `json:"datatype"`
	Shape    []int    `json:"shape"`

	optional bool
	// base64 says that JSON, which cannot hold arbitrary bytes, carries the elements in base64.
	base64 bool
}

// Tensor is a tensor with its data, row-major, in the one slice that belongs to its datatype.
type Tensor struct {
	Name     string
	Datatype Datatype
	Shape    []int
	Floats   []float32
	Ints     []int64
	Bools    []bool
	Bytes    [][]byte
	// behind are floats that follow Floats, each where it lies: only a tensor that is to be sent has some.
	behind [][]float32
}

// places are where the floats of t lie, in order.
func (t *Tensor) places() [][]float32 { return append([][]float32{t.Floats}, t.behind...) }

func floats(name string, values []float32, shape ...int) Tensor {
	return Tensor{Name: name, Datatype: FP32, Shape: shape, Floats: values}
}

// joined is floats of values that lie in several places, at least one.
func joined(name string, values [][]float32, shape ...int) Tensor {
	t := floats(name, values[0], shape...)
	t.behind = values[1:]
	return t
}

func ints(name string, values []int64, shape ...int) Tensor {
	return Tensor{Name: name, Datatype: INT64, Shape: shape, Ints: values}
}

func bools(name string, values []bool) Tensor {
	return Tensor{Name: name, Datatype: BOOL, Shape: []int{len(values)}, Bools: values}
}

func byteStrings(name string, values [][]byte) Tensor {
	return Tensor{Name: name, Datatype: BYTES, Shape: []int{len(values)}, Bytes: values}
}

// elements returns the product of shape. rows bounds a first dimension that the spec leaves open,
// total the product: the data that is there cannot hold more.
func (s *Spec) elements(shape []int, rows, total int) (int, error) {
	if len(shape) != len(s.Shape) {
		return 0, fmt.Errorf("want a shape of %d dimensions, found %d", len(s.Shape), len(shape))
	}
	product := 1
	for i, size := range shape {
		switch want := s.Shape[i]; {
		case size < 0:
			return 0, fmt.Errorf("dimension %d of the shape is negative: %d", i, size)
		case want >= 0 && size != want:
			return 0, fmt.Errorf("dimension %d of the shape is %d, want %d", i, size, want)
		case want < 0 && i == 0 && size > rows:
			return 0, &limitError{"the first dimension of the shape is too large", fmt.Sprint(rows), fmt.Sprint(size)}
		case size > 0 && product > math.MaxInt/size:
			return 0, fmt.Errorf("the shape %v overflows", shape)
		}
		product *= size
	}
	if product > total {
		return 0, fmt.Errorf("the shape %v has %d elements but the data holds less", shape, product)
	}
	return product, nil
}

// limitError is an error about a published limit.
type limitError struct{ message, limit, value string }

func (e *limitError) Error() string {
	return fmt.Sprintf("%s (limit %s, found %s)", e.message, e.limit, e.value)
}

// find returns the tensor with this name, nil if there is none.
func find(tensors []Tensor, name string) *Tensor {
	i := slices.IndexFunc(tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &tensors[i]
}
