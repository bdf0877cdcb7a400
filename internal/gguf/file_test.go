package gguf_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"consilium/internal/gguf"
	"consilium/internal/weights"
)

// file puts a file together from its parts.
type file struct{ bytes.Buffer }

func (f *file) put(values ...any) *file {
	for _, v := range values {
		if s, ok := v.(string); ok {
			f.put(uint64(len(s)))
			f.WriteString(s)
			continue
		}
		if err := binary.Write(f, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return f
}

func begin(tensors, keys uint64) *file {
	f := &file{}
	f.WriteString("GGUF")
	return f.put(uint32(3), tensors, keys)
}

func (f *file) pad() *file {
	for f.Len()%32 != 0 {
		f.WriteByte(0)
	}
	return f
}

const (
	typeUint32, typeInt32, typeFloat32, typeBool, typeString, typeArray = uint32(4), uint32(5), uint32(6), uint32(7), uint32(8), uint32(9)
	f32, f16, q41, q80                                                  = uint32(0), uint32(1), uint32(3), uint32(8)
)

// whole holds every kind of metadata and tensor that is read.
func whole() []byte {
	f := begin(4, 6)
	f.put("a", typeUint32, uint32(7)).put("b", typeFloat32, float32(0.5)).put("c", typeString, "text")
	f.put("d", typeArray, typeString, uint64(2), "x", "yz").put("e", typeArray, typeInt32, uint64(2), int32(-1), int32(3))
	f.put("f", typeBool, uint8(1))
	f.put("full", uint32(2), uint64(3), uint64(2), f32, uint64(0))
	f.put("half", uint32(1), uint64(4), f16, uint64(32))
	f.put("four", uint32(1), uint64(32), q41, uint64(64))
	f.put("eight", uint32(2), uint64(32), uint64(1), q80, uint64(96))
	f.pad().put([]float32{1, 2, 3, 4, 5, 6}).pad().put([]uint16{0x3c00, 0xc000, 0x0001, 0x7bff}).pad()
	f.put(uint16(0x3800), uint16(0xbc00)) // times 0.5, from -1
	for i := range 16 {
		f.put(uint8(i | (15-i)<<4))
	}
	f.pad().put(uint16(0x3400)) // times 0.25
	for i := range 32 {
		f.put(int8(i - 16))
	}
	return f.Bytes()
}

func TestDecode(t *testing.T) {
	f, err := gguf.Decode(whole())
	if err != nil {
		t.Fatal(err)
	}
	if names := f.Names(); !slices.Equal(names, []string{"eight", "four", "full", "half"}) {
		t.Errorf("tensors %v", names)
	}
	var four, eight []float32
	for i := range 16 {
		four = append(four, float32(i)/2-1)
	}
	for i := range 16 {
		four = append(four, float32(15-i)/2-1)
	}
	for i := range 32 {
		eight = append(eight, float32(i-16)/4)
	}
	for _, c := range []struct {
		name   string
		shape  []int64
		values []float32
	}{
		{"full", []int64{2, 3}, []float32{1, 2, 3, 4, 5, 6}},
		{"half", []int64{4}, []float32{1, -2, float32(math.Ldexp(1, -24)), 65504}},
		{"four", []int64{32}, four},
		{"eight", []int64{1, 32}, eight},
	} {
		shape, values, err := f.Tensor(c.name)
		if err != nil || !slices.Equal(shape, c.shape) || !slices.Equal(values, c.values) {
			t.Errorf("%s: %v %v %v, want %v %v", c.name, shape, values, err, c.shape, c.values)
		}
	}
	if v, err := f.Int("a"); err != nil || v != 7 {
		t.Errorf("a is %v, %v", v, err)
	}
	if v, err := f.Float("b"); err != nil || v != 0.5 {
		t.Errorf("b is %v, %v", v, err)
	}
	if v, err := f.String("c"); err != nil || v != "text" {
		t.Errorf("c is %v, %v", v, err)
	}
	if v, err := f.Strings("d"); err != nil || !slices.Equal(v, []string{"x", "yz"}) {
		t.Errorf("d is %v, %v", v, err)
	}
	if _, err := f.Int("c"); err == nil || !strings.Contains(err.Error(), "c is a string") {
		t.Errorf("a text as a number: %v", err)
	}
	if _, err := f.Int("z"); err == nil || !strings.Contains(err.Error(), "holds no z") {
		t.Errorf("no such key: %v", err)
	}
	if _, _, err := f.Tensor("none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("no such tensor: %v", err)
	}
}

func TestHostileFiles(t *testing.T) {
	tensor := func(name string, dims []uint64, kind uint32, offset uint64) []byte {
		return begin(1, 0).put(name, uint32(len(dims)), dims, kind, offset).pad().Bytes()
	}
	magic := append([]byte("GGML"), whole()[4:]...)
	version := whole()
	version[4] = 1
	for _, c := range []struct {
		name string
		data []byte
		says string
	}{
		{"empty", nil, "magic"},
		{"another format", magic, "GGML"},
		{"version 1", version, "version 1"},
		{"2^60 keys", begin(0, 1<<60).Bytes(), "keys"},
		{"2^60 tensors", begin(1<<60, 0).Bytes(), "tensors"},
		{"a string of 2^63", begin(0, 1).put(uint64(1)<<63, uint64(0)).Bytes(), "limit"},
		{"a string beyond the end", begin(0, 1).put(uint64(50), uint64(0)).Bytes(), "ends within"},
		{"an unknown type", begin(0, 1).put("a", uint32(13), uint64(0)).Bytes(), "no such type"},
		{"an array of arrays", begin(0, 1).put("a", typeArray, typeArray, uint64(1), uint64(0)).Bytes(), "no array of type"},
		{"an array of 2^40", begin(0, 1).put("a", typeArray, typeInt32, uint64(1)<<40).Bytes(), "an array of"},
		{"a key twice", begin(0, 2).put("a", typeBool, uint8(1)).put("a", typeBool, uint8(1)).Bytes(), "twice"},
		{"an odd alignment", begin(0, 1).put("general.alignment", typeUint32, uint32(3)).Bytes(), "alignment"},
		{"five dimensions", tensor("t", []uint64{1, 1, 1, 1, 1}, f32, 0), "5 dimensions"},
		{"no dimension", tensor("t", nil, f32, 0), "0 dimensions"},
		{"a dimension of 0", tensor("t", []uint64{0}, f32, 0), "dimension 0"},
		{"a product beyond 2^64", tensor("t", []uint64{1 << 40, 1 << 40}, f32, 0), "room"},
		{"more values than bytes", tensor("t", []uint64{1 << 20}, f32, 0), "room"},
		{"an unread type", tensor("t", []uint64{32}, 12, 0), "type 12"},
		{"half a block", tensor("t", []uint64{16}, q41, 0), "blocks"},
		{"behind the end", tensor("t", []uint64{1}, f32, 1<<40), "aligned"},
		{"off the alignment", tensor("t", []uint64{1}, f32, 4), "aligned"},
		{"a tensor twice", begin(2, 0).put("t", uint32(1), uint64(1), f32, uint64(0)).put("t", uint32(1), uint64(1), f32, uint64(0)).pad().Bytes(), "twice"},
	} {
		if _, err := gguf.Decode(c.data); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
	for n := range whole() {
		if _, err := gguf.Decode(whole()[:n]); err == nil {
			t.Errorf("the first %d bytes pass for a file", n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(whole())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Decode(data)
		if err != nil {
			return
		}
		for _, name := range file.Names() {
			if _, values, err := file.Tensor(name); err != nil || len(values) > 8*len(data) {
				t.Errorf("%q: %d values of %d bytes, %v", name, len(values), len(data), err)
			}
		}
	})
}

// TestPublished reads the published file.
func TestPublished(t *testing.T) {
	path, err := weights.Path("smollm2.gguf")
	if err != nil {
		t.Skip(err)
	}
	f, err := gguf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Int("llama.block_count"); err != nil || n != 30 || len(f.Names()) != 272 {
		t.Errorf("%d layers, %d tensors, %v", n, len(f.Names()), err)
	}
	shape, values, err := f.Tensor("blk.0.attn_k.weight")
	if err != nil || !slices.Equal(shape, []int64{192, 576}) || len(values) != 192*576 {
		t.Errorf("a matrix has shape %v and %d values, %v", shape, len(values), err)
	}
}
