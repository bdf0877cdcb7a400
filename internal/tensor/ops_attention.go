package tensor

// #include <stdlib.h>
// #include "attention.h"
import "C"

import (
	"unsafe"

	"github.com/sugarme/gotch/libtch"

	"consilium/internal/profile"
)

// AttentionUnmasked returns softmax(q k^T / sqrt(D)) v for q (..., T, D), k and v (..., S, D), in which every query
// sees every key. For four dimensions on the CPU it never holds the T x S weights.
func (a *Arena) AttentionUnmasked(q, k, v T) T {
	start := profile.Begin()
	var h unsafe.Pointer
	if msg := C.consilium_attention(&h, unsafe.Pointer(q.h), unsafe.Pointer(k.h), unsafe.Pointer(v.h)); msg != nil {
		text := C.GoString(msg)
		C.free(unsafe.Pointer(msg))
		a.fail("attention", "%s", firstLine(text))
	}
	out := a.own("attention", libtch.Ctensor(h))
	if !start.IsZero() {
		a.profiled(start, "attention", T{}, a.attended(k), out)
	}
	return out
}
