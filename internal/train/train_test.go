package train

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"consilium/internal/tensor"
)

func do(t *testing.T, fn func(a *tensor.Arena) error) error {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer e.Close()
	return e.Do(t.Context(), fn)
}

// optimiserOf optimises every parameter in p.
func optimiserOf(t *testing.T, a *tensor.Arena, p *tensor.Params) *AdamW {
	t.Helper()
	n, err := newNet(a, p, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return newAdamW(a, n.trainable)
}

// TestAdamWFirstSteps compares with the update written out for one number.
func TestAdamWFirstSteps(t *testing.T) {
	err := do(t, func(a *tensor.Arena) error {
		p := tensor.Random(1)
		x := p.Get(a, "x", tensor.Constant(2), 1, 1)
		o := optimiserOf(t, a, p)
		o.ClipNorm = math.Inf(1)
		want, m, v := 2.0, 0.0, 0.0
		for step := 1; step <= 5; step++ {
			g := 2 * want // of the loss x^2
			m, v = 0.9*m+0.1*g, 0.98*v+0.02*g*g
			update := m / (1 - math.Pow(0.9, float64(step))) / (math.Sqrt(v/(1-math.Pow(0.98, float64(step)))) + 1e-8)
			want -= 0.1 * (update + 0.01*want)
			if err := o.Step(a, a.Gradients(a.Sum(a.Square(x), false), o.params), 0.1); err != nil {
				return err
			}
			if got := a.Item(a.Detach(x)); math.Abs(got-want) > 1e-5 {
				t.Errorf("step %d: x is %v, want %v", step, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAdamWStopsAtNaN(t *testing.T) {
	err := do(t, func(a *tensor.Arena) error {
		p := tensor.Random(1)
		x := p.Get(a, "good", tensor.Constant(1), 2)
		y := p.Get(a, "bad", tensor.Constant(-1), 2)
		o := optimiserOf(t, a, p)
		err := o.Step(a, a.Gradients(a.Add(a.Sum(x, false), a.Sum(a.Sqrt(y), false)), o.params), 0.1)
		if err == nil || !strings.Contains(err.Error(), "bad") {
			t.Errorf("got %v, want an error that names the parameter", err)
		}
		if got := a.Float32s(a.Detach(x)); got[0] != 1 {
			t.Errorf("a parameter moved to %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSchedule(t *testing.T) {
	s := Schedule{Peak: 1, Warmup: 10, Total: 110}
	for step, want := range map[int]float64{0: 0.1, 9: 1, 10: 1, 60: 0.505, 110: 0.01, 200: 0.01} {
		if got := s.Rate(step); math.Abs(got-want) > 1e-9 {
			t.Errorf("rate of step %d is %v, want %v", step, got, want)
		}
	}
}

func TestAUROCAndThreshold(t *testing.T) {
	for name, c := range map[string]struct {
		scores []float64
		truth  []bool
		want   float64
	}{
		"perfect":  {[]float64{0.1, 0.2, 0.8, 0.9}, []bool{false, false, true, true}, 1},
		"reversed": {[]float64{0.9, 0.8, 0.2, 0.1}, []bool{false, false, true, true}, 0},
		"ties":     {[]float64{0.5, 0.5, 0.5, 0.5}, []bool{false, true, false, true}, 0.5},
		"mixed":    {[]float64{0.1, 0.4, 0.35, 0.8}, []bool{false, false, true, true}, 0.75},
	} {
		if got := AUROC(c.scores, c.truth); got != c.want {
			t.Errorf("%s: AUROC %v, want %v", name, got, c.want)
		}
	}
	if got := AUROC([]float64{1}, []bool{true}); !math.IsNaN(got) {
		t.Errorf("AUROC of one class is %v, want NaN", got)
	}
	if got := bestF1([]float64{0.1, 0.2, 0.8, 0.9}, []bool{false, false, true, true}); got != 0.5 {
		t.Errorf("threshold %v, want 0.5", got)
	}
}

func TestPack(t *testing.T) {
	err := do(t, func(a *tensor.Arena) error {
		one := a.Halfs(a.Ones(1))[0]
		s := &featureSet{Dim: 2, Rows: [][]uint16{{one, one}, {one, one, one, one, one, one}}}
		got := s.pack(a, nil, []int{1, -1, 0})
		if mask := a.Float32s(got.Mask); !equal(mask, []float32{1, 1, 1, 0, 0, 0, 1, 0, 0}) {
			t.Errorf("mask %v", mask)
		}
		if values := a.Float32s(got.Values); values[5] != 1 || values[6] != 0 || values[12] != 1 || values[14] != 0 {
			t.Errorf("values %v", values)
		}
		two := s.pack(a, nil, []int{0, 1}, []int{1, -1})
		if mask := a.Float32s(two.Mask); !equal(mask, []float32{1, 1, 1, 1, 1, 1, 1, 0}) {
			t.Errorf("mask of two parts %v", mask)
		}
		if s.pack(a, nil, []int{-1, -1}).Values.Defined() {
			t.Error("absent artefacts made a tensor")
		}
		all := s.pack(a, func() bool { return true }, []int{1})
		if mask := a.Float32s(all.Mask); !equal(mask, []float32{1, 0, 0}) {
			t.Errorf("dropping everything left the mask %v, want the first token", mask)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func equal(x, y []float32) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// TestCalibration draws truths from known probabilities and hands over logits that are three times too sure.
func TestCalibration(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var logits [][]float64
	var right []int
	var scores []float64
	var truth []bool
	for range 4000 {
		x := rng.NormFloat64() * 1.5
		yes := rng.Float64() < 1/(1+math.Exp(-x))
		scores, truth = append(scores, 3*x+1), append(truth, yes)
		logits = append(logits, []float64{3 * x, 0})
		if yes {
			right = append(right, 0)
		} else {
			right = append(right, 1)
		}
	}
	if got := temperature(logits, right); math.Abs(got-3) > 0.3 {
		t.Errorf("temperature %v, want about 3", got)
	}
	scale, shift := platt(scores, truth)
	if math.Abs(scale-1.0/3) > 0.03 || math.Abs(shift+1.0/3) > 0.15 {
		t.Errorf("scale %v shift %v, want about 0.333 and -0.333", scale, shift)
	}
	if scale, _ := platt([]float64{1, 2}, []bool{true, false}); scale < 0.01 {
		t.Errorf("scale %v turns the ranking round", scale)
	}
}

func TestAverage(t *testing.T) {
	err := do(t, func(a *tensor.Arena) error {
		p := tensor.Random(1)
		x := p.Get(a, "x", tensor.Constant(1), 1, 1)
		o := optimiserOf(t, a, p)
		o.Average = 0.9
		defer o.Free(a)
		mean := 1.0
		for range 5 {
			if err := o.Step(a, a.Gradients(a.Sum(a.Square(x), false), o.params), 0.1); err != nil {
				return err
			}
			mean = 0.9*mean + 0.1*a.Item(a.Detach(x))
		}
		last := a.Item(a.Detach(x))
		o.averaged(a, func() {
			if got := a.Item(a.Detach(x)); math.Abs(got-mean) > 1e-5 {
				t.Errorf("mean %v, want %v", got, mean)
			}
		})
		if got := a.Item(a.Detach(x)); got != last {
			t.Errorf("afterwards %v, want %v", got, last)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestThresholdsAreChosenTogether: a label on many cases has its own threshold, those on few share one, and neither rises
// for the sake of single labels where that gives cases without any label one.
func TestThresholdsAreChosenTogether(t *testing.T) {
	const n = 4 * minOwn
	probabilities, truth := make([][]float64, 3), make([][]bool, 3)
	add := func(label, k int, p float64, carried bool) {
		if k == 0 {
			probabilities[label], truth[label] = make([]float64, n), make([]bool, n)
		}
		probabilities[label][k], truth[label][k] = p, carried
	}
	for k := range n {
		add(0, k, map[bool]float64{true: 0.85, false: 0.75}[k < minOwn], k < minOwn) // to be told apart between .75 and .85
		add(1, k, map[bool]float64{true: 0.40, false: 0.20}[k < 10], k < 10)
		add(2, k, map[bool]float64{true: 0.22, false: 0.10}[k < 2], k < 2) // alone .11 would do, and give everybody label 1
	}
	got := thresholds(probabilities, truth)
	if got[0] <= 0.75 || got[0] > 0.85 || got[1] <= 0.20 || got[1] > 0.40 || got[2] != got[1] {
		t.Errorf("thresholds %v", got)
	}
	if f := setF1(probabilities, truth, []float64{0.8, 0.3, 0.2}); f != 1 {
		t.Errorf("F1 %v of decisions that are all right", f)
	}
	if f := setF1(probabilities, truth, []float64{1, 1, 1}); f != 2*float64(n-minOwn)/(2*float64(n-minOwn)+float64(minOwn+minOwn+12)) {
		t.Errorf("F1 %v of saying nothing", f)
	}
}
