package tensor

// #include <stdlib.h>
// #include "random.h"
import "C"

import (
	"unsafe"

	"github.com/sugarme/gotch/libtch"
)

// RandomState returns the state of the generator that dropout and random tensors on the arena's device draw from. It
// is one generator for the whole process.
func (a *Arena) RandomState() []byte { return toSlice[byte](a, "random state", Uint8, a.randomState()) }

// SetRandomState continues the generator from a state that RandomState returned.
func (a *Arena) SetRandomState(state []byte) {
	h := libtch.AtTensorOfData(unsafe.Pointer(unsafe.SliceData(state)), []int64{int64(len(state))}, 1, 1, int(Uint8))
	a.check("random state")
	a.setRandomState(a.own("random state", h))
}

func (a *Arena) randomState() T {
	var h unsafe.Pointer
	a.native("random state", C.consilium_random_state(&h, C.int(a.device)))
	return a.own("random state", libtch.Ctensor(h))
}

func (a *Arena) setRandomState(state T) {
	a.native("random state", C.consilium_set_random_state(unsafe.Pointer(state.h), C.int(a.device)))
}

// native fails if a function of ours left a message.
func (a *Arena) native(op string, msg *C.char) {
	if msg != nil {
		text := C.GoString(msg)
		C.free(unsafe.Pointer(msg))
		a.fail(op, "%s", firstLine(text))
	}
}
