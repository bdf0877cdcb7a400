package sentence

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"consilium/internal/tensor"
)

var tiny = Config{
	Dim: 12, Heads: 3, Depth: 2, Length: 6, Grid: 2, ImageDim: 5,
	Words: []string{End, "no", "effusion", "there", "is", "-", ",", "edema"}, Observations: []string{"a", "b", "c"}, Parents: map[string]string{"b": "a"},
}

func input(seed uint64) *Input {
	rng := rand.New(rand.NewPCG(seed, seed))
	in := &Input{Judged: map[string]float64{"a": 0.3, "b": 0.9}, Present: map[string]bool{"b": true}, Asserts: map[string]bool{"b": true, "a": false}, Side: "left"}
	for range 4 * 5 {
		in.Image = append(in.Image, float32(rng.NormFloat64()))
	}
	return in
}

func with(t *testing.T, grad bool, fn func(a *tensor.Arena, m *Model, p *tensor.Params)) {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: grad})
	defer e.Close()
	if err := e.Do(t.Context(), func(a *tensor.Arena) error {
		p := tensor.Random(5)
		fn(a, New(a, p, tiny), p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestCacheChangesNothing compares the logits of a sentence that is written word by word with those of the whole.
func TestCacheChangesNothing(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		words := []int64{1, 2, 6, 3, 4}
		batch := tiny.Batch(a, []*Input{input(1)})
		whole := a.Float32s(m.Forward(a, batch, a.FromInt64(words, 1, int64(len(words)))))
		for _, remember := range []bool{true, false} {
			logits := m.Follow(a, batch, words, remember)
			if len(logits) != len(words)+1 {
				t.Fatalf("%d words have %d logits behind them", len(words), len(logits))
			}
			for i, row := range logits {
				for j, got := range row {
					if want := whole[i*len(tiny.Words)+j]; math.Abs(float64(got-want)) > 1e-5 {
						t.Fatalf("word %d: logit %d is %v, and %v of the whole sentence", i, j, got, want)
					}
				}
			}
		}
	})
}

// TestBatchMatesDoNotCount compares a row beside another with the row alone.
func TestBatchMatesDoNotCount(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		other := input(2)
		other.Asserts, other.Side = map[string]bool{"c": true}, ""
		both := a.Float32s(m.Forward(a, tiny.Batch(a, []*Input{input(1), other}), a.FromInt64([]int64{1, 2, 3, 4}, 2, 2)))
		alone := a.Float32s(m.Forward(a, tiny.Batch(a, []*Input{other}), a.FromInt64([]int64{3, 4}, 1, 2)))
		for i, want := range alone {
			if got := both[len(alone)+i]; math.Abs(float64(got-want)) > 1e-5 {
				t.Fatalf("logit %d is %v, and %v alone", i, got, want)
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
		logits := m.Forward(a, tiny.Batch(a, []*Input{input(1), input(2)}), a.FromInt64([]int64{1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5}, 2, 6))
		for i, g := range a.Gradients(a.Sum(a.Square(logits), false), ts) {
			name := p.Names()[i]
			if !strings.HasSuffix(name, "key.bias") && (!g.Defined() || a.Item(a.Sum(a.Square(g), false)) == 0) {
				t.Errorf("%s does not learn", name)
			}
		}
	})
}

// TestWrite looks at what beam search returns: sentences of allowed words, the most probable first, no two alike.
func TestWrite(t *testing.T) {
	with(t, false, func(a *tensor.Arena, m *Model, _ *tensor.Params) {
		allowed := func(w string) bool { return w != "edema" }
		drafts := m.Write(a, input(1), 4, allowed)
		if len(drafts) == 0 || len(drafts) > 4 {
			t.Fatalf("%d drafts: %q", len(drafts), drafts)
		}
		seen := map[string]bool{}
		for _, d := range drafts {
			if strings.Contains(strings.ToLower(d), "edema") || !strings.HasSuffix(d, ".") || seen[d] {
				t.Errorf("draft %q", d)
			}
			seen[d] = true
		}
		if again := m.Write(a, input(1), 4, allowed); strings.Join(again, "|") != strings.Join(drafts, "|") {
			t.Errorf("%q, then %q", drafts, again)
		}
	})
}

func TestText(t *testing.T) {
	m := &Model{config: tiny}
	for want, ids := range map[string][]int64{"There is no-effusion, edema.": {3, 4, 1, 5, 2, 6, 7, 0, 1}, "": {0}, "No.": {1, 6, 0}, "Effusion.": {5, 2, 0}} {
		if got := m.text(ids); got != want {
			t.Errorf("%v became %q, want %q", ids, got, want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	if c, err := ParseConfig(tiny.Metadata()); err != nil || c.Words[2] != "effusion" || c.Parents["b"] != "a" {
		t.Errorf("%+v, %v", c, err)
	}
	bad := tiny
	bad.Words = []string{"no", "end"}
	for _, metadata := range []map[string]string{nil, {"config": "{"}, {"config": `{"dim":5,"heads":2}`}, bad.Metadata()} {
		if _, err := ParseConfig(metadata); err == nil {
			t.Errorf("%v was read", metadata)
		}
	}
}
