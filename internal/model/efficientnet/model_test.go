package efficientnet

import (
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// tolerance is how far a value may lie from the reference, relative to the greatest value of its tensor. The
// reference normalises after each convolution, here the two are folded, so rounding differs. Measured: 7.9e-5 for the
// flat grey picture, whose input is all zeros and whose features are small, 9.2e-6 for the worst other one.
const tolerance = 3e-4

const patterns = 12

var pictures = []int{0, 1, 2, 3, 100, 101, 102, 103} // of easy-VQA's test set

// pattern returns pattern k of make_golden.py at channel c, row y and column x.
func pattern(k int, c, y, x uint32) uint8 {
	noise := func(cell uint32) uint32 {
		h := (c*7919 + y/cell*104729 + x/cell*1299709 + 12345) * 2654435761
		h = (h ^ h>>15) * 2246822519
		return (h ^ h>>13) & 255
	}
	switch k {
	case 0:
		return uint8(x * 255 / 223)
	case 1:
		return uint8(y * 255 / 223)
	case 2:
		return uint8((x + y + c*85) * 255 / 223 % 256)
	case 3:
		return uint8((x/8 + y/8) % 2 * 255)
	case 4:
		return uint8((x/32+y/32+c)%2*200 + 20)
	case 5:
		return uint8(((x-112)*(x-112) + (y-112)*(y-112)) / 64 % 256)
	case 6:
		return uint8(noise(1))
	case 7:
		return uint8(noise(16))
	case 8:
		return 0
	case 9:
		return 255
	case 10:
		return 127
	}
	return uint8((x/14 + 5*c) % 16 * 17)
}

// input returns picture i of make_golden.py, (3, 224, 224).
func input(t *testing.T, i int) []float32 {
	t.Helper()
	at := func(c, y, x uint32) uint8 { return pattern(i, c, y, x) }
	if i >= patterns {
		folder, err := weights.Path("easy-vqa")
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(filepath.Join(folder, "data", "test", "images", fmt.Sprintf("%d.png", pictures[i-patterns])))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		at = func(c, y, x uint32) uint8 {
			r, g, b, _ := img.At(int(x)*64/Side, int(y)*64/Side).RGBA()
			return uint8([3]uint32{r, g, b}[c] >> 8)
		}
	}
	out := make([]float32, 0, 3*Side*Side)
	for c := range uint32(3) {
		for y := range uint32(Side) {
			for x := range uint32(Side) {
				out = append(out, (float32(at(c, y, x))-127)/128)
			}
		}
	}
	return out
}

// goldens returns the pictures of make_golden.py and what PyTorch makes of them.
func goldens(t *testing.T) (inputs [][]float32, golden map[string]tensor.Raw) {
	t.Helper()
	golden, _, err := tensor.ReadSafetensors(filepath.Join("testdata", "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range patterns + len(pictures) {
		inputs = append(inputs, input(t, i))
	}
	return inputs, golden
}

// newModel loads the network into an engine of its own.
func newModel(t testing.TB) (*tensor.Engine, *Model) {
	t.Helper()
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		t.Fatal(err)
	}
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	t.Cleanup(e.Close)
	var m *Model
	do(t, e, func(a *tensor.Arena) error {
		m, err = Load(a, path)
		return err
	})
	return e, m
}

func do(t testing.TB, e *tensor.Engine, fn func(a *tensor.Arena) error) {
	t.Helper()
	if err := e.Do(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// distance returns the greatest difference, relative to the greatest value of want.
func distance(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, scale float64
	for i := range want {
		diff = max(diff, math.Abs(float64(got[i]-want[i])))
		scale = max(scale, math.Abs(float64(want[i])))
	}
	return diff / scale
}

func TestParityWithPyTorch(t *testing.T) {
	inputs, golden := goldens(t)
	e, m := newModel(t)
	worst := 0.0
	compare := func(what string, got, want []float32) {
		d := distance(got, want)
		if worst = max(worst, d); !(d <= tolerance) {
			t.Errorf("%s: differs by %.2g of its greatest value, want at most %.2g", what, d, tolerance)
		}
	}
	for i, x := range inputs {
		do(t, e, func(a *tensor.Arena) error {
			features, grid := m.Forward(a, a.FromFloat32(x, 1, 3, Side, Side))
			compare(fmt.Sprintf("features of picture %d", i), a.Float32s(features), golden["features"].Values[i*Dim:(i+1)*Dim])
			for j, of := range []int{5, 12} {
				if of == i {
					n := Grid * Grid * Dim
					compare(fmt.Sprintf("grid of picture %d", i), a.Float32s(grid), golden["grids"].Values[j*n:(j+1)*n])
				}
			}
			return nil
		})
	}
	t.Logf("greatest relative difference %.2g", worst)
}

func TestBatchEqualsSingle(t *testing.T) {
	e, m := newModel(t)
	var batch []float32
	for i := range 4 {
		batch = append(batch, input(t, i+4)...)
	}
	do(t, e, func(a *tensor.Arena) error {
		features, grid := m.Forward(a, a.FromFloat32(batch, 4, 3, Side, Side))
		together, cells := a.Float32s(features), a.Float32s(grid)
		for i := range 4 {
			f, g := m.Forward(a, a.FromFloat32(input(t, i+4), 1, 3, Side, Side))
			if d := distance(together[i*Dim:(i+1)*Dim], a.Float32s(f)); !(d <= 1e-5) {
				t.Errorf("features of picture %d differ by %.2g in a batch", i, d)
			}
			n := Grid * Grid * Dim
			if d := distance(cells[i*n:(i+1)*n], a.Float32s(g)); !(d <= 1e-5) {
				t.Errorf("grid of picture %d differs by %.2g in a batch", i, d)
			}
		}
		return nil
	})
}

func TestSamePadding(t *testing.T) {
	for _, c := range []struct{ size, kernel, stride, before, after int64 }{
		{224, 3, 2, 0, 1}, {112, 3, 1, 1, 1}, {56, 5, 2, 1, 2}, {28, 5, 1, 2, 2}, {7, 1, 1, 0, 0}, {15, 3, 2, 1, 1},
	} {
		before, after := samePadding(c.size, c.kernel, c.stride)
		if before != c.before || after != c.after {
			t.Errorf("size %d, kernel %d, stride %d: %d before and %d after, want %d and %d", c.size, c.kernel, c.stride, before, after, c.before, c.after)
		}
	}
}

func TestRefusals(t *testing.T) {
	e, m := newModel(t)
	for name, fn := range map[string]func(a *tensor.Arena) error{
		"want [B 3 224 224]": func(a *tensor.Arena) error { m.Forward(a, a.Zeros(1, 3, 64, 64)); return nil },
		`hold no tensor "_conv_stem.weight"`: func(a *tensor.Arena) error {
			New(a, tensor.FromRaw(map[string]tensor.Raw{}))
			return nil
		},
		"read state dict": func(a *tensor.Arena) error {
			_, err := Load(a, filepath.Join("testdata", "make_golden.py"))
			return err
		},
		"no such file": func(a *tensor.Arena) error { _, err := Load(a, filepath.Join("testdata", "none.pth")); return err },
	} {
		if err := e.Do(t.Context(), fn); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		b.Skip(err)
	}
	for _, threads := range []int{1, 2} {
		for _, n := range []int{1, 8} {
			b.Run(fmt.Sprintf("threads=%d/batch=%d", threads, n), func(b *testing.B) {
				e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: threads})
				defer e.Close()
				err := e.Do(b.Context(), func(a *tensor.Arena) error {
					m, err := Load(a, path)
					if err != nil {
						return err
					}
					defer m.Free(a)
					x := a.Rand(int64(n), 3, Side, Side)
					for b.Loop() {
						mark := a.Mark()
						m.Forward(a, x)
						a.Release(mark)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
