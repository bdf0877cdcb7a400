package smolwriter

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"consilium/internal/bpe"
	"consilium/internal/model/sentence"
	"consilium/internal/model/smollm"
	"consilium/internal/tensor"
)

var tiny = Config{
	Sentence: sentence.Config{
		Dim: 12, Heads: 3, Length: 40, Grid: 2, ImageDim: 5,
		Words:        []string{sentence.End, ",", "-", "no", "fluid", "there", "is", "right", "sided"},
		Observations: []string{"Edema", "Pleural Effusion"}, Parents: map[string]string{"Edema": "Pleural Effusion"},
	},
	Queries: 2, Rank: 2, Alpha: 4,
}

// base returns a random language model of bytes and a few merges.
func base(t *testing.T, a *tensor.Arena) *Base {
	t.Helper()
	var tokens []string
	for b := rune('!'); b <= '~'; b++ {
		tokens = append(tokens, string(b))
	}
	tokens = append(tokens, "Ġ", "Ġn", "Ġno", "is", "Ġr", "<|im_start|>", "<|im_end|>")
	tok, err := bpe.New(tokens, []string{"Ġ n", "Ġn o", "i s", "Ġ r"})
	if err != nil {
		t.Fatal(err)
	}
	b := &Base{tokenizer: tok, config: smollm.Config{
		Vocabulary: int64(len(tokens)), Positions: 64, Dim: 24, Layers: 2, Heads: 6, KeyHeads: 2, Inner: 20, Base: 1000, Epsilon: 1e-5}}
	if err := b.take(a, tensor.Random(1)); err != nil {
		t.Fatal(err)
	}
	return b
}

func input(seed uint64, side string, asserts map[string]bool) *sentence.Input {
	rng := rand.New(rand.NewPCG(seed, seed))
	in := &sentence.Input{Judged: map[string]float64{"Edema": 0.9}, Present: map[string]bool{"Edema": true}, Asserts: asserts, Side: side}
	for range 4 * 5 {
		in.Image = append(in.Image, float32(rng.NormFloat64()))
	}
	return in
}

func with(t *testing.T, fn func(a *tensor.Arena, m *Model, p *tensor.Params)) {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer e.Close()
	err := e.Do(t.Context(), func(a *tensor.Arena) error {
		b := base(t, a)
		defer b.Free(a)
		p := tensor.Random(7)
		defer p.Free(a)
		m := New(a, p, tiny, b)
		a.NoGrad(func() { // adapters begin with zeros, which hide half of what could be wrong with them
			rng := rand.New(rand.NewPCG(8, 8)) // the same in every run: with some adapters no sentence ends
			for _, name := range p.Order() {
				if strings.HasSuffix(name, "lora_b") {
					values := a.Float32s(p.Tensor(name))
					for i := range values {
						values[i] = rng.Float32() - 0.5
					}
					a.Copy(p.Tensor(name), a.FromFloat32(values, a.Shape(p.Tensor(name))...))
				}
			}
		})
		fn(a, m, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var inputs = []*sentence.Input{
	input(1, "right", map[string]bool{"Edema": true}),
	input(2, "", map[string]bool{"Edema": true, "Pleural Effusion": false}),
}

func TestTokens(t *testing.T) {
	with(t, func(_ *tensor.Arena, m *Model, _ *tensor.Params) {
		words := []string{"right", "-", "sided", "fluid", ",", "no", "fluid"}
		tokens := m.Tokens(words)
		text := m.base.tokenizer.Decode(m.whole(tokens[:len(tokens)-1]))
		if text != " right-sided fluid, no fluid" || tokens[len(tokens)-1] != End {
			t.Errorf("tokens %v are %q", tokens, text)
		}
		if got := finish(text); got != "Right-sided fluid, no fluid." {
			t.Errorf("finished: %q", got)
		}
		if m.Tokens([]string{"mass"}) != nil || m.Tokens(slices.Repeat(words, 9)) != nil {
			t.Error("an unknown word or a long sentence has tokens")
		}
	})
}

// TestWriteIsForward scores what was written step by step with the whole sentence at once.
func TestWriteIsForward(t *testing.T) {
	with(t, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		a.NoGrad(func() {
			everything := func(int, string) bool { return true }
			net := m.net(a)
			found := 0
			for of, done := range m.search(a, net, inputs, 3, everything) {
				for _, h := range done {
					found++
					before := h.tokens[:len(h.tokens)-1]
					log := a.Float64s(a.LogSoftmax(m.Forward(a, inputs[of:of+1], before, 0), -1))
					sum := 0.0
					for i, token := range h.tokens {
						sum += log[i*m.Size()+int(token)]
					}
					if math.Abs(sum-h.score) > 1e-4 {
						t.Errorf("input %d, %v: %v at once, %v step by step", of, h.tokens, sum, h.score)
					}
				}
			}
			if found == 0 {
				t.Error("nothing was written")
			}
			both := m.Write(a, inputs, 3, everything)
			for i := range inputs {
				if alone := m.Write(a, inputs[i:i+1], 3, everything)[0]; !slices.Equal(alone, both[i]) {
					t.Errorf("input %d: %q alone, %q with another", i, alone, both[i])
				}
			}
			m.Fix(a)
			defer m.Free(a)
			for i, fixed := range m.Write(a, inputs, 3, everything) {
				if !slices.Equal(fixed, both[i]) {
					t.Errorf("input %d: %q with merged adapters, %q without", i, fixed, both[i])
				}
			}
		})
	})
}

func TestWriteTakesAllowedWordsOnly(t *testing.T) {
	with(t, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		allowed := map[string]bool{"no": true, "fluid": true, "-": true}
		texts := m.Write(a, inputs, 4, func(of int, word string) bool { return of == 1 && word == "is" || of == 0 && allowed[word] })
		if len(texts[0]) == 0 {
			t.Error("nothing was written")
		}
		for of, all := range texts {
			for _, text := range all {
				for _, w := range strings.FieldsFunc(strings.ToLower(strings.TrimSuffix(text, ".")), func(r rune) bool { return r == ' ' || r == '-' }) {
					if of == 1 && w != "is" || of == 0 && !allowed[w] {
						t.Errorf("input %d: %q has %q", of, text, w)
					}
				}
			}
		}
		if none := m.Write(a, inputs[:1], 4, func(int, string) bool { return false }); len(none[0]) != 0 {
			t.Errorf("without words: %q", none)
		}
	})
}

// TestEverythingIsHeard makes sure that every parameter and every part of the input moves the words.
func TestEverythingIsHeard(t *testing.T) {
	with(t, func(a *tensor.Arena, m *Model, p *tensor.Params) {
		tokens := m.Tokens([]string{"no", "fluid"})
		before := slices.Concat(tokens[:len(tokens)-1], tokens[:len(tokens)-1])
		var own []tensor.T
		for _, name := range p.Order() {
			a.RequireGrad(p.Tensor(name))
			own = append(own, p.Tensor(name))
		}
		logits := m.Forward(a, inputs, before, 0)
		grads := a.Gradients(a.Mean(a.Square(logits), false), own)
		for i, name := range p.Order() {
			if !grads[i].Defined() || a.Item(a.Sum(a.Square(grads[i]), false)) == 0 && !strings.HasSuffix(name, "key.bias") { // softmax does not see it
				t.Errorf("%s has no gradient", name)
			}
		}
		plain := a.Float32s(logits)
		for name, change := range map[string]func(*sentence.Input){
			"image":       func(in *sentence.Input) { in.Image = inputs[1].Image },
			"side":        func(in *sentence.Input) { in.Side = "left" },
			"asserts":     func(in *sentence.Input) { in.Asserts = map[string]bool{"Edema": false} },
			"probability": func(in *sentence.Input) { in.Judged = map[string]float64{"Edema": 0.6} },
		} {
			other := *inputs[0]
			change(&other)
			if slices.Equal(a.Float32s(m.Forward(a, []*sentence.Input{&other, inputs[1]}, before, 0)), plain) {
				t.Errorf("another %s changes nothing", name)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	c, err := ParseConfig(tiny.Metadata())
	if err != nil || c.Rank != tiny.Rank || !slices.Equal(c.Sentence.Words, tiny.Sentence.Words) {
		t.Errorf("read %+v, %v", c, err)
	}
	for _, broken := range []func(*Config){
		func(c *Config) { c.Rank = 0 }, func(c *Config) { c.Alpha = -1 }, func(c *Config) { c.Sentence.Heads = 5 }, func(c *Config) { c.Sentence.Words = nil },
	} {
		c := tiny
		broken(&c)
		if _, err := ParseConfig(c.Metadata()); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
	if _, err := ParseConfig(nil); err == nil {
		t.Error("no config passes")
	}
}
