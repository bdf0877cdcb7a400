package tensor

// #include <stdlib.h>
// #include "script.h"
import "C"

import (
	"runtime"
	"strings"
	"unsafe"

	"github.com/sugarme/gotch/libtch"

	"consilium/internal/profile"
)

// Script is a TorchScript module on the CPU, in evaluation mode. Loading one can run code that the archive holds, and
// libtorch's reader was not made for hostile archives: what a stranger sent is only loaded in a process that has
// nothing to lose.
type Script struct {
	module unsafe.Pointer
}

// LoadScript reads an archive of torch.jit.save. data is not used afterwards. The caller frees the script.
func (a *Arena) LoadScript(data []byte) *Script {
	if len(data) == 0 {
		a.fail("load script", "the archive is empty")
	}
	var module unsafe.Pointer
	a.checkScript("load script", C.consilium_script_load(&module, unsafe.Pointer(unsafe.SliceData(data)), C.size_t(len(data))))
	runtime.KeepAlive(data)
	return &Script{module}
}

// Operators returns the kinds of all nodes of the graph that forward runs, each once and sorted, such as aten::conv2d
// and prim::Constant, and how many arguments forward takes. Functions and methods that forward calls are looked
// into; a call that is left in the list is one whose target only running would tell.
func (s *Script) Operators(a *Arena) (kinds []string, arguments int) {
	var text *C.char
	var n C.int
	a.checkScript("inspect script", C.consilium_script_operators(s.module, &text, &n))
	defer C.free(unsafe.Pointer(text))
	return strings.Fields(C.GoString(text)), int(n)
}

// Forward calls the module's forward with inputs and returns the one tensor that it returns.
func (s *Script) Forward(a *Arena, inputs ...T) T {
	defer profile.End(profile.Begin(), "script", nil, 0)
	// C must not see Go memory that holds pointers, so the handles are copied to its own heap.
	handles := (*[1 << 16]unsafe.Pointer)(C.malloc(C.size_t(max(1, len(inputs))) * C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(handles))
	for i, x := range inputs {
		handles[i] = unsafe.Pointer(x.h)
	}
	var h unsafe.Pointer
	a.checkScript("run script", C.consilium_script_forward(&h, s.module, &handles[0], C.int(len(inputs))))
	return a.own("run script", libtch.Ctensor(h))
}

// Free frees the module.
func (s *Script) Free() { C.consilium_script_free(s.module) }

func (a *Arena) checkScript(op string, message *C.char) {
	if message == nil {
		return
	}
	text := C.GoString(message)
	C.free(unsafe.Pointer(message))
	a.fail(op, "%s", scriptMessage(text))
}

// scriptMessage returns the line of a libtorch message that says what went wrong. Those of the compiler begin with an
// empty line; those of the interpreter begin with a line that says only that it failed, quote the source, indented, and
// name the exception behind it.
func scriptMessage(text string) string {
	first := firstLine(strings.TrimSpace(text))
	if !strings.Contains(first, "TorchScript interpreter") {
		return first
	}
	said := first
	for line := range strings.Lines(text) {
		kind, message, found := strings.Cut(strings.TrimSpace(line), "Error: ")
		if found && !strings.ContainsAny(kind, " \t") {
			said = message
		}
	}
	return said
}
