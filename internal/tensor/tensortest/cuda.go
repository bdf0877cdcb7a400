// Package tensortest tries services on a CUDA device, and with rounded weights.
package tensortest

import (
	"context"
	"io"
	"testing"

	"consilium/internal/tensor"
)

// Model compares a forward pass with a stored result. Its digest says how it computes.
type Model interface {
	Probe(ctx context.Context) error
	Digest() string
}

// OnCUDA opens a service on the first CUDA device, in each precision, and probes its models. It skips where there is none.
func OnCUDA[S io.Closer](t *testing.T, open func(device, precision string) (S, error), models func(S) []Model) {
	const device = "cuda"
	if _, err := tensor.ParseDevice(device); err != nil {
		t.Skip(err)
	}
	for _, precision := range []string{"fp32", "bf16", "fp16"} {
		t.Run(precision, func(t *testing.T) {
			s, err := open(device, precision)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, m := range models(s) {
				if err := m.Probe(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Rounded opens a service on the CPU in float32 and in bfloat16, which the CPU knows as well, and returns both. Rounded, the
// models pass the same probes, and what they compute is not taken for what the others do.
func Rounded[S io.Closer](t *testing.T, open func(tensor.Options) (S, error), models func(S) []Model) (full, rounded S) {
	start := func(kind tensor.Kind) S {
		s, err := open(tensor.Options{Device: tensor.CPU, Precision: kind})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	full, rounded = start(tensor.Float), start(tensor.BFloat16)
	others := models(full)
	for i, m := range models(rounded) {
		if m.Digest() == others[i].Digest() {
			t.Error("the digest does not name the precision")
		}
		if err := m.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return full, rounded
}
