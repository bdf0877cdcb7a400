package gguf

import (
	"encoding/binary"
	"math"
)

// block is how a type stores its values: so many in so many bytes.
type block struct {
	values, bytes uint64
	widen         func(out []float32, b []byte)
}

var blocks = map[uint32]block{
	0: {1, 4, widenF32},
	1: {1, 2, widenF16},
	3: {32, 20, widenQ41},
	8: {32, 34, widenQ80},
}

func widenF32(out []float32, b []byte) {
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

func widenF16(out []float32, b []byte) {
	for i := range out {
		out[i] = half(binary.LittleEndian.Uint16(b[2*i:]))
	}
}

// widenQ41 widens blocks of a float16 scale, a float16 minimum and 32 numbers of 4 bits, of which the low halves of
// the bytes come first.
func widenQ41(out []float32, b []byte) {
	for len(out) > 0 {
		scale, least := half(binary.LittleEndian.Uint16(b)), half(binary.LittleEndian.Uint16(b[2:]))
		for i, q := range b[4:20] {
			out[i] = scale*float32(q&15) + least
			out[i+16] = scale*float32(q>>4) + least
		}
		out, b = out[32:], b[20:]
	}
}

// widenQ80 widens blocks of a float16 scale and 32 numbers of 8 bits.
func widenQ80(out []float32, b []byte) {
	for len(out) > 0 {
		scale := half(binary.LittleEndian.Uint16(b))
		for i, q := range b[2:34] {
			out[i] = scale * float32(int8(q))
		}
		out, b = out[32:], b[34:]
	}
}

// half widens an IEEE 754 half-precision number; every one has an exact float32.
func half(h uint16) float32 {
	sign, exponent, fraction := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch {
	case exponent == 31 && fraction != 0:
		return float32(math.NaN())
	case exponent == 31:
		return float32(math.Inf(int(sign)))
	case exponent == 0:
		return float32(sign * math.Ldexp(fraction, -24))
	}
	return float32(sign * math.Ldexp(1024+fraction, exponent-25))
}
