package kernels

// #include "kernels.h"
import "C"

import (
	"fmt"
	"unsafe"

	"consilium/internal/profile"
)

// Reading is what some rows of queries read from some rows of a memory.
type Reading struct {
	Query, Queries int32 // rows of the queries
	Memory, Count  int32 // rows of the memory
	Out            int32 // the first row that is written
	// Bias is the place of what is added to the products with each of the Count rows, for every head BiasStep further (0: the same for
	// all); -1 for nothing.
	Bias, BiasStep int32
	// Weights is the place of the weights (heads, Queries, Count); -1 if nobody wants them.
	Weights int32
}

// Rows are rows of a matrix, Step values apart.
type Rows struct {
	Values []float32
	Step   int
}

// hold panics unless the rows up to, not including, last hold so many values each.
func (r Rows) hold(last, values int, what string) {
	if last > 0 && (r.Step < values || len(r.Values) < (last-1)*r.Step+values) {
		panic(fmt.Sprintf("kernels: %s hold %d values, %d apart, want %d rows of %d", what, len(r.Values), r.Step, last, values))
	}
}

// Read writes the attention of readings to y (rows, dim), and the weights of those that ask for them. A row of memory is a key
// (dim) and a value (dim). A head has a multiple of 32 values.
func (t *Team) Read(readings []Reading, dim, heads int, q, memory Rows, bias, y, weights []float32) {
	if len(readings) == 0 {
		return
	}
	if dim%heads != 0 || dim/heads%32 != 0 {
		panic(fmt.Sprintf("kernels: readings of dimension %d with %d heads, want heads of a multiple of 32", dim, heads))
	}
	work := 0.0
	for _, r := range readings {
		if r.Queries < 1 || r.Count < 1 || min(r.Query, r.Memory, r.Out, r.BiasStep) < 0 {
			panic(fmt.Sprintf("kernels: a reading %+v", r))
		}
		q.hold(int(r.Query+r.Queries), dim, "queries")
		memory.hold(int(r.Memory+r.Count), 2*dim, "memories")
		floats(y, int(r.Out+r.Queries)*dim, "y")
		if r.Bias >= 0 {
			floats(bias, int(r.Bias)+(heads-1)*int(r.BiasStep)+int(r.Count), "bias")
		}
		if r.Weights >= 0 {
			floats(weights, int(r.Weights)+heads*int(r.Queries)*int(r.Count), "weights")
		}
		work += 2 * float64(r.Queries) * float64(r.Count) * float64(dim)
	}
	defer profile.End(profile.Begin(), "read", nil, work)
	C.consilium_read(t.c, (*C.consilium_reading)(unsafe.Pointer(unsafe.SliceData(readings))), C.int(len(readings)), C.int(dim), C.int(heads),
		floats(q.Values, 0, "queries"), C.int(q.Step), floats(memory.Values, 0, "memories"), C.int(memory.Step), floats(bias, 0, "bias"),
		floats(y, 0, "y"), floats(weights, 0, "weights"))
}
