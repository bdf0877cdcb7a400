package kernels

// #include "kernels.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"consilium/internal/profile"
)

// Embed writes words[id] + positions[place in the sequence] + segment for each token to y (rows, dim).
func (t *Team) Embed(text Text, ids []int32, words, positions, segment, y []float32) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	n := text.rows()
	if len(ids) < n {
		panic(fmt.Sprintf("kernels: %d ids of %d tokens", len(ids), n))
	}
	defer profile.End(profile.Begin(), "embed", nil, 0)
	C.consilium_embed(t.c, text.c(pinner.Pin), ints(ids), floats(words, text.Dim, "words"), floats(positions, text.Dim, "positions"),
		floats(segment, text.Dim, "segment"), floats(y, n*text.Dim, "y"))
}

// Attend writes the attention of each sequence within itself to y (rows, dim). qkv (rows, 3 dim) holds the queries, the
// keys and the values of all heads side by side.
func (t *Team) Attend(text Text, qkv, y []float32) { t.attend(text, 0, qkv, y) }

// AttendRounded is Attend with queries, keys, values and weights rounded to bfloat16 and sums in fp32, where the processor
// multiplies such values; elsewhere it is Attend.
func (t *Team) AttendRounded(text Text, qkv, y []float32) { t.attend(text, 1, qkv, y) }

func (t *Team) attend(text Text, rounded C.int, qkv, y []float32) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	n := text.rows() * text.Dim
	defer profile.End(profile.Begin(), "attend", nil, text.attended())
	C.consilium_attend(t.c, text.c(pinner.Pin), rounded, floats(qkv, 3*n, "qkv"), floats(y, n, "y"))
}

// Pool writes the mean of each sequence's rows of x (rows, dim), at Euclidean length 1, to y (sequences, dim).
func (t *Team) Pool(text Text, x, y []float32) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	defer profile.End(profile.Begin(), "pool", nil, 0)
	C.consilium_pool(t.c, text.c(pinner.Pin), floats(x, text.rows()*text.Dim, "x"), floats(y, text.sequences()*text.Dim, "y"))
}

// Norm normalises each row of x (rows, len(weight)), in place.
func (t *Team) Norm(x []float32, rows int, weight, bias []float32, epsilon float64) {
	dim := len(weight)
	defer profile.End(profile.Begin(), "norm", nil, 0)
	C.consilium_norm(t.c, floats(x, rows*dim, "x"), C.int(rows), C.int(dim), floats(weight, dim, "weight"), floats(bias, dim, "bias"),
		C.float(epsilon))
}

// Gate writes tanh(a) times the logistic function of b to y (rows, dim), for each row (a, b) of x (rows, 2 dim), as
// WaveNet's units do. The dimension is a multiple of 16.
func (t *Team) Gate(x []float32, rows, dim int, y []float32) {
	if dim%16 != 0 {
		panic(fmt.Sprintf("kernels: a gate of %d values, want a multiple of 16", dim))
	}
	defer profile.End(profile.Begin(), "gate", nil, 0)
	C.consilium_gate(t.c, floats(x, 2*rows*dim, "x"), C.int(rows), C.int(dim), floats(y, rows*dim, "y"))
}

// Look writes to y (dim) what one query (dim) reads from the rows of keys and values, (count, dim) each, each head for itself. A
// head has a multiple of 16 values.
func (t *Team) Look(q, keys, values []float32, heads int, y []float32) {
	dim := len(q)
	count := len(keys) / dim
	if count < 1 || dim%heads != 0 || dim/heads%16 != 0 {
		panic(fmt.Sprintf("kernels: a query of %d values and %d heads for %d rows, want heads of a multiple of 16 and a row", dim, heads, count))
	}
	defer profile.End(profile.Begin(), "look", nil, 2*float64(count*dim))
	C.consilium_look(t.c, floats(q, dim, "q"), floats(keys, count*dim, "keys"), floats(values, count*dim, "values"), C.int(count), C.int(dim),
		C.int(heads), floats(y, dim, "y"))
}

// Bytes is a matrix quantised to 8 bits, with a scale and a zero for each row.
type Bytes struct {
	bytes []uint8
	scale []float32
	zero  []int32
	c     C.consilium_rows8
}

// NewBytes returns room for rows times dim values. Free frees it.
func NewBytes(rows, dim int) *Bytes {
	rows = (rows + 15) / 16 * 16
	b := &Bytes{bytes: memory[uint8](rows * dim), scale: memory[float32](rows), zero: memory[int32](rows)}
	b.c = C.consilium_rows8{
		bytes: (*C.uint8_t)(unsafe.SliceData(b.bytes)), scale: floats(b.scale, rows, "scale"), zero: ints(b.zero),
	}
	return b
}

// Free frees the matrix.
func (b *Bytes) Free() {
	free(b.bytes)
	free(b.scale)
	free(b.zero)
	*b = Bytes{}
}

// reserve checks that the matrix holds rows times dim values and returns it.
func (b *Bytes) reserve(rows, dim int) *C.consilium_rows8 {
	if rows > len(b.scale) || (rows+15)/16*16*dim > len(b.bytes) {
		panic(fmt.Sprintf("kernels: %d rows of %d values do not fit into %d bytes of %d rows", rows, dim, len(b.bytes), len(b.scale)))
	}
	return &b.c
}

// Quantise writes x (rows, dim) to y for MultiplyBytes: every 128 neighbouring values of a row multiplied by Hadamard's
// matrix, then each row from its least to its largest value over 0 to 255.
func (t *Team) Quantise(x []float32, rows, dim int, y *Bytes) {
	if dim%turned != 0 {
		panic(fmt.Sprintf("kernels: rows of %d values as bytes, want a multiple of %d", dim, turned))
	}
	defer profile.End(profile.Begin(), "quantise", nil, 0)
	C.consilium_quantise(t.c, floats(x, rows*dim, "x"), C.int(rows), C.int(dim), y.reserve(rows, dim))
}
