package fusion

import (
	"testing"

	"consilium/internal/tensor/tensortest"
)

// TestOnCUDA: the nets on the first CUDA device pass the same probes.
func TestOnCUDA(t *testing.T) {
	tensortest.OnCUDA(t, func(t *testing.T, device, _ string) []tensortest.Model {
		s, err := New(Config{Device: device})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return []tensortest.Model{s, s.Writer(), s.Aligner()}
	})
}
