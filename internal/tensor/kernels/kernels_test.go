package kernels

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// random returns n values of a normal distribution.
func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// near fails unless got is want to within tolerance of the largest value.
func near(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	for i := range want {
		if d := math.Abs(float64(got[i]) - want[i]); !(d <= tolerance*largest) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// product is f(x W + b) in float64.
func product(x, weight, bias, residual []float32, rows, in, out int, f After) []float64 {
	y := make([]float64, rows*out)
	for r := range rows {
		for o := range out {
			v := float64(bias[o])
			for i := range in {
				v += float64(x[r*in+i]) * float64(weight[o*in+i])
			}
			switch f {
			case Gelu:
				v *= (1 + math.Erf(v/math.Sqrt2)) / 2
			case Add:
				v += float64(residual[r*out+o])
			}
			y[r*out+o] = v
		}
	}
	return y
}

// teams runs a test at each level of this processor.
func teams(t *testing.T, run func(t *testing.T, team *Team)) {
	for level := Plain; level <= Best(); level++ {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d threads", level, threads), func(t *testing.T) {
				team := NewTeam(threads, level)
				defer team.Free()
				run(t, team)
			})
		}
	}
}

// panics runs calls that have to panic.
func panics(t *testing.T, calls map[string]func()) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func TestMultiply(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(1, 1))
		for _, rows := range []int{1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 33, 49} {
			for _, size := range []struct{ in, out int }{{128, 64}, {128, 192}, {384, 320}} {
				weight, bias := random(rng, size.in*size.out), random(rng, size.out)
				x, residual := random(rng, rows*size.in), random(rng, rows*size.out)
				floats, bytes := NewLinear(weight, bias, size.in, size.out), NewLinear8(weight, bias, size.in, size.out)
				quantised := NewBytes(rows, size.in)
				y := make([]float32, rows*size.out)
				for _, f := range []After{Keep, Gelu, Add} {
					want := product(x, weight, bias, residual, rows, size.in, size.out, f)
					team.Multiply(floats, x, rows, f, residual, y)
					near(t, fmt.Sprintf("%d rows of %v, then %d", rows, size, f), y, want, 2e-6)
					team.Quantise(x, rows, size.in, quantised)
					team.MultiplyBytes(bytes, quantised, rows, f, residual, y)
					near(t, fmt.Sprintf("%d rows of %v in bytes, then %d", rows, size, f), y, want, 0.03)
				}
				floats.Free()
				bytes.Free()
				quantised.Free()
			}
		}
	})
}

// everywhere holds an activation to what it is, to within most, at n points between -reach and reach.
func everywhere(t *testing.T, f After, n int, reach float32, is, most func(float64) float64) {
	weight := make([]float32, 16)
	weight[0] = 1
	layer := NewLinear(weight, make([]float32, 16), 1, 16)
	defer layer.Free()
	x, y := make([]float32, n), make([]float32, 16*n)
	for i := range x {
		x[i] = reach * (float32(i)/float32(n)*2 - 1)
	}
	teams(t, func(t *testing.T, team *Team) {
		team.Multiply(layer, x, n, f, nil, y)
		for i, v := range x {
			want := is(float64(v))
			if got := float64(y[16*i]); !(math.Abs(got-want) <= most(want)) {
				t.Fatalf("of %v it is %v, want %v", v, got, want)
			}
		}
	})
}

// TestGeluEverywhere: in the tails too, where the distribution function is no polynomial.
func TestGeluEverywhere(t *testing.T) {
	gelu := func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }
	everywhere(t, Gelu, 1<<14, 20, gelu, func(float64) float64 { return 2e-6 })
}

func TestSilu(t *testing.T) {
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	everywhere(t, Silu, 1<<12, 100, silu, func(want float64) float64 { return 1e-6 * max(1, math.Abs(want)) })
}

// turn multiplies each 128 neighbours by Hadamard's matrix: entry (i, j) is -1 if i and j share an odd number of bits.
func turn(x []float32) []float64 {
	y := make([]float64, len(x))
	for i := range y {
		for j := range turned {
			sign := 1 - 2*(bits.OnesCount(uint(i%turned&j))%2)
			y[i] += float64(sign) * float64(x[i/turned*turned+j])
		}
	}
	return y
}

func TestQuantiseExtremes(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		const dim = 256
		for name, fill := range map[string]func(i int) float32{
			"zeros":    func(int) float32 { return 0 },
			"positive": func(i int) float32 { return 5 + float32(i) },
			"negative": func(i int) float32 { return -5 - float32(i) },
			"tiny":     func(i int) float32 { return 1e-30 * float32(i-30) },
			"outlier":  func(i int) float32 { return float32(i / (dim - 1) * 1000) },
		} {
			x, b := make([]float32, dim), NewBytes(1, dim)
			for i := range x {
				x[i] = fill(i)
			}
			team.Quantise(x, 1, dim, b)
			for i, v := range turn(x) {
				got := float64(b.scale[0]) * float64(int32(b.bytes[i])-b.zero[0])
				if d := math.Abs(got - v); !(d <= 0.51*float64(b.scale[0])) {
					t.Errorf("%s: value %d is %v, want %v to half of %v", name, i, got, v, b.scale[0])
				}
			}
			b.Free()
		}
	})
}

func TestAttend(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(2, 2))
		const dim, heads, head = 64, 2, 32
		text := Text{Start: []int32{0, 1, 3, 18, 67, 164}, Dim: dim, Heads: heads}
		n := text.rows()
		qkv, y := random(rng, n*3*dim), make([]float32, n*dim)
		for i := range qkv[:dim] {
			qkv[i] *= 100 // a softmax of one
		}
		team.Attend(text, qkv, y)
		want := make([]float64, n*dim)
		at := func(row int32, part, h, i int) float64 { return float64(qkv[int(row)*3*dim+part*dim+h*head+i]) }
		for s := range text.sequences() {
			for q := text.Start[s]; q < text.Start[s+1]; q++ {
				for h := range heads {
					weights, total := []float64{}, 0.0
					for k := text.Start[s]; k < text.Start[s+1]; k++ {
						score := 0.0
						for i := range head {
							score += at(q, 0, h, i) * at(k, 1, h, i)
						}
						weights = append(weights, math.Exp(score/math.Sqrt(head)))
						total += weights[len(weights)-1]
					}
					for j, w := range weights {
						for i := range head {
							want[int(q)*dim+h*head+i] += w / total * at(text.Start[s]+int32(j), 2, h, i)
						}
					}
				}
			}
		}
		near(t, "attention", y, want, 2e-6)
	})
}

func TestAttendRounded(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(4, 4))
		for _, shape := range []struct{ dim, heads int }{{64, 2}, {128, 2}} { // heads of 32 have tiles
			text := Text{Start: []int32{0, 1, 3, 18, 34, 67, 164, 420}, Dim: shape.dim, Heads: shape.heads}
			n := text.rows() * text.Dim
			qkv, got, whole := random(rng, 3*n), make([]float32, n), make([]float32, n)
			team.AttendRounded(text, qkv, got)
			team.Attend(text, qkv, whole)
			want := make([]float64, n)
			for i, v := range whole {
				want[i] = float64(v)
			}
			near(t, "rounded attention", got, want, 1.0/128)
			mate := Text{Start: []int32{0, 97}, Dim: text.Dim, Heads: text.Heads}
			alone := make([]float32, 97*text.Dim)
			team.AttendRounded(mate, qkv[67*3*text.Dim:164*3*text.Dim], alone)
			if !slices.Equal(alone, got[67*text.Dim:164*text.Dim]) {
				t.Error("a sequence has another result alone")
			}
		}
	})
}

// TestThreadsDoNotMatter: a result is the same to the bit whoever computed which piece of it.
func TestThreadsDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	const rows, in, out = 40, 128, 384
	layer := NewLinear(random(rng, in*out), random(rng, out), in, out)
	defer layer.Free()
	x, want, got := random(rng, rows*in), make([]float32, rows*out), make([]float32, rows*out)
	alone, many := NewTeam(1, Best()), NewTeam(4, Best())
	defer alone.Free()
	defer many.Free()
	alone.Multiply(layer, x, rows, Gelu, nil, want)
	for range 2000 {
		clear(got)
		if many.Multiply(layer, x, rows, Gelu, nil, got); !slices.Equal(got, want) {
			t.Fatal("four threads have another result than one")
		}
	}
}

func TestWrongSizesPanic(t *testing.T) {
	layer := NewLinear(make([]float32, 64*64), make([]float32, 64), 64, 64)
	defer layer.Free()
	team := NewTeam(1, Plain)
	defer team.Free()
	few, enough := make([]float32, 64), make([]float32, 128)
	panics(t, map[string]func(){
		"x":         func() { team.Multiply(layer, few, 2, Keep, nil, enough) },
		"y":         func() { team.Multiply(layer, enough, 2, Keep, nil, few) },
		"residual":  func() { team.Multiply(layer, enough, 2, Add, few, enough) },
		"bytes":     func() { team.MultiplyBytes(layer, NewBytes(2, 64), 2, Keep, nil, enough) },
		"weight":    func() { NewLinear(few, few, 64, 64) },
		"multiples": func() { NewLinear8(make([]float32, 64*64), few, 64, 64) },
		"bytes of":  func() { team.Quantise(few, 1, 64, NewBytes(1, 64)) },
		"heads":     func() { team.Attend(Text{Start: []int32{0, 1}, Dim: 64, Heads: 4}, make([]float32, 192), few) },
		"threads":   func() { NewTeam(0, Plain) },
	})
}

func TestGate(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		const rows, dim = 37, 32
		x := random(rand.New(rand.NewPCG(5, 0)), rows*2*dim)
		copy(x, []float32{0, 1e-4, -1e-4, 9, -9, 100, -100, 1e30, -1e30}) // through tanh
		copy(x[dim:], []float32{0, 0, 0, 100, -100, 1e30, -1e30, 50, -50})
		want := make([]float64, rows*dim)
		for i := range want {
			a, b := float64(x[i/dim*2*dim+i%dim]), float64(x[i/dim*2*dim+dim+i%dim])
			want[i] = math.Tanh(a) / (1 + math.Exp(-b))
		}
		y := make([]float32, rows*dim)
		team.Gate(x, rows, dim, y)
		near(t, "gate", y, want, 1e-6)
	})
}

func TestLook(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		const dim, heads = 64, 2
		rng := rand.New(rand.NewPCG(6, 0))
		for _, count := range []int{1, 15, 16, 17, 62} {
			q, keys, values := random(rng, dim), random(rng, count*dim), random(rng, count*dim)
			want := make([]float64, dim)
			for h := 0; h < dim; h += dim / heads {
				weights, sum := make([]float64, count), 0.0
				for row := range weights {
					dot := 0.0
					for i := h; i < h+dim/heads; i++ {
						dot += float64(q[i]) * float64(keys[row*dim+i])
					}
					weights[row] = math.Exp(dot / math.Sqrt(dim/heads))
					sum += weights[row]
				}
				for i := h; i < h+dim/heads; i++ {
					for row, w := range weights {
						want[i] += w / sum * float64(values[row*dim+i])
					}
				}
			}
			y := make([]float32, dim)
			team.Look(q, keys, values, heads, y)
			near(t, fmt.Sprintf("look at %d rows", count), y, want, 1e-5)
		}
	})
}
