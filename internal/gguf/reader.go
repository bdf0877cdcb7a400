package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reader takes values off the front of a file; after an error it only returns zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
		r.rest = nil
	}
}

func (r *reader) take(n uint64, what string) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("the file ends within %s", what)
	}
	if r.err != nil {
		return make([]byte, min(n, 8))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint32(what string) uint32 { return binary.LittleEndian.Uint32(r.take(4, what)) }
func (r *reader) uint64(what string) uint64 { return binary.LittleEndian.Uint64(r.take(8, what)) }

func (r *reader) text(what string) string {
	n := r.uint64(what)
	if n > maxString {
		r.fail("%s of %d bytes, the limit is %d", what, n, maxString)
	}
	return string(r.take(n, what))
}

// header reads everything before the tensors into f.
func (r *reader) header(f *File) {
	if magic := r.take(4, "the magic number"); r.err == nil && string(magic) != "GGUF" {
		r.fail("it begins with %q, want GGUF", magic)
	}
	if v := r.uint32("the version"); r.err == nil && v != 2 && v != 3 {
		r.fail("version %d, want 2 or 3", v)
	}
	tensors, keys := r.uint64("the counts"), r.uint64("the counts")
	// A key takes 13 bytes at least, a tensor 24.
	if n := uint64(len(r.rest)); keys > n/13 || tensors > n/24 {
		r.fail("%d keys and %d tensors in %d bytes", keys, tensors, n)
	}
	for i := uint64(0); i < keys && r.err == nil; i++ {
		key := r.text("a key")
		if _, twice := f.metadata[key]; twice {
			r.fail("the key %q stands there twice", key)
		}
		f.metadata[key] = r.value(r.uint32(key), key)
	}
	for i := uint64(0); i < tensors && r.err == nil; i++ {
		name := r.text("a tensor's name")
		if _, twice := f.tensors[name]; twice {
			r.fail("the tensor %q stands there twice", name)
		}
		f.tensors[name] = r.entry(name)
	}
}

// The types of metadata.
const (
	typeUint8 = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// width is the least number of bytes that a value of each type takes.
var width = [...]uint64{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

func (r *reader) value(kind uint32, key string) any {
	switch kind {
	case typeUint8:
		return uint64(r.take(1, key)[0])
	case typeInt8:
		return int64(int8(r.take(1, key)[0]))
	case typeUint16:
		return uint64(binary.LittleEndian.Uint16(r.take(2, key)))
	case typeInt16:
		return int64(int16(binary.LittleEndian.Uint16(r.take(2, key))))
	case typeUint32:
		return uint64(r.uint32(key))
	case typeInt32:
		return int64(int32(r.uint32(key)))
	case typeFloat32:
		return float64(math.Float32frombits(r.uint32(key)))
	case typeBool:
		return r.take(1, key)[0] != 0
	case typeString:
		return r.text(key)
	case typeArray:
		return r.array(key)
	case typeUint64:
		return r.uint64(key)
	case typeInt64:
		return int64(r.uint64(key))
	case typeFloat64:
		return math.Float64frombits(r.uint64(key))
	}
	r.fail("%s: no such type of value: %d", key, kind)
	return nil
}

// array returns a []string, []int64 or []float64; there are no arrays of arrays.
func (r *reader) array(key string) any {
	kind, n := r.uint32(key), r.uint64(key)
	if kind >= uint32(len(width)) || kind == typeArray {
		r.fail("%s: no array of type %d is read", key, kind)
		return nil
	}
	if n > maxElements || n > uint64(len(r.rest))/width[kind] {
		r.fail("%s: an array of %d in %d bytes, the limit is %d", key, n, len(r.rest), maxElements)
		return nil
	}
	switch kind {
	case typeString:
		out := make([]string, n)
		for i := range out {
			out[i] = r.text(key)
		}
		return out
	case typeFloat32, typeFloat64:
		out := make([]float64, n)
		for i := range out {
			out[i] = r.value(kind, key).(float64)
		}
		return out
	}
	out := make([]int64, n)
	for i := range out {
		switch v := r.value(kind, key).(type) {
		case uint64:
			out[i] = int64(v)
		case int64:
			out[i] = v
		case bool:
			if v {
				out[i] = 1
			}
		}
	}
	return out
}

// entry reads what the header says of one tensor: of no more values than the rest of the file has room for in the
// narrowest type.
func (r *reader) entry(name string) (e entry) {
	rank := r.uint32(name)
	if rank == 0 || rank > maxRank {
		r.fail("tensor %q has %d dimensions, want 1 to %d", name, rank, maxRank)
		return e
	}
	e.shape = make([]int64, rank)
	room, size := 2*uint64(len(r.rest)), uint64(1)
	for i := range e.shape {
		d := r.uint64(name)
		if d == 0 || size > room/d {
			r.fail("tensor %q: dimension %d of %d, in a file that has room for %d values", name, i, d, room)
			return e
		}
		size *= d
		e.shape[len(e.shape)-1-i] = int64(d) // the file names the innermost dimension first
	}
	kind := r.uint32(name)
	var known bool
	if e.block, known = blocks[kind]; !known {
		r.fail("tensor %q has type %d, which is not read; F32 (0), F16 (1), Q4_1 (3) and Q8_0 (8) are", name, kind)
		return e
	}
	if row := uint64(e.shape[rank-1]); row%e.block.values != 0 {
		r.fail("tensor %q: rows of %d do not divide into blocks of %d", name, row, e.block.values)
	}
	e.offset = r.uint64(name)
	return e
}
