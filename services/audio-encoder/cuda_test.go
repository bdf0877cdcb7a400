package audioencoder

import (
	"testing"

	"consilium/internal/tensor"
)

// TestOnCUDA: the net on the first CUDA device passes the same probe.
func TestOnCUDA(t *testing.T) {
	if _, err := tensor.ParseDevice("cuda"); err != nil {
		t.Skip(err)
	}
	s, err := New(Config{Device: "cuda"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}
