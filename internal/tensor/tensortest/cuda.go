// Package tensortest tries models on a CUDA device.
package tensortest

import (
	"context"
	"testing"

	"consilium/internal/tensor"
)

// Model compares a forward pass with a stored result.
type Model interface {
	Probe(ctx context.Context) error
}

// OnCUDA opens models on the first CUDA device, in each precision, and probes them. It skips where there is none.
func OnCUDA(t *testing.T, open func(t *testing.T, device, precision string) []Model) {
	const device = "cuda"
	if _, err := tensor.ParseDevice(device); err != nil {
		t.Skip(err)
	}
	for _, precision := range []string{"fp32", "bf16", "fp16"} {
		t.Run(precision, func(t *testing.T) {
			for _, m := range open(t, device, precision) {
				if err := m.Probe(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
