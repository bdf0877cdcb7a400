package minilm

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// all8 is every linear layer.
func all8() Plan {
	plan := Plan{}
	for layer := range L6.Layers {
		for _, name := range Linears {
			plan[fmt.Sprintf("%d.%s", layer, name)] = true
		}
	}
	return plan
}

// fast returns the net of m on kernels.
func fast(t testing.TB, engine *tensor.Engine, m *Model, threads int, level kernels.Level, plan Plan) *Fast {
	t.Helper()
	var f *Fast
	err := engine.Do(t.Context(), func(a *tensor.Arena) error {
		f = NewFast(a, m, a.Float32s(m.words), threads, level, plan)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Free)
	return f
}

// run returns the token vectors and the sentence vector of each sequence, in order.
func run(t testing.TB, f *Fast, sequences [][]int32) (tokens, vectors [][]float32) {
	t.Helper()
	p, err := f.config.Pack(sequences)
	if err != nil {
		t.Fatal(err)
	}
	tokens, vectors = make([][]float32, len(sequences)), make([][]float32, len(sequences))
	x, v := f.Forward(p)
	for _, i := range p.Order {
		n, d := len(sequences[i])*int(L6.Dim), int(L6.Dim)
		tokens[i], x, vectors[i], v = x[:n], x[n:], v[:d], v[d:]
	}
	return tokens, vectors
}

func goldenSequences(t testing.TB) (sequences [][]int32) {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &sequences); err != nil {
		t.Fatal(err)
	}
	return sequences
}

// TestFastEqualsModel: at every level, with one thread and with three, alone and among others.
func TestFastEqualsModel(t *testing.T) {
	engine, m := load(t)
	sequences := goldenSequences(t)
	want, wantVectors := encode(t, engine, m, sequences)
	for level := kernels.Plain; level <= kernels.Best(); level++ {
		threads := 1 + 2*(int(level)%2)
		t.Run(fmt.Sprintf("%s, %d threads", level, threads), func(t *testing.T) {
			f := fast(t, engine, m, threads, level, nil)
			got, vectors := run(t, f, sequences)
			worst := 0.0
			for i := range sequences {
				d := max(far(t, got[i], want[i]), far(t, vectors[i], wantVectors[i]))
				if worst = max(worst, d); !(d <= tolerance) {
					t.Errorf("sequence %d of %d tokens differs by %g, want at most %g", i, len(sequences[i]), d, tolerance)
				}
			}
			for _, i := range []int{0, len(sequences) / 2} {
				alone, vector := run(t, f, sequences[i:i+1])
				if !slices.Equal(alone[0], got[i]) || !slices.Equal(vector[0], vectors[i]) {
					t.Errorf("sequence %d of %d tokens has another result among others", i, len(sequences[i]))
				}
			}
			t.Logf("largest difference of any value: %.2g", worst)
		})
	}
}

// TestFastInt8 holds 8 bits to the bounds that the service promises, on the few sequences that are here; see
// services/text-encoder for more. A vector is the same among others, to the bit, and at every level nearly so: a value between two bytes may round either way.
func TestFastInt8(t *testing.T) {
	engine, m := load(t)
	sequences := goldenSequences(t)
	_, want := encode(t, engine, m, sequences)
	var first [][]float32
	for level := kernels.Best(); level >= kernels.Plain; level-- {
		t.Run(level.String(), func(t *testing.T) {
			f := fast(t, engine, m, 2, level, all8())
			_, got := run(t, f, sequences)
			least, total := 1.0, 0.0
			for i := range sequences {
				c := dot(got[i], want[i])
				least, total = min(least, c), total+c
				_, alone := run(t, f, sequences[i:i+1])
				if !slices.Equal(alone[0], got[i]) {
					t.Errorf("sequence %d of %d tokens has another vector among others", i, len(sequences[i]))
				}
				if first != nil {
					if c := dot(got[i], first[i]); !(c >= 0.998) {
						t.Errorf("sequence %d has cosine %v to the level above", i, c)
					}
				}
			}
			first = got
			if mean := total / float64(len(sequences)); !(least >= 0.97 && mean >= 0.985) {
				t.Errorf("cosine to fp32: mean %.5f, least %.5f", mean, least)
			} else {
				t.Logf("cosine to fp32: mean %.5f, least %.5f", mean, least)
			}
		})
	}
}

func dot(x, y []float32) (s float64) {
	for i := range x {
		s += float64(x[i]) * float64(y[i])
	}
	return s
}

func TestParts(t *testing.T) {
	p, err := L6.Pack([][]int32{{1, 2, 3}, {4}, {5, 6, 7}, {8}, make([]int32, 9)})
	if err != nil {
		t.Fatal(err)
	}
	got := p.parts(5)
	want := [][]int32{{0, 1, 2, 5}, {0, 3}, {0, 9}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("parts %v, want %v", got, want)
	}
}
