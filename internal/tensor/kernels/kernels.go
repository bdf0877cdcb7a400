// Package kernels computes the layers of Transformers and of convolutional nets on the processor, by the widest instructions it has.
//
// It knows no libtorch: matrices are row-major slices of float32. Weights are packed once into the order in which
// they are read, and what follows a product (bias, GELU, residual) happens while its result is in registers. A row's
// result depends on no other row, nor on the number of threads.
package kernels

// #cgo CXXFLAGS: -std=c++17 -O3 -Wno-psabi
// #cgo LDFLAGS: -lstdc++ -lpthread
// #include <stdlib.h>
// #include "kernels.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Level is an instruction set that there are kernels for.
type Level int

// Each level has the instructions of those before it.
const (
	Plain  Level = C.CONSILIUM_PLAIN  // any processor; slow
	AVX512 Level = C.CONSILIUM_AVX512 // AVX-512 with VNNI
	AMX    Level = C.CONSILIUM_AMX    // AVX-512 and tiles of bytes
)

func (l Level) String() string {
	return [...]string{"plain", "AVX-512", "AMX"}[l]
}

// Best returns the highest level of this processor.
func Best() Level { return Level(C.consilium_best()) }

// Team is the threads that compute together: the caller's and others that wait for it. One goroutine at a time may use
// it. Matrices of the wrong size are a mistake of the program and panic.
type Team struct {
	c     *C.consilium_team
	level Level
}

// NewTeam starts threads-1 threads. Free ends them.
func NewTeam(threads int, level Level) *Team {
	if threads < 1 || level < Plain || level > Best() {
		panic(fmt.Sprintf("kernels: a team of %d threads at level %d on a processor of level %d", threads, level, Best()))
	}
	return &Team{C.consilium_team_new(C.int(threads), C.int(level)), level}
}

// Free ends the team's threads.
func (t *Team) Free() {
	C.consilium_team_free(t.c)
	t.c = nil
}

// memory returns n zeroed values outside Go's heap.
func memory[E any](n int) []E {
	var e E
	p := C.consilium_memory(C.int64_t(n) * C.int64_t(unsafe.Sizeof(e)))
	if p == nil {
		panic(fmt.Sprintf("kernels: no memory for %d values", n))
	}
	return unsafe.Slice((*E)(p), n)
}

func free[E any](values []E) {
	if values != nil {
		C.free(unsafe.Pointer(unsafe.SliceData(values)))
	}
}

// floats returns x for C, which has to hold n values.
func floats(x []float32, n int, what string) *C.float {
	if len(x) < n {
		panic(fmt.Sprintf("kernels: %s holds %d values, want %d", what, len(x), n))
	}
	return (*C.float)(unsafe.Pointer(unsafe.SliceData(x)))
}

func ints(x []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))) }

// Text is a batch of sequences that lie end to end: sequence i is the rows Start[i] to Start[i+1].
type Text struct {
	Start      []int32
	Dim, Heads int
}

func (t Text) sequences() int { return len(t.Start) - 1 }

func (t Text) rows() int { return int(t.Start[len(t.Start)-1]) }

// attended counts the multiplications with an addition of attention.
func (t Text) attended() (n float64) {
	for i := range t.sequences() {
		length := float64(t.Start[i+1] - t.Start[i])
		n += 2 * length * length * float64(t.Dim)
	}
	return n
}

// c is valid as long as t.Start stays where pin holds it.
func (t Text) c(pin func(any)) *C.consilium_text {
	if t.sequences() < 1 || t.Dim%t.Heads != 0 || t.Dim/t.Heads%32 != 0 {
		panic(fmt.Sprintf("kernels: %d sequences of dimension %d with %d heads, want heads of a multiple of 32", t.sequences(), t.Dim, t.Heads))
	}
	pin(unsafe.SliceData(t.Start))
	return &C.consilium_text{
		sequences: C.int(t.sequences()), dim: C.int(t.Dim), heads: C.int(t.Heads), start: ints(t.Start),
	}
}
