package tensor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMapSafetensors(t *testing.T) {
	folder := t.TempDir()
	full, half, short := filepath.Join(folder, "full"), filepath.Join(folder, "half"), filepath.Join(folder, "short")
	want := []float32{1, -2, 3.5, 4, 5, 6}
	if err := WriteFullSafetensors(full, map[string]Raw{"a": {Shape: []int64{1}, Values: []float32{9}}, "b": {Shape: []int64{2, 3}, Values: want}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := WriteSafetensors(half, map[string]HalfTensor{"b": {Shape: []int64{1}, Bits: []uint16{0x3c00}}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(short, []byte{255, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := MapSafetensors(full)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Floats("b")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !slices.Equal(got, want) {
			t.Errorf("found %v, want %v", got, want)
		}
		if err := m.Forget(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := m.Floats("c"); err == nil {
		t.Errorf("a tensor that is not there has the values %v", got)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{half, short} {
		m, err := MapSafetensors(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Floats("b"); err == nil {
			t.Errorf("%s gave %v", filepath.Base(path), got)
		}
		m.Close()
	}
	if _, err := MapSafetensors(filepath.Join(folder, "none")); err == nil {
		t.Error("a file that is not there was mapped")
	}
}
