package train

import (
	"math"
	"math/rand/v2"
)

// variant returns a film as it might have been taken of another patient, by another machine, by another person: turned,
// stretched, mirrored and bent, with another exposure, darkened corners, blur, noise and things laid on it.
func variant(rng *rand.Rand, e segmentExample, s segmentSettings) segmentExample {
	w := newWarp(rng, s)
	out := segmentExample{film: e.film, image: w.apply(e.image), target: make([][]float32, len(e.target))}
	for i, plane := range e.target {
		if plane != nil {
			out.target[i] = w.apply(plane)
		}
	}
	expose(rng, out.image, s.Side)
	return out
}

// warp says from where each pixel is taken.
type warp struct {
	side int
	x, y []float32
}

// newWarp draws an affine map about the centre and a few slow waves on top.
func newWarp(rng *rand.Rand, s segmentSettings) *warp {
	side, bend := s.Side, s.Bend
	uniform := func(low, high float64) float64 { return low + (high-low)*rng.Float64() }
	upTo := func(most float64) float64 { return bend * uniform(-most, most) }
	angle, shear := upTo(15)*math.Pi/180, upTo(0.1)
	scaleX, scaleY := math.Exp(upTo(0.25)), math.Exp(upTo(0.25))
	if s.Mirror && rng.IntN(2) == 0 {
		scaleX = -scaleX
	}
	half := float64(side) / 2
	moveX, moveY := upTo(0.15)*half, upTo(0.15)*half
	cos, sin := math.Cos(angle), math.Sin(angle)
	type wave struct{ x, y, phase, toX, toY float64 }
	waves := make([]wave, 4)
	for i := range waves {
		waves[i] = wave{
			x: uniform(-2, 2) * 2 * math.Pi / float64(side), y: uniform(-2, 2) * 2 * math.Pi / float64(side), phase: uniform(0, 2*math.Pi),
			toX: bend * rng.NormFloat64() * 0.01 * float64(side), toY: bend * rng.NormFloat64() * 0.01 * float64(side),
		}
	}
	w := &warp{side: side, x: make([]float32, side*side), y: make([]float32, side*side)}
	for i := range w.x {
		x, y := float64(i%side)+0.5-half, float64(i/side)+0.5-half
		u, v := scaleX*(x+shear*y), scaleY*y
		fromX, fromY := cos*u-sin*v+moveX, sin*u+cos*v+moveY
		for _, k := range waves {
			s := math.Sin(k.x*x + k.y*y + k.phase)
			fromX, fromY = fromX+k.toX*s, fromY+k.toY*s
		}
		w.x[i], w.y[i] = float32(fromX+half-0.5), float32(fromY+half-0.5)
	}
	return w
}

// apply samples a plane bilinearly; beyond its borders it is 0.
func (w *warp) apply(plane []float32) []float32 {
	n := w.side
	at := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= n || y >= n {
			return 0
		}
		return plane[y*n+x]
	}
	out := make([]float32, n*n)
	for i := range out {
		floorX, floorY := math.Floor(float64(w.x[i])), math.Floor(float64(w.y[i]))
		x, y := int(floorX), int(floorY)
		dx, dy := w.x[i]-float32(floorX), w.y[i]-float32(floorY)
		top := at(x, y)*(1-dx) + at(x+1, y)*dx
		bottom := at(x, y+1)*(1-dx) + at(x+1, y+1)*dx
		out[i] = top*(1-dy) + bottom*dy
	}
	return out
}

// expose changes the greys of a film.
func expose(rng *rand.Rand, image []float32, side int) {
	chance := func(p float64) bool { return rng.Float64() < p }
	uniform := func(low, high float64) float64 { return low + (high-low)*rng.Float64() }
	change := func(f func(v float64) float64) {
		for i, v := range image {
			image[i] = float32(math.Min(1, math.Max(0, f(float64(v)))))
		}
	}
	if chance(0.5) {
		gamma := math.Exp(uniform(-0.5, 0.5))
		change(func(v float64) float64 { return math.Pow(v, gamma) })
	}
	if chance(0.1) { // bones black
		change(func(v float64) float64 { return 1 - v })
	}
	if chance(0.3) {
		contrast, brightness := math.Exp(uniform(-0.5, 0.7)), uniform(-0.2, 0.2)
		change(func(v float64) float64 { return (v-0.5)*contrast + 0.5 + brightness })
	}
	if chance(0.3) {
		shade(rng, image, side)
	}
	if chance(0.2) {
		smooth(image, side, uniform(0.5, 1.5))
	}
	if chance(0.3) {
		strength := uniform(0.01, 0.08)
		change(func(v float64) float64 { return v + rng.NormFloat64()*strength })
	}
	if chance(0.3) {
		for range 1 + rng.IntN(3) { // a plate, a letter, a pacemaker
			width, height := side/16+rng.IntN(side/5), side/16+rng.IntN(side/5)
			left, top, grey := rng.IntN(side-width), rng.IntN(side-height), rng.Float32()
			for y := top; y < top+height; y++ {
				for x := left; x < left+width; x++ {
					image[y*side+x] = grey
				}
			}
		}
	}
}

// shade makes parts of a film brighter than others.
func shade(rng *rand.Rand, image []float32, side int) {
	for range 2 {
		x, y := rng.NormFloat64()*3/float64(side), rng.NormFloat64()*3/float64(side)
		phase, strength := rng.Float64()*2*math.Pi, 0.2*rng.Float64()
		for i, v := range image {
			image[i] = v * float32(1+strength*math.Sin(x*float64(i%side)+y*float64(i/side)+phase))
		}
	}
}

// smooth blurs with a Gaussian of that many pixels.
func smooth(image []float32, side int, sigma float64) {
	radius := int(3*sigma + 0.5)
	kernel, sum := make([]float32, 2*radius+1), float32(0)
	for i := range kernel {
		d := float64(i - radius)
		kernel[i] = float32(math.Exp(-d * d / (2 * sigma * sigma)))
		sum += kernel[i]
	}
	row := make([]float32, side)
	pass := func(start, step int) {
		for i := range row {
			row[i] = image[start+i*step]
		}
		for i := range row {
			v := float32(0)
			for k, weight := range kernel {
				v += weight * row[min(max(i+k-radius, 0), side-1)]
			}
			image[start+i*step] = v / sum
		}
	}
	for i := range side {
		pass(i*side, 1)
	}
	for i := range side {
		pass(i, side)
	}
}
