package minilm

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// tolerance of one value to PyTorch's, and of a value to the same one in another batch. Values of token vectors
// reach 6, those of sentence vectors 0.3.
const tolerance = 1e-5

// load returns an engine and the published weights on it.
func load(t testing.TB) (*tensor.Engine, *Model) {
	t.Helper()
	path, err := weights.Path("minilm/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := tensor.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	params := tensor.FromRaw(raw)
	t.Cleanup(func() {
		_ = engine.Do(t.Context(), func(a *tensor.Arena) error { params.Free(a); return nil })
		engine.Close()
	})
	var m *Model
	err = engine.Do(t.Context(), func(a *tensor.Arena) error {
		m = New(a, params, L6)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return engine, m
}

// encode returns the token vectors and the sentence vector of each sequence, in order.
func encode(t testing.TB, engine *tensor.Engine, m *Model, sequences [][]int32) (tokens, vectors [][]float32) {
	t.Helper()
	p, err := m.config.Pack(sequences)
	if err != nil {
		t.Fatal(err)
	}
	tokens, vectors = make([][]float32, len(sequences)), make([][]float32, len(sequences))
	err = engine.Do(t.Context(), func(a *tensor.Arena) error {
		x, v := m.Forward(a, p)
		xs, vs, d := a.Float32s(x), a.Float32s(v), int(m.config.Dim)
		for _, i := range p.Order {
			n := len(sequences[i]) * d
			tokens[i], xs = xs[:n], xs[n:]
			vectors[i], vs = vs[:d], vs[d:]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tokens, vectors
}

// far returns the largest difference of two slices.
func far(t testing.TB, got, want []float32) (worst float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range got {
		worst = max(worst, math.Abs(float64(got[i])-float64(want[i]))) // NaN stays NaN
	}
	return worst
}

func TestForwardEqualsPyTorch(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var sequences [][]int32
	if err := json.Unmarshal(data, &sequences); err != nil {
		t.Fatal(err)
	}
	golden, _, err := tensor.ReadSafetensors("testdata/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	engine, m := load(t)
	together, vectors := encode(t, engine, m, sequences)
	wantTokens, wantVectors := golden["tokens"].Values, golden["vectors"].Values
	var worst float64
	for i, sequence := range sequences {
		alone, vector := encode(t, engine, m, [][]int32{sequence})
		want := wantVectors[i*int(L6.Dim):][:L6.Dim]
		for name, d := range map[string]float64{
			"vector":                  far(t, vector[0], want),
			"vector among others":     far(t, vectors[i], want),
			"vector, alone and among": far(t, vectors[i], vector[0]),
			"tokens, alone and among": far(t, together[i], alone[0]),
			"tokens, where there are any": func() float64 {
				if i == len(sequences)-1 {
					return 0
				}
				n := len(sequence) * int(L6.Dim)
				want := wantTokens[:n]
				wantTokens = wantTokens[n:]
				return far(t, alone[0], want)
			}(),
		} {
			worst = max(worst, d)
			if !(d <= tolerance) {
				t.Errorf("sequence %d of %d tokens: %s differ by %g, want at most %g", i, len(sequence), name, d, tolerance)
			}
		}
	}
	t.Logf("largest difference of any value: %.2g", worst)
}

func TestPackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		sequences [][]int32
		want      string
	}{
		"nothing":     {nil, "none"},
		"empty":       {[][]int32{{1}, {}}, "sequence 1"},
		"too long":    {[][]int32{make([]int32, 513)}, "513 tokens"},
		"negative id": {[][]int32{{-1}}, "id -1"},
		"unknown id":  {[][]int32{{30522}}, "id 30522"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := L6.Pack(c.sequences); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that names %s", err, c.want)
			}
		})
	}
}

func TestPackSortsByLength(t *testing.T) {
	p, err := L6.Pack([][]int32{{1, 2, 3}, {4}, {5, 6, 7}, {8}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Order, []int{1, 3, 0, 2}) || !slices.Equal(p.ids, []int64{4, 8, 1, 2, 3, 5, 6, 7}) ||
		!slices.Equal(p.positions, []int64{0, 0, 0, 1, 2, 0, 1, 2}) ||
		!slices.Equal(p.groups, []group{{0, 2, 1}, {2, 2, 3}}) {
		t.Errorf("packed as %+v", p)
	}
}

func TestMissingWeightsAreNamed(t *testing.T) {
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer engine.Close()
	err := engine.Do(t.Context(), func(a *tensor.Arena) error {
		New(a, tensor.FromRaw(map[string]tensor.Raw{}), L6)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "embeddings.word_embeddings.weight") {
		t.Errorf("got %v, want an error that names the first tensor", err)
	}
}

func BenchmarkForward(b *testing.B) {
	engine, m := load(b)
	for _, c := range []struct{ sequences, tokens int }{{1, 16}, {32, 16}, {1, 64}, {32, 64}, {1, 256}, {16, 256}} {
		b.Run(fmt.Sprintf("%d of %d tokens", c.sequences, c.tokens), func(b *testing.B) {
			sequences := make([][]int32, c.sequences)
			for i := range sequences {
				sequences[i] = make([]int32, c.tokens)
				for j := range sequences[i] {
					sequences[i][j] = int32(1000 + 7*i + j)
				}
			}
			for b.Loop() {
				encode(b, engine, m, sequences)
			}
			b.ReportMetric(float64(c.sequences*b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}
