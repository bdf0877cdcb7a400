package train

import (
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
)

// TestVariantsAreMadeOnce encodes a picture and its variants with an encoder that copies, and counts what is made.
func TestVariantsAreMadeOnce(t *testing.T) {
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer engine.Close()
	folder, made := t.TempDir(), 0
	vary := func(b []byte, rng *rand.Rand) ([]byte, error) {
		made++
		return append(slices.Clone(b), byte(rng.IntN(200))), nil
	}
	load := func(method, model string, seed uint64) (rows [][]uint16) {
		made = 0
		artefacts := []artefact{bytesArtefact([]byte{1})}
		for i := range 4 {
			artefacts = append(artefacts, variedArtefact(method, []byte{1}, seed, i, vary))
		}
		set, err := encodeAll(t.Context(), io.Discard, engine, folder, "pictures", artefacts, func(_ context.Context, b []byte) (*analysis.Features, error) {
			f := &analysis.Features{Model: model, TokenDim: 1}
			for _, v := range b {
				f.Tokens = append(f.Tokens, float32(v))
			}
			return f, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return set.Rows
	}
	rows := load("copy 1", "m", 7)
	if made != 4 || len(rows) != 5 || slices.Equal(rows[1], rows[2]) {
		t.Errorf("%d variants were made, features %v", made, rows)
	}
	again := load("copy 1", "m", 7)
	if made != 0 || !slices.EqualFunc(rows, again, slices.Equal[[]uint16]) {
		t.Errorf("the second time %d variants were made, features %v, want %v", made, again, rows)
	}
	for what, other := range map[string]func(){
		"method":  func() { load("copy 2", "m", 7) },
		"encoder": func() { load("copy 1", "n", 7) },
		"seed":    func() { load("copy 1", "m", 8) },
	} {
		if other(); made != 4 {
			t.Errorf("with another %s %d variants were made, want 4", what, made)
		}
	}
}
