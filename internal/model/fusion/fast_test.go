package fusion

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// small is a net that kernels can compute, of heads of 32 values.
var small = Config{
	Dim: 64, Heads: 2, Depth: 2, ContrastDim: 16, Grid: 3, TextDim: 48, ImageDim: 80, AudioDim: 32,
	Answers: []string{"yes", "no", "red", "blue"}, Temperature: 1,
	Findings: []Label{
		{Name: "Pneumonia", Modality: "image", Scale: 1}, {Name: "Effusion", Modality: "image", Scale: 1},
		{Name: "Cough", Modality: "audio", Scale: 1}, {Name: "Fever", Modality: "text", Scale: 1}, {Name: "Unknown", Scale: 1},
	},
}

// requests are questions and reports on every subset of the modalities, in several lengths.
func requests(c Config) map[string]Input {
	rng := rand.New(rand.NewPCG(9, 0))
	tokens := func(n, dim int64) []float32 {
		x := make([]float32, n*dim)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	all := map[string]Input{}
	for subset := range 8 {
		for _, length := range []int64{1, 8, 61} {
			for _, asks := range []bool{true, false} {
				var in Input
				if asks {
					in.Question = tokens(length, c.TextDim)
				} else if subset == 0 {
					continue
				}
				if subset>>Text&1 == 1 {
					in.Text = tokens(length+3, c.TextDim)
				}
				if subset>>Image&1 == 1 {
					in.Image = tokens(c.Grid*c.Grid, c.ImageDim)
				}
				if subset>>Audio&1 == 1 {
					in.Audio = tokens(2*length, c.AudioDim)
				}
				all[fmt.Sprintf("subset %03b, length %d, question %v", subset, length, asks)] = in
			}
		}
	}
	return all
}

// agree fails unless got is want to within 1e-5 of the largest value, or of 1.
func agree(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	largest := 1.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	for i := range got {
		if !(math.Abs(float64(got[i]-want[i])) <= 1e-5*largest) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func (r *Result) gate() []float32 {
	var v []float32
	for i := range modalities {
		v = append(v, float32(r.Entropies[i]), float32(r.Weights[i]))
	}
	return v
}

// fast runs fn on a net of random weights and its fast form.
func fast(t *testing.T, c Config, level kernels.Level, fn func(a *tensor.Arena, m *Model, f *Fast)) {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer e.Close()
	err := e.Do(t.Context(), func(a *tensor.Arena) error {
		p := tensor.Random(7)
		m := New(a, p, c)
		f := NewFast(a, m, p, 1, level)
		defer f.Free()
		fn(a, m, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKernelsChangeNothing: the fast form says what the layers say, of everything that can be asked.
func TestKernelsChangeNothing(t *testing.T) {
	for level := kernels.Plain; level <= kernels.Best(); level++ {
		for depth := 1; depth <= 3; depth++ {
			for _, rule := range []Rule{Learned, EntropyShare} {
				c := small
				c.Depth, c.Gate = depth, rule
				fast(t, c, level, func(a *tensor.Arena, m *Model, f *Fast) {
					for name, in := range requests(c) {
						name = fmt.Sprintf("%s, depth %d, %s, %s", level, depth, rule, name)
						want, got := m.Read(a, in), f.Read([]Input{in})[0]
						agree(t, name+": logits", got.Logits, want.Logits)
						for i := range modalities {
							if got.Present(i) != want.Present(i) {
								t.Fatalf("%s: %s is present: %v, want %v", name, names[i], got.Present(i), want.Present(i))
							}
							agree(t, name+": alone", got.Alone[i], want.Alone[i])
						}
						agree(t, name+": gate", got.gate(), want.gate())
						agree(t, name+": attention", got.Attention, want.Attention)
						agree(t, name+": maps", got.Maps, want.Maps)
					}
				})
			}
		}
	}
}

// TestBatchMatesDoNotCount: to the bit, though what requests have in common is computed once.
func TestBatchMatesDoNotCount(t *testing.T) {
	fast(t, small, kernels.Best(), func(_ *tensor.Arena, _ *Model, f *Fast) {
		var batch []Input
		for _, in := range requests(small) {
			other := in // as what an answer relies on is measured
			other.Image = nil
			for i := int64(len(in.Image)); i > 0; i -= small.ImageDim {
				other.Image = append(other.Image, in.Image[i-small.ImageDim:i]...)
			}
			other.Audio = nil
			batch = append(batch, in, in)
			if other.Question != nil || other.Text != nil || other.Image != nil {
				batch = append(batch, other)
			}
		}
		for i, got := range f.Read(batch) {
			if want := f.Read(batch[i : i+1])[0]; !reflect.DeepEqual(got, want) {
				t.Fatalf("request %d of %d: %+v, alone %+v", i, len(batch), got, want)
			}
		}
	})
}

func TestRulesByNumbers(t *testing.T) {
	fast(t, small, kernels.Plain, func(a *tensor.Arena, m *Model, f *Fast) {
		for name, in := range requests(small) {
			batch := m.batch(a, in)
			out := m.Forward(a, batch)
			r := f.Read([]Input{in})[0]
			for rule := range Rules {
				weights := r.ByRule(m.Gate(a), rule)
				got := []float32{float32(weights[0]), float32(weights[1]), float32(weights[2])}
				agree(t, name+": weights by "+rule.String(), got, a.Float32s(m.Weigh(a, batch, out, rule)))
			}
		}
	})
}

func TestFastAlign(t *testing.T) {
	fast(t, small, kernels.Best(), func(a *tensor.Arena, m *Model, f *Fast) {
		for name, in := range requests(small) {
			batch := m.batch(a, in)
			for i, tokens := range []Tokens{batch.Text, batch.Image, batch.Audio} {
				if values := [][]float32{in.text(), in.Image, in.Audio}[i]; values != nil {
					agree(t, name+", "+names[i], f.Align(i, values), a.Float32s(m.Align(a, i, tokens)))
				}
			}
		}
	})
}
