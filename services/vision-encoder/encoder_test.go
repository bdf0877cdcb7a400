package visionencoder

import (
	"flag"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
)

var update = flag.Bool("update", false, "write weights/radiographs.probe.safetensors from the committed weights")

func TestRadiographs(t *testing.T) {
	s := start(t, Config{Threads: 1})
	r := s.Radiographs()
	features, err := r.EncodeImage(t.Context(), [][]byte{probePicture})
	if err != nil {
		t.Fatal(err)
	}
	f, plain := features[0], encode(t, s, probePicture)[0]
	if *update {
		writeProbe(t, s, f)
		t.Skip("wrote the probe; run again without -update")
	}
	if err := r.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	if f.TokenCount != 49 || f.TokenDim != 1280 || len(f.Vector) != 1280 || f.Model != r.Digest() {
		t.Errorf("%d tokens of %d, vector of %d, model %s", f.TokenCount, f.TokenDim, len(f.Vector), f.Model)
	}
	if r.Digest() == s.Digest() {
		t.Error("both encoders have the same digest")
	}
	if c := tensor.Cosine(f.Vector, plain.Vector); c > 0.99 {
		t.Errorf("both tops see the same: cosine %.4f", c)
	}
	if _, err := r.EncodeImage(t.Context(), [][]byte{[]byte("GIF89a")}); analysis.CodeOf(err) != analysis.UnsupportedMedia {
		t.Errorf("a GIF gave %v", err)
	}
}

func writeProbe(t *testing.T, s *Service, f *analysis.Features) {
	t.Helper()
	err := s.do(t.Context(), func(a *tensor.Arena) error {
		bits := a.Halfs(a.FromFloat32(f.Vector, int64(len(f.Vector))))
		return tensor.WriteSafetensors("weights/radiographs.probe.safetensors", map[string]tensor.HalfTensor{
			"vector": {Shape: []int64{int64(len(f.Vector))}, Bits: bits},
		}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
