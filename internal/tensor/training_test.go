package tensor

import (
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tower is a chain of residual blocks with dropout, ending in a scalar, and its weights.
func tower(a *Arena, p *Params, x T, depth int, d int64) (loss T, weights []T) {
	for i := range depth {
		q := p.Sub(strconv.Itoa(i))
		up, down := q.Get(a, "up", Fan(d), 4*d, d), q.Get(a, "down", Fan(4*d), d, 4*d)
		for _, w := range []T{up, down} {
			a.RequireGrad(w)
			weights = append(weights, w)
		}
		x = a.Checkpoint(func(in []T) []T {
			y := a.Dropout(a.Silu(a.Linear(in[0], up, T{})), 0.25)
			return []T{a.Add(in[0], a.Linear(y, down, T{}))}
		}, x)[0]
	}
	return a.Mean(a.Square(x), false), weights
}

func noise(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func TestCheckpointGivesTheSameGradients(t *testing.T) {
	e := newEngine(t, Options{Threads: 1, Grad: true})
	gradients := func(within func(a *Arena, fn func())) (loss float64, grads [][]float32) {
		err := e.Do(t.Context(), func(a *Arena) error {
			a.ManualSeed(3)
			p := Random(1)
			defer p.Free(a)
			first := a.FromFloat32(noise(2, 5*8), 5, 8)
			a.RequireGrad(first)
			within(a, func() {
				y, weights := tower(a, p, a.Tanh(first), 4, 8)
				loss = a.Item(a.Detach(y))
				for _, g := range a.Gradients(y, append(weights, first)) {
					grads = append(grads, a.Float32s(g))
				}
			})
			if a.Item(a.Rand(1)) == 0 {
				t.Error("no random number")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return loss, grads
	}
	wantLoss, want := gradients(func(_ *Arena, fn func()) { fn() })
	gotLoss, got := gradients(func(a *Arena, fn func()) { a.SaveMemory(fn) })
	if gotLoss != wantLoss {
		t.Errorf("the loss is %v, want %v", gotLoss, wantLoss)
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("gradient %d differs", i)
		}
	}
}

// TestCheckpointOfSharedParts has one weight in every segment, two results of a segment, and a result that is read by
// two later segments.
func TestCheckpointOfSharedParts(t *testing.T) {
	e := newEngine(t, Options{Threads: 1, Grad: true})
	gradient := func(a *Arena) []float32 {
		w := a.FromFloat32(noise(5, 9), 3, 3)
		a.RequireGrad(w)
		step := func(in []T) []T {
			y := a.Tanh(a.Matmul(in[0], w))
			return []T{y, a.Mul(y, in[1])}
		}
		x := a.Matmul(a.FromFloat32(noise(6, 6), 2, 3), w)
		one := a.Checkpoint(step, x, a.Ones(2, 3))
		two := a.Checkpoint(step, one[0], one[1])
		a.Release(a.Mark(), two...)
		three := a.Checkpoint(step, two[1], one[0])
		return a.Float32s(a.Gradients(a.Sum(a.Add(a.Mul(three[1], x), one[1]), false), []T{w})[0])
	}
	err := e.Do(t.Context(), func(a *Arena) error {
		want := gradient(a)
		a.SaveMemory(func() {
			for i, got := range gradient(a) {
				if math.Abs(float64(got-want[i])) > 1e-5*math.Max(1, math.Abs(float64(want[i]))) {
					t.Errorf("gradient %d is %v, want %v", i, got, want[i])
				}
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// peak runs fn and returns by how many bytes the resident memory rose above where it began.
func peak(t *testing.T, fn func()) int64 {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("this system does not reset the peak of resident memory")
	}
	before := resident(t)
	fn()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb<<10 - before
}

// TestCheckpointNeedsLessMemory runs in a process whose allocator gives large blocks back at once: left alone, glibc
// keeps and splits the aligned blocks of libtorch, and the peak says more about it than about the tensors.
func TestCheckpointNeedsLessMemory(t *testing.T) {
	const variable = "MALLOC_MMAP_THRESHOLD_"
	if os.Getenv(variable) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCheckpointNeedsLessMemory$", "-test.v")
		child.Env = append(os.Environ(), variable+"=131072")
		out, err := child.CombinedOutput()
		if t.Log(string(out)); err != nil {
			t.Error(err)
		}
		return
	}
	e := newEngine(t, Options{Threads: 1, Grad: true})
	pass := func(a *Arena) {
		p := Random(1)
		defer p.Free(a)
		loss, weights := tower(a, p, a.FromFloat32(noise(2, 8192*32), 8192, 32), 12, 32)
		a.Gradients(loss, weights)
	}
	err := e.Do(t.Context(), func(a *Arena) error {
		a.Gradients(tower(a, Random(1), a.Ones(8192, 32), 1, 32)) // libtorch's own buffers reach their size
		saved := peak(t, func() { a.SaveMemory(func() { mark := a.Mark(); pass(a); a.Release(mark) }) })
		plain := peak(t, func() { pass(a) })
		t.Logf("peak %d MB with checkpoints, %d MB without", saved>>20, plain>>20)
		if saved > plain/2 {
			t.Errorf("checkpoints need %d bytes, the plain pass %d", saved, plain)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAutocast(t *testing.T) {
	e := newEngine(t, Options{Threads: 1, Grad: true})
	err := e.Do(t.Context(), func(a *Arena) error {
		x, w, b := a.FromFloat32(noise(1, 32), 4, 8), a.FromFloat32(noise(2, 24), 3, 8), a.FromFloat32(noise(3, 3), 3)
		a.RequireGrad(w)
		run := func() (y, g []float32) {
			for _, out := range []T{a.Linear(x, w, b), a.Linear(x, w, T{}), a.Matmul(x, a.Transpose(w, 0, 1))} {
				if k := a.KindOf(out); k != Float {
					t.Errorf("a product is %v", k)
				}
				y = append(y, a.Float32s(a.Detach(out))...)
			}
			grad := a.Gradients(a.Sum(a.Square(a.Linear(x, w, b)), false), []T{w})[0]
			if k := a.KindOf(grad); k != Float {
				t.Errorf("the gradient is %v", k)
			}
			return y, a.Float32s(grad)
		}
		wantY, wantG := run()
		a.Autocast(func() {
			y, g := run()
			if slices.Equal(y, wantY) {
				t.Error("bfloat16 changes nothing")
			}
			for name, pair := range map[string][2][]float32{"product": {y, wantY}, "gradient": {g, wantG}} {
				for i, v := range pair[0] {
					if want := float64(pair[1][i]); math.Abs(float64(v)-want) > 0.15+0.03*math.Abs(want) {
						t.Errorf("%s %d is %v, want about %v", name, i, v, want)
					}
				}
			}
		})
		if y, _ := run(); !slices.Equal(y, wantY) {
			t.Error("bfloat16 outlives Autocast")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRandomStateContinues(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	err := e.Do(t.Context(), func(a *Arena) error {
		a.ManualSeed(1)
		a.Rand(3)
		state := a.RandomState()
		want := a.Float32s(a.Rand(5))
		a.ManualSeed(2)
		a.SetRandomState(state)
		if got := a.Float32s(a.Rand(5)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Do(t.Context(), func(a *Arena) error { a.SetRandomState([]byte{1, 2}); return nil }); err == nil {
		t.Error("an impossible state was taken")
	}
}

func TestFullSafetensorsLoseNothing(t *testing.T) {
	want := map[string]Raw{
		"b": {Shape: []int64{2, 2}, Values: []float32{1e-30, math.MaxFloat32, -0.1, 3}},
		"a": {Shape: []int64{}, Values: []float32{float32(math.Inf(1))}},
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for range 2 { // the second replaces the first
		if err := WriteFullSafetensors(path, want, map[string]string{"k": "v"}); err != nil {
			t.Fatal(err)
		}
	}
	got, metadata, err := ReadSafetensors(path)
	if err != nil || metadata["k"] != "v" || len(got) != 2 {
		t.Fatalf("%v, %v, %v", got, metadata, err)
	}
	for name := range want {
		if !slices.Equal(got[name].Values, want[name].Values) || !slices.Equal(got[name].Shape, want[name].Shape) {
			t.Errorf("%s is %v, want %v", name, got[name], want[name])
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("%d files lie there, want 1", len(entries))
	}
}

func TestParamsOrderReplaceLoad(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	err := e.Do(t.Context(), func(a *Arena) error {
		p := Random(1)
		p.Get(a, "z", Constant(1), 2)
		p.Sub("y").Get(a, "x", Constant(2), 1)
		p.Get(a, "z", Constant(1), 2)
		if order := p.Order(); !slices.Equal(order, []string{"z", "y.x"}) {
			t.Errorf("order %v", order)
		}
		view := p.Replace(map[string]T{"z": a.FromFloat32([]float32{5, 6}, 2)})
		if got := a.Float32s(view.Get(a, "z", nil, 2)); got[1] != 6 {
			t.Errorf("the view holds %v", got)
		}
		if got := a.Float32s(view.Sub("y").Get(a, "x", nil, 1)); got[0] != 2 {
			t.Errorf("the view's rest holds %v", got)
		}
		if got := p.Values(a)["z"].Values; got[0] != 1 {
			t.Errorf("the original holds %v", got)
		}
		mixed := RandomFrom(1, view.Values(a))
		if z, new := a.Float32s(mixed.Get(a, "z", Constant(1), 2)), a.Float32s(mixed.Get(a, "new", Constant(7), 1)); z[1] != 6 || new[0] != 7 {
			t.Errorf("from a file %v, drawn %v", z, new)
		}
		before := p.Tensor("z")
		p.Load(a, view.Values(a))
		if got := a.Float32s(before); got[1] != 6 {
			t.Errorf("loaded %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Do(t.Context(), func(a *Arena) error {
		p := Random(1)
		p.Get(a, "z", Constant(1), 2)
		p.Load(a, map[string]Raw{"z": {Shape: []int64{3}, Values: make([]float32, 3)}})
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), `"z" has shape [3], want [2]`) {
		t.Errorf("got %v", err)
	}
}
