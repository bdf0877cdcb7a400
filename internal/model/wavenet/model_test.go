package wavenet

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/tensor"
)

var small = Config{Bands: 5, Channels: 6, Dim: 4, Dilations: []int64{1, 2, 4, 1, 2}, Classes: []string{"a", "b", "c"}}

// do runs fn on an engine of one thread.
func do(t *testing.T, fn func(a *tensor.Arena)) error {
	t.Helper()
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer engine.Close()
	return engine.Do(context.Background(), func(a *tensor.Arena) error { fn(a); return nil })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// difference returns the largest difference between two slices of one length.
func difference(t *testing.T, x, y []float32) float64 {
	t.Helper()
	if len(x) != len(y) {
		t.Fatalf("%d values against %d", len(x), len(y))
	}
	worst := 0.0
	for i := range x {
		worst = math.Max(worst, math.Abs(float64(x[i]-y[i])))
	}
	return worst
}

func noise(seed uint64, n int64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// The golden is made by testdata/make_golden.py, with PyTorch 2.1.2, frame by frame. Tolerance: 1e-5 absolute for
// values of about 1.
func TestMatchesPyTorch(t *testing.T) {
	golden, _, err := tensor.ReadSafetensors("testdata/golden.safetensors")
	must(t, err)
	must(t, do(t, func(a *tensor.Arena) {
		p := tensor.FromRaw(golden)
		defer p.Free(a)
		m := New(a, p, small)
		batch := golden["batch"]
		out := m.Forward(a, a.FromFloat32(batch.Values, batch.Shape...), []int{21, 9})
		if !slices.Equal(out.Counts, []int{3, 2}) || !slices.Equal(a.Shape(out.Tokens), []int64{2, 3, 4}) {
			t.Fatalf("counts %v, tokens %v", out.Counts, a.Shape(out.Tokens))
		}
		logits := m.Classify(a, out.Vector)
		for row, count := range out.Counts {
			n := strconv.Itoa(row)
			tokens := a.Narrow(a.Select(out.Tokens, 0, int64(row)), 0, 0, int64(count))
			for name, got := range map[string]tensor.T{"tokens": tokens, "vector": a.Select(out.Vector, 0, int64(row)), "logits": a.Select(logits, 0, int64(row))} {
				if d := difference(t, a.Float32s(got), golden[name+n].Values); d > 1e-5 {
					t.Errorf("%s of row %d differ by %g", name, row, d)
				}
			}
		}
	}))
}

// The shape that is shipped, with random weights.
var full = Config{Bands: 64, Channels: 64, Dim: 128, Dilations: []int64{1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8, 16, 32, 64}, Classes: []string{"a", "b"}}

// Changing a frame must change no output before it, and must change one as far behind as the receptive field says.
func TestIsCausal(t *testing.T) {
	const frames, at = 300, 37
	must(t, do(t, func(a *tensor.Arena) {
		p := tensor.Random(1)
		defer p.Free(a)
		m := New(a, p, full)
		if m.ReceptiveField() != 256 {
			t.Errorf("receptive field %d frames, want 256", m.ReceptiveField())
		}
		x := noise(2, full.Bands*frames)
		y := slices.Clone(x)
		for b := range full.Bands {
			y[b*frames+at] += 100
		}
		h1 := a.Float32s(m.frames(a, a.FromFloat32(x, 1, full.Bands, frames)))
		h2 := a.Float32s(m.frames(a, a.FromFloat32(y, 1, full.Bands, frames)))
		first, last := -1, -1
		for f := range frames {
			for d := range int(full.Dim) {
				if h1[d*frames+f] != h2[d*frames+f] {
					if first < 0 {
						first = f
					}
					last = f
				}
			}
		}
		if first != at || last >= at+int(m.ReceptiveField()) || last < at+200 {
			t.Errorf("frame %d changes frames %d to %d; the receptive field is %d", at, first, last, m.ReceptiveField())
		}
	}))
}

func TestBatchEqualsSingle(t *testing.T) {
	lengths := []int{1, 7, 8, 9, 100, 263}
	const longest = 263
	must(t, do(t, func(a *tensor.Arena) {
		p := tensor.Random(1)
		defer p.Free(a)
		m := New(a, p, full)
		batch := noise(3, int64(len(lengths))*full.Bands*longest)
		together := m.Forward(a, a.FromFloat32(batch, int64(len(lengths)), full.Bands, longest), lengths)
		for i, n := range lengths {
			row := a.Narrow(a.FromFloat32(batch, int64(len(lengths)), full.Bands, longest), 0, int64(i), 1)
			alone := m.Forward(a, a.Narrow(row, 2, 0, int64(n)), []int{n})
			if alone.Counts[0] != (n+7)/8 || together.Counts[i] != alone.Counts[0] {
				t.Fatalf("%d frames give %d and %d tokens", n, alone.Counts[0], together.Counts[i])
			}
			tokens := a.Narrow(a.Narrow(together.Tokens, 0, int64(i), 1), 1, 0, int64(alone.Counts[0]))
			if d := difference(t, a.Float32s(tokens), a.Float32s(alone.Tokens)); d > 1e-5 {
				t.Errorf("tokens of %d frames differ by %g", n, d)
			}
			if d := difference(t, a.Float32s(a.Narrow(together.Vector, 0, int64(i), 1)), a.Float32s(alone.Vector)); d > 1e-5 {
				t.Errorf("vector of %d frames differs by %g", n, d)
			}
			if rest := int64(longest+7)/8 - int64(alone.Counts[0]); rest > 0 {
				padding := a.Float32s(a.Narrow(a.Narrow(together.Tokens, 0, int64(i), 1), 1, int64(alone.Counts[0]), rest))
				if d := difference(t, padding, make([]float32, len(padding))); d != 0 {
					t.Errorf("tokens past the end of %d frames are not zero", n)
				}
			}
		}
	}))
}

func TestForwardRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		shape  []int64
		frames []int
		want   string
	}{
		{"wrong bands", []int64{1, 4, 8}, []int{8}, "want (1, 5, T)"},
		{"rows without a length", []int64{2, 5, 8}, []int{8}, "found [2 5 8]"},
		{"no frames", []int64{1, 5, 8}, []int{0}, "0 frames"},
		{"more frames than there are", []int64{1, 5, 8}, []int{9}, "9 frames"},
	} {
		err := do(t, func(a *tensor.Arena) {
			p := tensor.Random(1)
			defer p.Free(a)
			New(a, p, small).Forward(a, a.Zeros(c.shape...), c.frames)
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestConfigInMetadata(t *testing.T) {
	got, err := ParseConfig(full.Metadata())
	if err != nil || !slices.Equal(got.Dilations, full.Dilations) || !slices.Equal(got.Classes, full.Classes) || got.Dim != full.Dim {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, s := range []string{"", "{}", `{"bands":64,"channels":64,"dim":128,"dilations":[0],"classes":["a"]}`} {
		if _, err := ParseConfig(map[string]string{configKey: s}); err == nil {
			t.Errorf("%q is taken for a config", s)
		}
	}
}

// The gradients that training uses, against finite differences of the loss in the same arithmetic. The weights are the
// golden's, because zero biases would put a rectifier right on its corner.
func TestGradients(t *testing.T) {
	golden, _, err := tensor.ReadSafetensors("testdata/golden.safetensors")
	must(t, err)
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer engine.Close()
	must(t, engine.Do(context.Background(), func(a *tensor.Arena) error {
		p := tensor.FromRaw(golden)
		defer p.Free(a)
		m := New(a, p, small)
		x, target := a.FromFloat32(noise(6, 2*5*21), 2, 5, 21), a.FromInt64([]int64{2, 0}, 2)
		loss := func() tensor.T {
			return a.Sum(a.CrossEntropy(m.Classify(a, m.Forward(a, x, []int{21, 9}).Vector), target), false)
		}
		var params []tensor.T
		for _, name := range p.Names() {
			a.RequireGrad(p.Tensor(name))
			params = append(params, p.Tensor(name))
		}
		grads := a.Gradients(loss(), params)
		a.NoGrad(func() {
			const step = 2e-3
			for i, name := range p.Names() {
				values, shape := a.Float32s(params[i]), a.Shape(params[i])
				got := a.Float32s(grads[i])
				for _, at := range []int{0, len(values) / 2, len(values) - 1} {
					shifted := func(by float32) float64 {
						moved := slices.Clone(values)
						moved[at] += by
						a.Copy(params[i], a.FromFloat32(moved, shape...))
						return a.Item(loss())
					}
					want := (shifted(step) - shifted(-step)) / (2 * step)
					shifted(0)
					if math.Abs(float64(got[at])-want) > 2e-3+0.05*math.Abs(want) {
						t.Errorf("%s at %d: gradient %.5f, finite difference %.5f", name, at, got[at], want)
					}
				}
			}
		})
		return nil
	}))
}
