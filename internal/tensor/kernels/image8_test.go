package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// integers returns n values between low and high as they are, and as float32 and float64.
func integers[E int8 | uint8](rng *rand.Rand, n, low, high int) (values []E, single []float32, double []float64) {
	for range n {
		v := low + rng.IntN(high-low+1)
		values, single, double = append(values, E(v)), append(single, float32(v)), append(double, float64(v))
	}
	return values, single, double
}

// fractions returns n scales that are powers of two, and n biases with few digits, so that sums times scales are exact.
func fractions(rng *rand.Rand, n, low, high int) (scale, bias []float32) {
	for range n {
		scale, bias = append(scale, float32(math.Ldexp(1, -low-rng.IntN(high-low+1)))), append(bias, float32(rng.IntN(400))/4)
	}
	return scale, bias
}

// rounded is x (pixels, channels) times scale plus bias as whole numbers of 0 to 255.
func rounded(x []float64, scale, bias []float32) []float64 {
	for i, v := range x {
		c := i % len(scale)
		x[i] = min(max(math.RoundToEven(v*float64(scale[c])+float64(bias[c])), 0), 255)
	}
	return x
}

// pixels8 returns x (pixels, channels), its channels padded.
func pixels8(x []uint8, channels int) Pixels8 {
	wide := Padded(channels)
	p := NewPixels8(len(x) / channels * wide)
	for i, v := range x {
		p[i/channels*wide+i%channels] = v
	}
	return p
}

func equal8(t *testing.T, what string, got []uint8, want []float64) {
	t.Helper()
	for i, v := range want {
		if float64(got[i]) != v {
			t.Fatalf("%s: value %d is %d, want %v", what, i, got[i], v)
		}
	}
}

// teams8 is teams of the levels that there are kernels of 8 bits for pictures.
func teams8(t *testing.T, run func(t *testing.T, team *Team)) {
	if Best() < AVX512 {
		t.Skipf("this processor's level is %s, the kernels need %s", Best(), AVX512)
	}
	teams(t, func(t *testing.T, team *Team) {
		if team.level >= AVX512 {
			run(t, team)
		}
	})
}

func TestWiden8(t *testing.T) {
	teams8(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(6, 6))
		for _, c := range []struct{ side, in, wide, kernel, stride, images int }{
			{14, 24, 144, 3, 1, 2}, {28, 16, 96, 3, 2, 1}, {14, 40, 240, 5, 1, 1}, {56, 8, 48, 5, 2, 1}, {7, 192, 64, 5, 1, 3}, {14, 16, 96, 5, 2, 2},
			{56, 16, 48, 3, 1, 1}, {112, 16, 48, 3, 2, 1}, {28, 80, 48, 5, 1, 1}, {7, 16, 160, 3, 1, 1},
		} {
			n := c.side / c.stride
			expand, expand32, _ := integers[int8](rng, c.wide*c.in, -128, 127)
			filters, filters32, _ := integers[int8](rng, c.wide*c.kernel*c.kernel, -128, 127)
			scale, bias := fractions(rng, c.wide, 7, 12)
			share, shift := fractions(rng, c.wide, 7, 10)
			x, _, exact := integers[uint8](rng, c.images*c.side*c.side*c.in, 0, 255)
			p, d := NewPoint8(expand, scale, bias, c.in, c.wide), NewDepth8(filters, share, shift, c.kernel, c.stride)
			y := NewPixels8(c.images * n * n * c.wide)
			team.Widen8(p, d, pixels8(x, c.in), c.images, c.side, y)
			none := make([]float32, c.wide)
			for image := range c.images {
				one := exact[image*c.side*c.side*c.in:][:c.side*c.side*c.in]
				middle := rounded(convolve(one, c.side, c.in, expand32, none, 1, 1, 1, false), scale, bias)
				want := rounded(convolve(middle, c.side, c.wide, filters32, none, c.kernel, c.stride, c.wide, false), share, shift)
				equal8(t, fmt.Sprintf("%+v, picture %d", c, image), y[image*n*n*c.wide:], want)
			}
			p.Free()
			d.Free()
		}
	})
}

func TestStem8(t *testing.T) {
	teams8(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(7, 7))
		const side, images = 28, 2
		_, weight, _ := integers[int8](rng, 32*27, -2, 2)
		_, bias, _ := integers[int8](rng, 32, 0, 100)
		filters, filters32, _ := integers[int8](rng, 32*9, -128, 127)
		share, shift := fractions(rng, 32, 7, 10)
		_, x, _ := integers[uint8](rng, images*3*4*side*side, 0, 20)
		p, d := NewPoint(weight, bias, 27, 32), NewDepth8(filters, share, shift, 3, 1)
		defer p.Free()
		defer d.Free()
		y := NewPixels8(images * side * side * 32)
		team.Stem8(p, d, x, images, side, y)
		ones, none := slices.Repeat([]float32{1}, 32), make([]float32, 32)
		for image := range images {
			one := make([]float64, 3*4*side*side)
			for c := range 3 {
				for i := range 4 * side * side {
					one[i*3+c] = float64(x[(image*3+c)*4*side*side+i])
				}
			}
			middle := rounded(convolve(one, 2*side, 3, weight, bias, 3, 2, 1, false), ones, none)
			want := rounded(convolve(middle, side, 32, filters32, none, 3, 1, 32, false), share, shift)
			equal8(t, fmt.Sprintf("picture %d", image), y[image*side*side*32:], want)
		}
	})
}

func TestNarrow8(t *testing.T) {
	teams8(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(8, 8))
		for _, c := range []struct{ rows, in, out int }{{7, 32, 16}, {49, 144, 24}, {196, 96, 40}, {21, 240, 80}, {98, 320, 128}, {50, 672, 112}, {3, 48, 16}} {
			weight, weight32, _ := integers[int8](rng, c.in*c.out, -128, 127)
			scale, bias := fractions(rng, c.out, 10, 14)
			share, zero := fractions(rng, c.out, -1, 1)
			x, _, exact := integers[uint8](rng, c.rows*c.in, 0, 255)
			residual := random(rng, c.rows*c.out)
			added, _ := laid(residual, c.out)
			p := NewPoint8(weight, scale, bias, c.in, c.out)
			for _, f := range []PointAfter{PointKeep, PointAdd, PointClip} {
				wide := Padded(c.out)
				want, bytes := make([]float64, c.rows*wide), make([]float64, c.rows*wide)
				for r := range c.rows {
					for o, v := range convolve(exact[r*c.in:][:c.in], 1, c.in, weight32, make([]float32, c.out), 1, 1, 1, false) {
						v = v*float64(scale[o]) + float64(bias[o])
						if f == PointAdd {
							v = float64(float32(v) + residual[r*c.out+o])
						} else if f == PointClip {
							v = min(max(v, 0), 6)
						}
						want[r*wide+o] = v
						// One multiplication and addition without a rounding between, as the processor does it.
						bytes[r*wide+o] = min(max(math.RoundToEven(float64(float32(v*float64(share[o])+float64(zero[o])))), 0), 255)
					}
				}
				y, b := make([]float32, len(want)), NewPixels8(len(want))
				team.Narrow8(p, pixels8(x, c.in), c.rows, f, added, y, NewRounding(share, zero), b)
				what := fmt.Sprintf("%+v, then %d", c, f)
				near(t, what, y, want, 1e-7)
				equal8(t, what, b, bytes)
				clear(b)
				team.Narrow8(p, pixels8(x, c.in), c.rows, f, added, nil, NewRounding(share, zero), b)
				equal8(t, what+", bytes alone", b, bytes)
			}
			p.Free()
		}
	})
}

func TestWrongPixels8Panic(t *testing.T) {
	p := NewPoint8(make([]int8, 16*48), make([]float32, 48), make([]float32, 48), 16, 48)
	defer p.Free()
	d := NewDepth8(make([]int8, 48*9), make([]float32, 48), make([]float32, 48), 3, 2)
	defer d.Free()
	team := NewTeam(1, Best())
	defer team.Free()
	panics(t, map[string]func(){
		"level": func() {
			plain := NewTeam(1, Plain)
			defer plain.Free()
			plain.Widen8(p, d, NewPixels8(14*14*16), 1, 14, NewPixels8(7*7*48))
		},
		"x":        func() { team.Widen8(p, d, NewPixels8(14*14*16-1), 1, 14, NewPixels8(7*7*48)) },
		"slack":    func() { team.Widen8(p, d, make(Pixels8, 14*14*16), 1, 14, NewPixels8(7*7*48)) },
		"y":        func() { team.Widen8(p, d, NewPixels8(14*14*16), 1, 14, NewPixels8(7*7*48-1)) },
		"side":     func() { team.Widen8(p, d, NewPixels8(14*14*16), 1, 7, NewPixels8(7*7*48)) },
		"residual": func() { team.Narrow8(p, NewPixels8(16), 1, PointAdd, nil, make([]float32, 48), nil, nil) },
		"kernel":   func() { NewDepth8(make([]int8, 16*16), make([]float32, 16), make([]float32, 16), 4, 1) },
		"weight":   func() { NewPoint8(make([]int8, 5), make([]float32, 2), make([]float32, 2), 2, 2) },
	})
}
