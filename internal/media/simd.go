//go:build cgo

package media

// #cgo CXXFLAGS: -std=c++17 -O3 -Wno-psabi
// #include "simd.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// resizeRows fills to with rows of the line's length, from rows of width pixels that begin stride apart.
func resizeRows(to, from []uint8, line *taps, width, stride int) {
	rows := len(to) / line.length()
	turned, made := make([]uint8, width*rows), make([]uint8, line.length()*rows)
	transpose(from, stride, rows, width, turned)
	resizeLines(turned, rows, line, made)
	transpose(made, rows, line.length(), rows, to)
}

// resizeColumns returns rows as many as the taps of a plane of that width.
func resizeColumns(from []uint8, line *taps, width int) []uint8 {
	to := make([]uint8, line.length()*width)
	resizeLines(from, width, line, to)
	return to
}

// resizeLines fills to with rows of width pixels, each from rows of from.
func resizeLines(from []uint8, width int, line *taps, to []uint8) {
	rows := 0
	for i, begin := range line.begin {
		rows = max(rows, int(begin+line.first[i+1]-line.first[i]))
	}
	if len(from) < rows*width || len(to) < line.length()*width {
		panic(fmt.Sprintf("media: %d rows of %d pixels out of %d, to %d rows in %d", rows, width, len(from), line.length(), len(to)))
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	c := C.media_taps{
		lines: C.int(line.length()), begin: (*C.int32_t)(&line.begin[0]), first: (*C.int32_t)(&line.first[0]),
		weights: (*C.double)(&line.weights[0]), scale: (*C.double)(&line.scale[0]),
	}
	for _, p := range []any{c.begin, c.first, c.weights, c.scale} {
		pinner.Pin(p)
	}
	C.media_lines(pixels(from), C.int64_t(width), C.int(width), &c, pixels(to))
}

// transpose fills to (columns, rows) from rows of so many columns that begin stride apart.
func transpose(from []uint8, stride, rows, columns int, to []uint8) {
	if len(from) < (rows-1)*stride+columns || len(to) < rows*columns {
		panic(fmt.Sprintf("media: %d rows of %d pixels, %d apart, out of %d into %d", rows, columns, stride, len(from), len(to)))
	}
	C.media_transpose(pixels(from), C.int64_t(stride), C.int(rows), C.int(columns), pixels(to), C.int64_t(rows))
}

func pixels(x []uint8) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(x)) }

// transform makes the pixels of the first n blocks of coefficients (64, most), times quant, in rows stride apart.
func transform(coefficients *[64 * most]int16, quant *[64]float32, n int, to []uint8, stride int) {
	if n > most || len(to) < 7*stride+8*n {
		panic(fmt.Sprintf("media: %d blocks in %d pixels, rows %d apart", n, len(to), stride))
	}
	C.media_blocks((*C.int16_t)(&coefficients[0]), (*C.float)(&quant[0]), C.int(n), pixels(to), C.int64_t(stride))
}
