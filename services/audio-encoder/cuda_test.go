package audioencoder

import (
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/tensortest"
)

func models(s *Service) []tensortest.Model { return []tensortest.Model{s} }

// TestOnCUDA: the net on the first CUDA device passes the same probes.
func TestOnCUDA(t *testing.T) {
	tensortest.OnCUDA(t, func(device, precision string) (*Service, error) {
		return New(Config{Device: device, GPUPrecision: precision})
	}, models)
}

// TestRounded: in bfloat16 the readable net passes the same probes.
func TestRounded(t *testing.T) {
	_, s := tensortest.Rounded(t, func(opt tensor.Options) (*Service, error) { return newOn(Config{Threads: 1}, opt) }, models)
	if s.fast != nil {
		t.Error("rounded weights are on the kernels, which know float32 alone")
	}
}
