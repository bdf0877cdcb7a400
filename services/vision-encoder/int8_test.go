package visionencoder

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
)

func startInt8(t *testing.T) *Service {
	t.Helper()
	if !HasInt8() {
		t.Skip("this processor lacks AVX-512 or VNNI")
	}
	return start(t, Config{Device: "cpu", Threads: 2, Precision: analysis.Int8})
}

// Pictures that nobody calibrated on: both encoders stay near fp32, and a picture's vector is the same beside others.
func TestInt8(t *testing.T) {
	short, whole := startInt8(t), start(t, Config{Device: "cpu"})
	_, contents := files(t)
	for _, c := range []struct {
		name         string
		whole, short *Encoder
		pictures     [][]byte
	}{{"published", whole.Encoder, short.Encoder, contents}, {"radiographs", whole.Radiographs(), short.Radiographs(), contents[8:]}} {
		if c.whole.Digest() == c.short.Digest() {
			t.Errorf("%s: 8 bits have the digest of fp32", c.name)
		}
		if record := c.short.Calibration(); record == nil || record.Check() != nil || c.whole.Calibration() != nil {
			t.Errorf("%s: the calibration is %+v, of fp32 %+v", c.name, record, c.whole.Calibration())
		}
		if err := c.short.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		encode := func(e *Encoder, pictures [][]byte) []*analysis.Features {
			features, err := e.EncodeImage(t.Context(), pictures)
			if err != nil {
				t.Fatal(err)
			}
			return features
		}
		want, got := encode(c.whole, c.pictures), encode(c.short, c.pictures)
		least, total := 1.0, 0.0
		for i := range got {
			one := tensor.Cosine(got[i].Vector, want[i].Vector)
			least, total = min(least, one), total+one
		}
		mean := total / float64(len(got))
		if !(mean >= 0.99 && least >= 0.95) {
			t.Errorf("%s: cosine to fp32: mean %.4f, least %.4f, want 0.99 and 0.95", c.name, mean, least)
		}
		t.Logf("%s: cosine to fp32: mean %.4f, least %.4f", c.name, mean, least)
		if alone := encode(c.short, c.pictures[3:4])[0]; !slices.Equal(alone.Vector, got[3].Vector) || !slices.Equal(alone.Tokens, got[3].Tokens) {
			t.Errorf("%s: a picture has other features alone", c.name)
		}
	}
}

func TestInt8RunsOnTheProcessorOnly(t *testing.T) {
	if s, err := New(Config{Device: "cuda", Precision: analysis.Int8}); err == nil {
		s.Close()
		t.Error("8 bits were taken for the device cuda")
	}
}

// Calibrate writes what the service reads; the records of few pictures differ from those of many.
func TestCalibrate(t *testing.T) {
	if !HasInt8() {
		t.Skip("this processor lacks AVX-512 or VNNI")
	}
	_, contents := files(t)
	path := filepath.Join(t.TempDir(), "int8.safetensors")
	if err := Calibrate(t.Context(), contents[:4], contents[8:12], path, t.Output()); err != nil {
		t.Fatal(err)
	}
	raw, figures, err := tensor.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	shipped, _, err := tensor.DecodeSafetensors(int8Record)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) != len(shipped) || !strings.Contains(figures[published], `"samples":8`) || !strings.Contains(figures[radiographs], `"samples":4`) {
		t.Errorf("%d tensors and %v, want %d tensors, of 8 pictures and of 4", len(raw), figures, len(shipped))
	}
	for name, tensor := range shipped {
		if !slices.Equal(raw[name].Shape, tensor.Shape) {
			t.Errorf("%s has the shape %v, want %v", name, raw[name].Shape, tensor.Shape)
		}
	}
	if err := Calibrate(t.Context(), [][]byte{{1, 2, 3}}, nil, path, t.Output()); err == nil {
		t.Error("three bytes were taken for a picture")
	}
}
