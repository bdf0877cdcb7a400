package fusion

import (
	"math"
	"math/rand/v2"
	"testing"

	"consilium/internal/tensor"
)

var tiny = Config{
	Dim: 12, Heads: 3, Depth: 2, ContrastDim: 4, Grid: 2, TextDim: 5, ImageDim: 7, AudioDim: 3,
	Answers: []string{"yes", "no", "red"}, Temperature: 1,
	Findings: []Label{{Name: "Pneumonia", Modality: "image", Scale: 1}, {Name: "Cough", Modality: "audio", Scale: 1}},
}

// with runs fn on a net of random weights.
func with(t *testing.T, grad bool, fn func(a *tensor.Arena, m *Model, p *tensor.Params)) {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: grad})
	defer e.Close()
	err := e.Do(t.Context(), func(a *tensor.Arena) error {
		p := tensor.Random(7)
		fn(a, New(a, p, tiny), p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// random returns tokens (b, s, d) of which row i shows its first lengths[i].
func random(a *tensor.Arena, seed uint64, d int64, lengths ...int64) Tokens {
	rng := rand.New(rand.NewPCG(seed, seed))
	b, s := int64(len(lengths)), int64(0)
	for _, n := range lengths {
		s = max(s, n)
	}
	values, mask := make([]float32, b*s*d), make([]float32, b*s)
	for i, n := range lengths {
		for j := range n * d {
			values[int64(i)*s*d+j] = float32(rng.NormFloat64())
		}
		for j := range n {
			mask[int64(i)*s+j] = 1
		}
	}
	return Tokens{Values: a.FromFloat32(values, b, s, d), Mask: a.FromFloat32(mask, b, s)}
}

func close32(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Errorf("%s %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestAnySubsetOfModalities(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		for subset := 1; subset < 8; subset++ {
			for _, question := range []bool{true, false} {
				var in Batch
				if question {
					in.Question = random(a, 1, 5, 3, 2)
				}
				given := [modalities]*Tokens{&in.Text, &in.Image, &in.Audio}
				for i, d := range []int64{5, 7, 3} {
					if subset>>i&1 == 1 {
						*given[i] = random(a, uint64(i), d, 4, 4)
					}
				}
				out := m.Forward(a, in)
				weights, entropies := a.Float32s(out.Weights), a.Float32s(out.Entropies)
				for row := range 2 {
					sum := float32(0)
					for i := range modalities {
						w, h := weights[row*3+i], entropies[row*3+i]
						sum += w
						if subset>>i&1 == 0 && (w > 1e-6 || h != 1) {
							t.Errorf("subset %b: absent %s has weight %v and entropy %v", subset, names[i], w, h)
						}
						if h < 0 || h > 1.0001 {
							t.Errorf("subset %b: entropy %v of %s", subset, h, names[i])
						}
					}
					if math.Abs(float64(sum)-1) > 1e-5 {
						t.Errorf("subset %b: weights sum to %v", subset, sum)
					}
				}
				if out.Attention.Defined() != (subset>>Image&1 == 1) {
					t.Errorf("subset %b: attention %v", subset, out.Attention.Defined())
				}
			}
		}
	})
}

// TestPaddingAndBatchMatesDoNotCount runs rows of different lengths together and one by one.
func TestPaddingAndBatchMatesDoNotCount(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		both := Batch{Question: random(a, 1, 5, 5, 3), Image: random(a, 2, 7, 4, 4), Audio: random(a, 3, 3, 6, 0)}
		both.Text = both.Question
		out := m.Forward(a, both)
		row := func(x Tokens, i, n int64) Tokens {
			cut := func(v tensor.T) tensor.T { return a.Narrow(a.Narrow(v, 0, i, 1), 1, 0, n) }
			return Tokens{Values: cut(x.Values), Mask: cut(x.Mask)}
		}
		for i, want := range []Batch{
			{Question: row(both.Question, 0, 5), Image: row(both.Image, 0, 4), Audio: row(both.Audio, 0, 6)},
			{Question: row(both.Question, 1, 3), Image: row(both.Image, 1, 4)},
		} {
			want.Text = want.Question
			alone := m.Forward(a, want)
			for name, pair := range map[string][2]tensor.T{
				"logits": {out.Logits, alone.Logits}, "weights": {out.Weights, alone.Weights},
				"entropies": {out.Entropies, alone.Entropies}, "attention": {out.Attention, alone.Attention},
			} {
				close32(t, name, a.Float32s(a.Narrow(pair[0], 0, int64(i), 1)), a.Float32s(pair[1]))
			}
		}
	})
}

func TestEveryParameterLearns(t *testing.T) {
	with(t, true, func(a *tensor.Arena, m *Model, p *tensor.Params) {
		var ts []tensor.T
		for _, name := range p.Names() {
			a.RequireGrad(p.Tensor(name))
			ts = append(ts, p.Tensor(name))
		}
		q := random(a, 1, 5, 3, 2)
		in := Batch{Question: q, Text: q, Image: random(a, 2, 7, 4, 4), Audio: random(a, 3, 3, 6, 2)}
		ask, tell := m.Forward(a, in), m.Forward(a, Batch{Text: in.Text, Image: in.Image, Audio: in.Audio})
		loss := a.Add(a.Sum(a.Square(ask.Logits), false), a.Sum(a.Square(tell.Logits), false))
		x := a.Matmul(m.Align(a, Image, in.Image), a.Transpose(m.Align(a, Text, in.Text), 0, 1))
		y := a.Matmul(m.Align(a, Audio, in.Audio), a.Transpose(m.Align(a, Text, in.Text), 0, 1))
		loss = a.Add(loss, a.Sum(a.Mul(a.Square(a.Add(x, y)), m.ContrastiveScale(a)), false))
		for i, g := range a.Gradients(loss, ts) {
			if !g.Defined() || a.Item(a.Sum(a.Square(g), false)) == 0 {
				// Keys may be moved by a constant without changing a softmax.
				if name := p.Names()[i]; name[len(name)-8:] != "key.bias" {
					t.Errorf("%s does not learn", name)
				}
			}
		}
	})
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig(tiny.Metadata())
	if err != nil || len(c.Findings) != 2 || c.Dim != 12 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, metadata := range []map[string]string{nil, {"config": "{"}, {"config": `{"dim":5,"heads":2}`}, broken(func(c *Config) { c.Temperature = 0 }), broken(func(c *Config) { c.Findings = []Label{{Name: "x"}} })} {
		if _, err := ParseConfig(metadata); err == nil {
			t.Errorf("%v was read", metadata)
		}
	}
}

func broken(how func(c *Config)) map[string]string {
	c := tiny
	how(&c)
	return c.Metadata()
}
