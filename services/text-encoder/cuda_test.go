package textencoder

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
	full, s := tensortest.Rounded(t, func(opt tensor.Options) (*Service, error) { return newOn(Config{Threads: 1}, opt) }, models)
	if s.fast != nil {
		t.Error("rounded weights are on the kernels, which know float32 alone")
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
		vector, tokens := tensor.Cosine(got[i].Vector, want[i].Vector), tensor.Cosine(got[i].Tokens, want[i].Tokens)
		if !(vector >= minProbeCosine16 && tokens >= minProbeCosine16) || vector == 1 {
			t.Errorf("%q: cosine %.6f to float32, %.6f of the tokens, want at least %v", texts[i], vector, tokens, minProbeCosine16)
		}
	}
}
