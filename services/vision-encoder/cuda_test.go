package visionencoder

import (
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/tensortest"
)

// TestOnCUDA: the nets on the first CUDA device pass the same probes.
func TestOnCUDA(t *testing.T) {
	tensortest.OnCUDA(t, func(t *testing.T, device, precision string) []tensortest.Model {
		s, err := New(Config{Device: device, GPUPrecision: precision})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return []tensortest.Model{s, s.Radiographs(), s.Segmenter()}
	})
}

// TestRounded: in bfloat16, which the CPU knows as well, the readable nets pass the same probes, and what they compute is
// not taken for what others do.
func TestRounded(t *testing.T) {
	open := func(kind tensor.Kind) *Service {
		s, err := newOn(Config{Threads: 1}, tensor.Options{Device: tensor.CPU, Precision: kind})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	full, s := open(tensor.Float), open(tensor.BFloat16)
	if s.fast != nil {
		t.Error("rounded weights are on the kernels, which know float32 alone")
	}
	for _, m := range [][2]interface {
		tensortest.Model
		Digest() string
	}{{s, full}, {s.Radiographs(), full.Radiographs()}, {s.Segmenter(), full.Segmenter()}} {
		if m[0].Digest() == m[1].Digest() {
			t.Error("the digest does not name the precision")
		}
		if err := m[0].Probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
