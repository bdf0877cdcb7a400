package efficientnet

import (
	"fmt"
	"slices"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/internal/weights"
)

// onKernels returns what load loads, a trunk and its own top.
func onKernels(t testing.TB, e *tensor.Engine, load func(a *tensor.Arena) (*Fast, *FastTop)) (f *Fast, top *FastTop) {
	t.Helper()
	do(t, e, func(a *tensor.Arena) error {
		f, top = load(a)
		return nil
	})
	t.Cleanup(top.Free)
	t.Cleanup(f.Free)
	return f, top
}

// fast returns m on kernels, with its own top.
func fast(t testing.TB, e *tensor.Engine, m *Model, threads int, level kernels.Level) (*Fast, *FastTop) {
	t.Helper()
	return onKernels(t, e, func(a *tensor.Arena) (*Fast, *FastTop) { return NewFast(a, m, threads, level), NewFastTop(a, m.Top()) })
}

func TestFastParityWithPyTorch(t *testing.T) {
	inputs, golden := goldens(t)
	e, m := newModel(t)
	for level := kernels.Plain; level <= min(kernels.Best(), kernels.AVX512); level++ {
		t.Run(level.String(), func(t *testing.T) {
			f, top := fast(t, e, m, 2, level)
			features, grid := f.Forward(top, inputs)
			worst := 0.0
			compare := func(what string, got, want []float32) {
				d := distance(got, want)
				if worst = max(worst, d); !(d <= tolerance) {
					t.Errorf("%s: differs by %.2g of its greatest value, want at most %.2g", what, d, tolerance)
				}
			}
			const cells = Grid * Grid * Dim
			for i := range inputs {
				compare(fmt.Sprintf("features of picture %d", i), features[i*Dim:(i+1)*Dim], golden["features"].Values[i*Dim:(i+1)*Dim])
			}
			for j, i := range []int{5, 12} {
				compare(fmt.Sprintf("grid of picture %d", i), grid[i*cells:(i+1)*cells], golden["grids"].Values[j*cells:(j+1)*cells])
			}
			t.Logf("greatest relative difference %.2g", worst)
		})
	}
}

// A picture's result is the same to the bit, whatever lies beside it and however many threads compute.
func TestFastDependsOnNothingElse(t *testing.T) {
	e, m := newModel(t)
	f, top := fast(t, e, m, 1, kernels.Best())
	threads, topOfThreads := fast(t, e, m, 3, kernels.Best())
	var inputs [][]float32
	for i := range FastImages + 1 {
		inputs = append(inputs, input(t, i+4))
	}
	features, grid := threads.Forward(topOfThreads, inputs)
	for i, x := range inputs {
		v, g := f.Forward(top, [][]float32{x})
		if !slices.Equal(v, features[i*Dim:(i+1)*Dim]) || !slices.Equal(g, grid[i*len(g):(i+1)*len(g)]) {
			t.Errorf("picture %d has another result beside others, on three threads", i)
		}
	}
}

func BenchmarkFast(b *testing.B) {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		b.Skip(err)
	}
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer e.Close()
	var m *Model
	if err := e.Do(b.Context(), func(a *tensor.Arena) (err error) { m, err = Load(a, path); return err }); err != nil {
		b.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		for _, n := range []int{1, 8} {
			b.Run(fmt.Sprintf("threads=%d/batch=%d", threads, n), func(b *testing.B) {
				f, top := fast(b, e, m, threads, kernels.Best())
				x := make([][]float32, n)
				for i := range x {
					x[i] = make([]float32, 3*Side*Side)
				}
				for b.Loop() {
					f.Forward(top, x)
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
