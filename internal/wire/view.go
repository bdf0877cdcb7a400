package wire

import (
	"encoding/binary"
	"unsafe"
)

const floatSize = 4

// little says that this processor has the numbers in memory as the protocol has them.
var little = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// bytesOf returns the memory of values as bytes; ok is false if there are none or the protocol wants them otherwise.
func bytesOf(values []float32) (view []byte, ok bool) {
	if !little || len(values) == 0 {
		return nil, false
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), floatSize*len(values)), true
}

// floatsOf returns data, whose length is a multiple of a float's, as floats in the same memory; ok is false if they do not lie there as
// floats have to.
func floatsOf(data []byte) (view []float32, ok bool) {
	if !little || len(data) == 0 || uintptr(unsafe.Pointer(&data[0]))%floatSize != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&data[0])), len(data)/floatSize), true
}
