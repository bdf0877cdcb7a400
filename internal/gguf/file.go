// Package gguf reads the metadata and the tensors of GGUF files, in which language models for llama.cpp are kept.
package gguf

import (
	"fmt"
	"maps"
	"os"
	"slices"
)

// Bounds of what a file may claim, before anything is allocated for it.
const (
	maxFile     = 4 << 30 // bytes
	maxElements = 1 << 22 // of one array of the metadata
	maxString   = 1 << 20 // bytes of one string
	maxRank     = 4
)

// A File is a header with counts, typed metadata, the name, shape, type and offset of each tensor, and after an
// alignment the tensors, some in blocks of quantised values
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
type File struct {
	metadata map[string]any
	tensors  map[string]entry
	values   []byte
}

// entry is one tensor as the header describes it.
type entry struct {
	shape  []int64
	block  block
	offset uint64
}

func (e entry) count() uint64 {
	n := uint64(1)
	for _, d := range e.shape {
		n *= uint64(d)
	}
	return n
}

// bytes is the tensor's size in the file.
func (e entry) bytes() uint64 { return e.count() / e.block.values * e.block.bytes }

// Read reads a file of version 2 or 3.
func Read(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read gguf %s: %d bytes, the limit is %d", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read gguf %s: %w", path, err)
	}
	return f, nil
}

// Decode is Read on bytes in memory, which the file goes on to use.
func Decode(data []byte) (*File, error) {
	r := reader{rest: data}
	f := &File{metadata: map[string]any{}, tensors: map[string]entry{}}
	r.header(f)
	if r.err != nil {
		return nil, r.err
	}
	alignment := uint64(32)
	if v, ok := f.metadata["general.alignment"]; ok {
		if alignment, ok = v.(uint64); !ok || alignment == 0 || alignment%8 != 0 || alignment > 1<<20 {
			return nil, fmt.Errorf("general.alignment is %v, want a multiple of 8 up to %d", v, 1<<20)
		}
	}
	at := uint64(len(data) - len(r.rest))
	f.values = data[min((at+alignment-1)/alignment*alignment, uint64(len(data))):]
	for name, e := range f.tensors {
		if n := uint64(len(f.values)); e.offset%alignment != 0 || e.offset > n || e.bytes() > n-e.offset {
			return nil, fmt.Errorf("tensor %q: %d bytes at %d do not lie aligned in the %d bytes of the tensors", name, e.bytes(), e.offset, n)
		}
	}
	return f, nil
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Tensor returns the shape and the values of a tensor, widened to float32. The shape is row-major: (out, in) for the
// matrix of a linear layer.
func (f *File) Tensor(name string) (shape []int64, values []float32, err error) {
	e, ok := f.tensors[name]
	if !ok {
		return nil, nil, fmt.Errorf("the gguf file holds no tensor %q", name)
	}
	values = make([]float32, e.count())
	e.block.widen(values, f.values[e.offset:e.offset+e.bytes()])
	return slices.Clone(e.shape), values, nil
}

// Int returns a whole number of the metadata.
func (f *File) Int(key string) (int64, error) {
	switch v := f.metadata[key].(type) {
	case uint64:
		if v <= 1<<62 {
			return int64(v), nil
		}
	case int64:
		return v, nil
	}
	return 0, f.mismatch(key, "a whole number")
}

// Float returns a number of the metadata.
func (f *File) Float(key string) (float64, error) {
	if v, ok := f.metadata[key].(float64); ok {
		return v, nil
	}
	return 0, f.mismatch(key, "a floating-point number")
}

// String returns a text of the metadata.
func (f *File) String(key string) (string, error) {
	if v, ok := f.metadata[key].(string); ok {
		return v, nil
	}
	return "", f.mismatch(key, "a text")
}

// Strings returns a list of texts of the metadata.
func (f *File) Strings(key string) ([]string, error) {
	if v, ok := f.metadata[key].([]string); ok {
		return v, nil
	}
	return nil, f.mismatch(key, "a list of texts")
}

func (f *File) mismatch(key, want string) error {
	if _, ok := f.metadata[key]; !ok {
		return fmt.Errorf("the gguf file's metadata holds no %s", key)
	}
	return fmt.Errorf("the gguf file's %s is a %T, want %s", key, f.metadata[key], want)
}
