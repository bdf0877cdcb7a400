package tensor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// A safetensors file is a little-endian uint64 header length, a JSON header that gives each tensor's type, shape
// and byte range, and the raw values. https://huggingface.co/docs/safetensors

// maxHeader is the largest header that the format allows.
const maxHeader = 100 << 20

type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Raw is one tensor of a file: its shape and its values, widened to float32.
type Raw struct {
	Shape  []int64
	Values []float32
}

// ReadSafetensors reads every floating-point tensor (F32, F16, BF16) of a safetensors file; integer tensors, such
// as a stored position buffer, are left out. The metadata is that of the header's __metadata__, nil if there is none.
func ReadSafetensors(path string) (tensors map[string]Raw, metadata map[string]string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	tensors, metadata, err = DecodeSafetensors(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read safetensors %s: %w", path, err)
	}
	return tensors, metadata, nil
}

// DecodeSafetensors is ReadSafetensors on bytes in memory.
func DecodeSafetensors(data []byte) (map[string]Raw, map[string]string, error) {
	if len(data) < 8 {
		return nil, nil, fmt.Errorf("%d bytes hold no header", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return nil, nil, fmt.Errorf("header of %d bytes in a file of %d", n, len(data))
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	values := data[8+n:]
	var metadata map[string]string
	tensors := make(map[string]Raw, len(header))
	for name, raw := range header {
		if name == "__metadata__" {
			if err := json.Unmarshal(raw, &metadata); err != nil {
				return nil, nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", name, err)
		}
		width := map[string]int64{"F32": 4, "F16": 2, "BF16": 2}[e.DType]
		if width == 0 {
			continue
		}
		size := int64(1)
		for _, d := range e.Shape {
			if d < 0 || (d > 0 && size > math.MaxInt32/d) {
				return nil, nil, fmt.Errorf("tensor %s: impossible shape %v", name, e.Shape)
			}
			size *= d
		}
		begin, end := e.Offsets[0], e.Offsets[1]
		if begin < 0 || end < begin || end > int64(len(values)) || end-begin != size*width {
			return nil, nil, fmt.Errorf("tensor %s: bytes %d to %d do not hold %s %v", name, begin, end, e.DType, e.Shape)
		}
		tensors[name] = Raw{Shape: e.Shape, Values: widen(e.DType, values[begin:end], size)}
	}
	return tensors, metadata, nil
}

func widen(dtype string, b []byte, n int64) []float32 {
	out := make([]float32, n)
	for i := range out {
		switch dtype {
		case "F32":
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		case "F16":
			out[i] = halfToFloat(binary.LittleEndian.Uint16(b[2*i:]))
		case "BF16":
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	}
	return out
}

// halfToFloat widens an IEEE 754 half-precision number; every one has an exact float32.
func halfToFloat(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, int(h>>10&31), uint32(h&1023)
	switch {
	case exponent == 31:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	case exponent == 0:
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(f))
	}
	return math.Float32frombits(sign | uint32(exponent+112)<<23 | fraction<<13)
}

// Widen returns half-precision numbers, as Halfs copies them out, in single precision.
func Widen(bits []uint16) []float32 {
	out := make([]float32, len(bits))
	for i, b := range bits {
		out[i] = halfToFloat(b)
	}
	return out
}

// HalfTensor is one tensor to be written as float16 bit patterns.
type HalfTensor struct {
	Shape []int64
	Bits  []uint16
}

// WriteSafetensors writes tensors as F16, sorted by name so that equal weights give equal bytes. The file appears
// under its name only when it is complete.
func WriteSafetensors(path string, tensors map[string]HalfTensor, metadata map[string]string) error {
	return writeSafetensors(path, "F16", 2, tensors, metadata, func(t HalfTensor) ([]int64, any, int) { return t.Shape, t.Bits, len(t.Bits) })
}

// WriteFullSafetensors is WriteSafetensors in F32, which loses nothing.
func WriteFullSafetensors(path string, tensors map[string]Raw, metadata map[string]string) error {
	return writeSafetensors(path, "F32", 4, tensors, metadata, func(t Raw) ([]int64, any, int) { return t.Shape, t.Values, len(t.Values) })
}

func writeSafetensors[E any](path, dtype string, width int64, tensors map[string]E, metadata map[string]string, parts func(E) (shape []int64, values any, n int)) error {
	names := slices.Sorted(maps.Keys(tensors))
	header := map[string]any{"__metadata__": metadata}
	end := int64(0)
	for _, name := range names {
		shape, _, n := parts(tensors[name])
		begin := end
		end += width * int64(n)
		header[name] = entry{DType: dtype, Shape: shape, Offsets: [2]int64{begin, end}}
	}
	head, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("write safetensors %s: %w", path, err)
	}
	for len(head)%8 != 0 {
		head = append(head, ' ')
	}
	return writeFile(path, func(w io.Writer) error {
		if err := binary.Write(w, binary.LittleEndian, uint64(len(head))); err != nil {
			return err
		}
		if _, err := w.Write(head); err != nil {
			return err
		}
		for _, name := range names {
			_, values, _ := parts(tensors[name])
			if err := binary.Write(w, binary.LittleEndian, values); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeFile writes to a temporary file beside path and renames it.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil { // or a crash of the machine could leave the name without its bytes
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
