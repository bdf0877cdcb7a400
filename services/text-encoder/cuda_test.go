package textencoder

import (
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/tensortest"
)

// TestOnCUDA: the net on the first CUDA device pass the same probes.
func TestOnCUDA(t *testing.T) {
	tensortest.OnCUDA(t, func(t *testing.T, device, precision string) []tensortest.Model {
		s, err := New(Config{Device: device, GPUPrecision: precision})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return []tensortest.Model{s}
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
	if s.Digest() == full.Digest() {
		t.Error("the digest does not name the precision")
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	texts := []string{"Is there a pleural effusion?", "a", "What colour is the circle to the left of the heart, and is the lung clear?"}
	want, err := full.EncodeText(t.Context(), texts, false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.EncodeText(t.Context(), texts, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range texts {
		vector, tokens := cosine(got[i].Vector, want[i].Vector), cosine(got[i].Tokens, want[i].Tokens)
		if !(vector >= minProbeCosine16 && tokens >= minProbeCosine16) || vector == 1 {
			t.Errorf("%q: cosine %.6f to float32, %.6f of the tokens, want at least %v", texts[i], vector, tokens, minProbeCosine16)
		}
	}
}
