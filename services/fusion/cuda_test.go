package fusion

import (
	"testing"

	"consilium/internal/tensor/tensortest"
)

// TestOnCUDA: the nets on the first CUDA device pass the same probes.
func TestOnCUDA(t *testing.T) {
	tensortest.OnCUDA(t, func(device, _ string) (*Service, error) {
		return New(Config{Device: device})
	}, func(s *Service) []tensortest.Model { return []tensortest.Model{s, s.Writer(), s.Aligner()} })
}
