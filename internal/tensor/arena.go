package tensor

// #cgo CXXFLAGS: -std=c++17
// #cgo LDFLAGS: -ltorch_cpu -lc10 -lstdc++
// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/sugarme/gotch/libtch"

	"consilium/internal/profile"
)

// T is a handle to a tensor. The zero T is no tensor; an operator with an optional operand takes it for "none".
// A T belongs to the Arena that made it, or to whoever called Keep.
type T struct {
	h libtch.Ctensor
}

// Defined reports whether t is a tensor.
func (t T) Defined() bool { return t.h != nil }

// OpError is the failure of one operator.
type OpError struct {
	Op      string
	Message string
}

func (e *OpError) Error() string { return fmt.Sprintf("tensor operator %s: %s", e.Op, e.Message) }

// Arena makes tensors and frees them together. It is only valid inside the Engine.Do that made it. An operator
// that fails does not return: it ends the computation, and Do returns an *OpError.
type Arena struct {
	device    Device
	precision Kind
	live      []libtch.Ctensor
	autocast  bool      // Autocast
	saving    bool      // SaveMemory
	tape      []segment // Checkpoint, in order
}

// Device returns where the arena's tensors live.
func (a *Arena) Device() Device { return a.device }

// Mark remembers what is alive now, for Release.
func (a *Arena) Mark() int { return len(a.live) }

// Release frees every tensor made since mark except keep, so that a long computation holds only what it needs.
func (a *Arena) Release(mark int, keep ...T) {
	var younger []T
	for _, t := range keep {
		if a.forget(mark, t) {
			younger = append(younger, t)
		}
	}
	a.release(mark)
	for _, t := range younger {
		a.live = append(a.live, t.h)
	}
}

// Keep takes t out of the arena, so that it outlives Do. The caller frees it with Free.
func (a *Arena) Keep(t T) T {
	a.forget(0, t)
	return t
}

// Free frees tensors that were kept.
func (a *Arena) Free(ts ...T) {
	for _, t := range ts {
		if t.h != nil {
			libtch.AtFree(t.h)
		}
	}
}

// forget takes t out of the arena if it was made since mark, and reports whether it was.
func (a *Arena) forget(mark int, t T) bool {
	for i := len(a.live) - 1; i >= mark; i-- {
		if a.live[i] == t.h {
			a.live[i] = nil
			return true
		}
	}
	return false
}

func (a *Arena) release(mark int) {
	for _, h := range a.live[mark:] {
		if h != nil {
			libtch.AtFree(h)
		}
	}
	a.live = a.live[:mark]
}

// own takes a new handle into the arena.
func (a *Arena) own(op string, h libtch.Ctensor) T {
	if h == nil {
		a.fail(op, "returned no tensor")
	}
	a.live = append(a.live, h)
	return T{h}
}

// op runs one operator that returns one tensor.
func (a *Arena) op(name string, call func(out *libtch.Ctensor)) T {
	return a.layer(name, T{}, nil, call)
}

// layer is op of an operator whose cost a profile shows under the weight's name. inner is the number of products in one
// value of the result.
func (a *Arena) layer(name string, weight T, inner func() int64, call func(out *libtch.Ctensor)) T {
	start := profile.Begin()
	var h libtch.Ctensor
	call(&h)
	a.check(name)
	t := a.own(name, h)
	if !start.IsZero() {
		a.profiled(start, name, weight, inner, t)
	}
	return t
}

// check fails if the last call into libtch left an error.
func (a *Arena) check(op string) {
	if msg := libtch.GetAndResetLastErr(); msg != nil {
		text := C.GoString((*C.char)(unsafe.Pointer(msg)))
		C.free(unsafe.Pointer(msg))
		a.fail(op, "%s", firstLine(text))
	}
}

func (a *Arena) fail(op, format string, args ...any) {
	panic(&OpError{Op: op, Message: fmt.Sprintf(format, args...)})
}

// Fail ends the computation with an error, as an operator does.
func (a *Arena) Fail(op, format string, args ...any) { a.fail(op, format, args...) }

// firstLine drops the C++ backtrace that libtorch appends to its messages.
func firstLine(s string) string {
	for i := range len(s) {
		if s[i] == '\n' {
			return s[:i]
		}
	}
	return s
}

func setNumThreads(n int) { C.consilium_set_num_threads(C.int(n)) }

// ManualSeed seeds libtorch's generator, which dropout and random tensors draw from.
func (a *Arena) ManualSeed(seed uint64) { C.consilium_manual_seed(C.ulonglong(seed)) }

// Gelu returns x * Phi(x), the exact form with erf. It must not be differentiated: its backward pass is wrong in
// libtorch 2.1.2 on the CPU for a gradient that is not contiguous. GeluTanh is the one to train with.
func (a *Arena) Gelu(x T) T {
	return a.op("gelu", func(o *libtch.Ctensor) {
		var h unsafe.Pointer
		a.native("gelu", C.consilium_gelu(&h, unsafe.Pointer(x.h)))
		*o = libtch.Ctensor(h)
	})
}
