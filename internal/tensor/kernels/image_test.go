package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// convolve is the definition: y (n, n, out) = x (side, side, in) * weight (out, in / groups, kernel, kernel), with "same"
// padding, in float64. Clipped to 0..6 if clip.
func convolve(x []float64, side, in int, weight, bias []float32, kernel, stride, groups int, clip bool) []float64 {
	out, n := len(bias), side/stride
	before := max(0, (n-1)*stride+kernel-side) / 2
	y := make([]float64, n*n*out)
	for oy := range n {
		for ox := range n {
			for o := range out {
				v := float64(bias[o])
				for i := range in / groups {
					from := o/(out/groups)*(in/groups) + i
					for ky := range kernel {
						for kx := range kernel {
							iy, ix := oy*stride-before+ky, ox*stride-before+kx
							if iy >= 0 && iy < side && ix >= 0 && ix < side {
								v += x[(iy*side+ix)*in+from] * float64(weight[((o*(in/groups)+i)*kernel+ky)*kernel+kx])
							}
						}
					}
				}
				if clip {
					v = min(max(v, 0), 6)
				}
				y[(oy*n+ox)*out+o] = v
			}
		}
	}
	return y
}

// laid returns x (pixels, channels) with its channels padded, and as float64 without.
func laid(x []float32, channels int) (padded []float32, exact []float64) {
	wide := Padded(channels)
	padded = make([]float32, len(x)/channels*wide)
	for i, v := range x {
		padded[i/channels*wide+i%channels] = v
		exact = append(exact, float64(v))
	}
	return padded, exact
}

func TestWidenAndNarrow(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(4, 4))
		for _, c := range []struct{ side, in, wide, kernel, stride, images int }{
			{14, 24, 144, 3, 1, 2}, {28, 16, 96, 3, 2, 1}, {14, 40, 48, 5, 1, 1}, {56, 8, 48, 5, 2, 1}, {7, 16, 96, 5, 1, 3}, {14, 16, 96, 3, 2, 1},
		} {
			n := c.side / c.stride
			expand, filters := random(rng, c.wide*c.in), random(rng, c.wide*c.kernel*c.kernel)
			bias, shift := random(rng, c.wide), random(rng, c.wide)
			p, d := NewPoint(expand, bias, c.in, c.wide), NewDepth(filters, shift, c.kernel, c.stride)
			x := random(rng, c.images*c.side*c.side*c.in)
			in, exact := laid(x, c.in)
			y := make([]float32, c.images*n*n*c.wide)
			team.Widen(p, d, in, c.images, c.side, y)
			for image := range c.images {
				one := exact[image*c.side*c.side*c.in:][:c.side*c.side*c.in]
				middle := convolve(one, c.side, c.in, expand, bias, 1, 1, 1, true)
				want := convolve(middle, c.side, c.wide, filters, shift, c.kernel, c.stride, c.wide, true)
				near(t, fmt.Sprintf("%+v, picture %d", c, image), y[image*n*n*c.wide:][:n*n*c.wide], want, 3e-5)
			}
			p.Free()
			d.Free()
		}
		for _, c := range []struct{ rows, in, out int }{{7, 32, 16}, {49, 144, 24}, {196, 96, 40}, {21, 240, 80}, {98, 320, 128}} {
			weight, bias := random(rng, c.in*c.out), random(rng, c.out)
			x, residual := random(rng, c.rows*c.in), random(rng, c.rows*c.out)
			in, exact := laid(x, c.in)
			added, _ := laid(residual, c.out)
			p := NewPoint(weight, bias, c.in, c.out)
			for _, f := range []PointAfter{PointKeep, PointAdd, PointClip} {
				want := make([]float64, c.rows*Padded(c.out))
				for r := range c.rows {
					made := convolve(exact[r*c.in:][:c.in], 1, c.in, weight, bias, 1, 1, 1, f == PointClip)
					for o, v := range made {
						if f == PointAdd {
							v += float64(residual[r*c.out+o])
						}
						want[r*Padded(c.out)+o] = v
					}
				}
				y := make([]float32, len(want))
				team.Narrow(p, in, c.rows, f, added, y)
				near(t, fmt.Sprintf("%+v, then %d", c, f), y, want, 1e-5)
			}
			p.Free()
		}
	})
}

func TestStemAndMean(t *testing.T) {
	teams(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(5, 5))
		const side, images = 28, 2
		weight, bias, filters, shift := random(rng, 32*27), random(rng, 32), random(rng, 32*9), random(rng, 32)
		p, d := NewPoint(weight, bias, 27, 32), NewDepth(filters, shift, 3, 1)
		defer p.Free()
		defer d.Free()
		x := random(rng, images*3*4*side*side)
		y := make([]float32, images*side*side*32)
		team.Stem(p, d, x, images, side, y)
		for image := range images {
			one := make([]float64, 3*4*side*side)
			for c := range 3 {
				for i := range 4 * side * side {
					one[i*3+c] = float64(x[(image*3+c)*4*side*side+i])
				}
			}
			middle := convolve(one, 2*side, 3, weight, bias, 3, 2, 1, true)
			want := convolve(middle, side, 32, filters, shift, 3, 1, 32, true)
			near(t, fmt.Sprintf("picture %d", image), y[image*side*side*32:][:side*side*32], want, 3e-5)
		}
		means, want := make([]float32, images*32), make([]float64, images*32)
		team.Mean(y, images, side*side, 32, means)
		for i, v := range y {
			want[i/(side*side*32)*32+i%32] += float64(v) / (side * side)
		}
		near(t, "means", means, want, 1e-5)
	})
}

func TestWrongPicturesPanic(t *testing.T) {
	team := NewTeam(1, Plain)
	defer team.Free()
	p, d := NewPoint(make([]float32, 16*16), make([]float32, 16), 16, 16), NewDepth(make([]float32, 16*9), make([]float32, 16), 3, 2)
	defer p.Free()
	defer d.Free()
	enough := make([]float32, 14*14*16)
	panics(t, map[string]func(){
		"x":        func() { team.Widen(p, d, enough[1:], 1, 14, enough) },
		"y":        func() { team.Widen(p, d, enough, 1, 14, enough[:7*7*16-1]) },
		"side":     func() { team.Widen(p, d, enough, 1, 7, enough) },
		"rows":     func() { team.Narrow(p, enough, 8, PointKeep, nil, enough) },
		"residual": func() { team.Narrow(p, enough, 7, PointAdd, nil, enough) },
		"stem":     func() { team.Stem(p, d, enough, 1, 14, enough) },
		"kernel":   func() { NewDepth(make([]float32, 16*16), make([]float32, 16), 4, 1) },
		"weight":   func() { NewPoint(make([]float32, 5), make([]float32, 2), 2, 2) },
	})
}
