package efficientnet

import (
	"fmt"
	"slices"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// newFast8 returns m on kernels in 8 bits, with its own top.
func newFast8(t testing.TB, e *tensor.Engine, m *Model, seen [2]Record, threads int, level kernels.Level) (*Fast, *FastTop) {
	t.Helper()
	return onKernels(t, e, func(a *tensor.Arena) (*Fast, *FastTop) {
		f := NewFast8(a, m, seen[0], threads, level)
		return f, f.NewFastTop8(a, m.Top(), seen[1])
	})
}

// observed returns what the layers of the trunk and of the top give on inputs.
func observed(t testing.TB, e *tensor.Engine, m *Model, inputs [][]float32) (seen [2]Record) {
	t.Helper()
	seen = [2]Record{{}, {}}
	do(t, e, func(a *tensor.Arena) error {
		for _, x := range inputs {
			m.Observe(a, m.Top(), a.FromFloat32(x, 1, 3, Side, Side), seen[0], seen[1])
		}
		return nil
	})
	return seen
}

// In 8 bits the features stay near PyTorch's, and are the same to the bit on every level, beside other pictures and on other threads.
func TestFast8(t *testing.T) {
	if kernels.Best() < kernels.AVX512 {
		t.Skipf("this processor's level is %s, 8 bits need %s", kernels.Best(), kernels.AVX512)
	}
	inputs, golden := goldens(t)
	e, m := newModel(t)
	seen := observed(t, e, m, inputs)
	f, top := newFast8(t, e, m, seen, 1, kernels.AVX512)
	features, grid := f.Forward(top, inputs)
	mean, n := 0.0, 0
	for i := range inputs {
		if i == 10 {
			continue // the flat grey picture's input is all zeros, and its features are a hundredth of the others'
		}
		c := tensor.Cosine(features[i*Dim:(i+1)*Dim], golden["features"].Values[i*Dim:(i+1)*Dim])
		t.Logf("picture %d: cosine %.4f", i, c)
		if mean, n = mean+c, n+1; !(c >= 0.95) {
			t.Errorf("picture %d: cosine %.4f, want at least 0.95", i, c)
		}
	}
	if mean /= float64(n); !(mean >= 0.98) {
		t.Errorf("the mean cosine is %.4f, want at least 0.98", mean)
	}
	const cells = Grid * Grid * Dim
	for i, x := range inputs {
		if i%7 != 0 {
			continue
		}
		for _, threads := range []int{1, 3} {
			f, top := newFast8(t, e, m, seen, threads, kernels.Best())
			v, g := f.Forward(top, [][]float32{x})
			if !slices.Equal(v, features[i*Dim:(i+1)*Dim]) || !slices.Equal(g, grid[i*cells:(i+1)*cells]) {
				t.Errorf("picture %d has another result alone, on %d threads at level %s", i, threads, kernels.Best())
			}
		}
	}
}

// What was seen can be written and read, and is refused if a layer lacks or has another shape.
func TestRecord(t *testing.T) {
	e, m := newModel(t)
	x := input(t, 3)
	seen, both := observed(t, e, m, [][]float32{x}), observed(t, e, m, [][]float32{x, input(t, 4), x})
	if one, three := seen[0]["4.out"], both[0]["4.out"]; one.High[7] > three.High[7] || one.Low[7] < three.Low[7] || one.Mean[7] == three.Mean[7] {
		t.Errorf("channel 7 gave %v of %v to %v on one picture and %v of %v to %v on three", one.Mean[7], one.Low[7], one.High[7], three.Mean[7], three.Low[7], three.High[7])
	}
	raw := seen[0].Raw("a.")
	for name, tensor := range seen[1].Raw("b.") {
		raw[name] = tensor
	}
	trunk, err := ReadTrunkRecord(raw, "a.")
	if err != nil {
		t.Fatal(err)
	}
	top, err := ReadTopRecord(raw, "b.")
	if err != nil {
		t.Fatal(err)
	}
	for i, read := range []Record{trunk, top} {
		if len(read) != len(seen[i]) {
			t.Errorf("read %d layers, want %d", len(read), len(seen[i]))
		}
		for name, s := range seen[i] {
			if r := read[name]; r == nil || !slices.Equal(r.Mean, s.Mean) || !slices.Equal(r.Low, s.Low) || !slices.Equal(r.High, s.High) {
				t.Errorf("layer %s is not what was written", name)
			}
		}
	}
	wrong := raw["a.3.out"]
	wrong.Shape = []int64{1, wrong.Shape[1]}
	for name, broken := range map[string]tensor.Raw{"a.3.out": wrong, "a.0.wide": {}} {
		whole := raw[name]
		raw[name] = broken
		if _, err := ReadTrunkRecord(raw, "a."); err == nil {
			t.Errorf("a record with %s of shape %v was read", name, broken.Shape)
		}
		raw[name] = whole
	}
}

func BenchmarkFast8(b *testing.B) {
	if kernels.Best() < kernels.AVX512 {
		b.Skipf("this processor's level is %s", kernels.Best())
	}
	e, m := newModel(b)
	x := make([][]float32, FastImages)
	for i := range x {
		x[i] = make([]float32, 3*Side*Side)
	}
	seen := observed(b, e, m, x[:1])
	for level := kernels.AVX512; level <= kernels.Best(); level++ {
		for _, n := range []int{1, FastImages} {
			b.Run(fmt.Sprintf("%s/batch=%d", level, n), func(b *testing.B) {
				f, top := newFast8(b, e, m, seen, 2, level)
				for b.Loop() {
					f.Forward(top, x[:n])
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
