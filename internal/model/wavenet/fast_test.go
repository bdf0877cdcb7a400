package wavenet

import (
	"slices"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// encode puts frames (n, Bands) through a stream in pieces of so many.
func encode(f *Fast, frames []float32, piece int) (tokens, vector []float32) {
	s := f.Stream()
	for part := range slices.Chunk(frames, piece*int(f.config.Bands)) {
		tokens = append(tokens, s.Write(part)...)
	}
	last, vector := s.Close()
	return append(tokens, last...), vector
}

// TestFastEqualsModel: at every level, with one thread and with two, however the sound is cut.
func TestFastEqualsModel(t *testing.T) {
	must(t, do(t, func(a *tensor.Arena) {
		p := tensor.Random(1)
		defer p.Free(a)
		m := New(a, p, full)
		for level := kernels.Plain; level <= kernels.Best(); level++ {
			f := NewFast(a, m, 1+int(level)%2, level)
			for i, n := range []int64{1, 7, 8, 9, 127, 128, 300} {
				frames := noise(uint64(i), n*full.Bands)
				want := m.Forward(a, a.Transpose(a.FromFloat32(frames, 1, n, full.Bands), 1, 2), []int{int(n)})
				tokens, vector := encode(f, frames, int(n))
				if d := difference(t, tokens, a.Float32s(want.Tokens)); d > 1e-5 {
					t.Errorf("%s: tokens of %d frames differ by %g", level, n, d)
				}
				if d := difference(t, vector, a.Float32s(want.Vector)); d > 1e-5 {
					t.Errorf("%s: vector of %d frames differs by %g", level, n, d)
				}
				for _, piece := range []int{1, 3, 8, 100, 129} {
					cutTokens, cutVector := encode(f, frames, piece)
					if !slices.Equal(cutTokens, tokens) || !slices.Equal(cutVector, vector) {
						t.Errorf("%s: %d frames in pieces of %d give other numbers", level, n, piece)
					}
				}
			}
			f.Free()
		}
	}))
}

// TestStreamsTakeTurns: two sounds may be on their way at once.
func TestStreamsTakeTurns(t *testing.T) {
	must(t, do(t, func(a *tensor.Arena) {
		p := tensor.Random(1)
		defer p.Free(a)
		f := NewFast(a, New(a, p, full), 1, kernels.Best())
		defer f.Free()
		x, y := noise(1, 90*full.Bands), noise(2, 90*full.Bands)
		wantX, vectorX := encode(f, x, 90)
		wantY, vectorY := encode(f, y, 90)
		one, other := f.Stream(), f.Stream()
		var gotX, gotY []float32
		for at := 0; at < len(x); at += int(30 * full.Bands) {
			gotX = append(gotX, one.Write(x[at:at+int(30*full.Bands)])...)
			gotY = append(gotY, other.Write(y[at:at+int(30*full.Bands)])...)
		}
		lastX, gotVectorX := one.Close()
		lastY, gotVectorY := other.Close()
		if !slices.Equal(append(gotX, lastX...), wantX) || !slices.Equal(append(gotY, lastY...), wantY) ||
			!slices.Equal(gotVectorX, vectorX) || !slices.Equal(gotVectorY, vectorY) {
			t.Error("a sound has other numbers beside another one")
		}
	}))
}
