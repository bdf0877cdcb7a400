package smollm_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"consilium/internal/gguf"
	"consilium/internal/model/smollm"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

var tiny = smollm.Config{Vocabulary: 11, Positions: 16, Dim: 24, Layers: 2, Heads: 6, KeyHeads: 2, Inner: 20, Base: 1000, Epsilon: 1e-5}

func do(t testing.TB, grad bool, fn func(a *tensor.Arena)) {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: grad})
	defer e.Close()
	if err := e.Do(t.Context(), func(a *tensor.Arena) error { fn(a); return nil }); err != nil {
		t.Fatal(err)
	}
}

// apart is the largest difference.
func apart(x, y []float32) float64 {
	if len(x) != len(y) {
		return math.Inf(1)
	}
	most := 0.0
	for i := range x {
		d := math.Abs(float64(x[i] - y[i]))
		if !(d <= most) {
			most = d
		}
	}
	return most
}

// TestGolden compares the published net with transformers; testdata/make_golden.py wrote the file.
func TestGolden(t *testing.T) {
	path, err := weights.Path("smollm2.gguf")
	if err != nil {
		t.Skip(err)
	}
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Prompt     []int64     `json:"prompt"`
		HiddenLast []float32   `json:"hidden_last"`
		Logits     [][]float32 `json:"logits_every_997th"`
		TopIDs     []int64     `json:"top_ids"`
		TopLogits  []float32   `json:"top_logits"`
		Greedy     []int64     `json:"greedy"`
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := smollm.ReadConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := smollm.Weights(f)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := smollm.ReadTokenizer(f)
	if err != nil {
		t.Fatal(err)
	}
	do(t, false, func(a *tensor.Arena) {
		p := tensor.FromRaw(raw)
		defer p.Free(a)
		net := smollm.New(a, p, c)
		n := int64(len(golden.Prompt))
		cache := &smollm.Cache{}
		hidden := net.Forward(a, net.Embed(a, golden.Prompt, 1, n), cache)
		// The sums of a hundred thousand products come in another order: 1e-3 of values up to 30.
		if d := apart(a.Float32s(a.Narrow(a.Select(hidden, 1, n-1), 1, 0, 64)), golden.HiddenLast); d > 1e-3 {
			t.Errorf("the last hidden state is %v off", d)
		}
		logits := a.Float32s(net.Logits(a, hidden))
		for i, want := range golden.Logits {
			var got []float32
			for j := 0; j < int(c.Vocabulary); j += 997 {
				got = append(got, logits[i*int(c.Vocabulary)+j])
			}
			if d := apart(got, want); d > 1e-3 {
				t.Errorf("logits at %d are %v off", i, d)
			}
		}
		last := logits[int(n-1)*int(c.Vocabulary):]
		for i, id := range golden.TopIDs {
			if d := math.Abs(float64(last[id] - golden.TopLogits[i])); d > 1e-3 {
				t.Errorf("the logit of id %d is %v off", id, d)
			}
		}
		// Greedily, each step from the cache.
		for i, want := range golden.Greedy {
			id := a.Int64s(a.Argmax(net.Logits(a, a.Select(hidden, 1, a.Size(hidden, 1)-1)), -1))[0]
			if id != want {
				t.Fatalf("id %d of the continuation is %d, want %d", i, id, want)
			}
			hidden = net.Forward(a, net.Embed(a, []int64{id}, 1, 1), cache)
		}
		var ids []int
		for _, id := range golden.Greedy[:7] {
			ids = append(ids, int(id))
		}
		if text := tok.Decode(ids); text != "The capital of France is Paris." {
			t.Errorf("it says %q", text)
		}
	})
}

func TestCache(t *testing.T) {
	do(t, false, func(a *tensor.Arena) {
		p := tensor.Random(1)
		defer p.Free(a)
		net := smollm.New(a, p, tiny)
		ids := []int64{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8}
		whole := net.Forward(a, net.Embed(a, ids, 2, 6), nil) // (2, 6, D)
		for _, cut := range [][]int64{{6}, {1, 1, 1, 1, 1, 1}, {2, 3, 1}, {4, 2}} {
			cache := &smollm.Cache{}
			var parts []tensor.T
			at := int64(0)
			for _, n := range cut {
				x := a.Narrow(net.Embed(a, ids, 2, 6), 1, at, n)
				parts = append(parts, net.Forward(a, x, cache))
				at += n
			}
			if d := apart(a.Float32s(a.Cat(1, parts...)), a.Float32s(whole)); d > 1e-5 || cache.Length(a) != 6 {
				t.Errorf("in parts of %v: %v off, %d in the cache", cut, d, cache.Length(a))
			}
		}
		// The second row three times, as candidates begin.
		cache := &smollm.Cache{}
		net.Forward(a, a.Narrow(net.Embed(a, ids, 2, 6), 1, 0, 5), cache)
		many := net.Forward(a, net.Embed(a, []int64{8, 8, 8}, 3, 1), cache.Pick(a, []int64{1, 1, 1}))
		want := a.Float32s(a.Select(a.Select(whole, 0, 1), 0, 5))
		if d := apart(a.Float32s(many), slices.Repeat(want, 3)); d > 1e-5 {
			t.Errorf("picked rows are %v off", d)
		}
		// What comes later changes nothing before it.
		ids[5], ids[11] = 7, 7
		other := net.Forward(a, net.Embed(a, ids, 2, 6), nil)
		if d := apart(a.Float32s(a.Narrow(other, 1, 0, 5)), a.Float32s(a.Narrow(whole, 1, 0, 5))); d != 0 {
			t.Errorf("a later token moves earlier ones by %v", d)
		}
	})
}

// TestGradients compares the gradient by every parameter with differences of the loss.
func TestGradients(t *testing.T) {
	do(t, true, func(a *tensor.Arena) {
		p := tensor.Random(2)
		defer p.Free(a)
		net := smollm.New(a, p, tiny)
		loss := func() tensor.T {
			hidden := net.Forward(a, net.Embed(a, []int64{3, 1, 4, 1, 5, 9, 2, 6}, 2, 4), nil)
			logits := a.Reshape(net.Logits(a, hidden), 8, tiny.Vocabulary)
			return a.Mean(a.CrossEntropy(logits, a.FromInt64([]int64{1, 4, 1, 5, 2, 6, 5, 3}, 8)), false)
		}
		words := p.Tensor("token_embd.weight") // drawn so small that a step along its gradient would be a long one
		a.NoGrad(func() { a.Copy(words, a.MulScalar(words, 20)) })
		var params []tensor.T
		for _, name := range p.Order() {
			a.RequireGrad(p.Tensor(name))
			params = append(params, p.Tensor(name))
		}
		grads := a.Gradients(loss(), params)
		for i, name := range p.Order() {
			g := a.Float32s(grads[i])
			was := a.Float32s(params[i])
			shape := a.Shape(params[i])
			// Along the gradient itself: the loss falls by |g|^2 a unit.
			norm := 0.0
			for _, v := range g {
				norm += float64(v) * float64(v)
			}
			const size = 2e-3
			step := size / math.Sqrt(norm)
			moved := func(by float64) float64 {
				x := slices.Clone(was)
				for j := range x {
					x[j] += float32(by * float64(g[j]))
				}
				var value float64
				a.NoGrad(func() {
					a.Copy(params[i], a.FromFloat32(x, shape...))
					value = a.Item(loss())
				})
				return value
			}
			slope := (moved(step) - moved(-step)) / (2 * size)
			moved(0)
			if want := math.Sqrt(norm); math.Abs(slope-want) > 0.01*want+1e-3 {
				t.Errorf("%s: the slope is %v, the gradient's norm %v", name, slope, want)
			}
		}
	})
}

func TestTooLongASequence(t *testing.T) {
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer e.Close()
	err := e.Do(t.Context(), func(a *tensor.Arena) error {
		p := tensor.Random(1)
		defer p.Free(a)
		net := smollm.New(a, p, tiny)
		net.Forward(a, net.Embed(a, make([]int64, 17), 1, 17), nil)
		return nil
	})
	if err == nil {
		t.Error("17 tokens went where 16 are the limit")
	}
}
