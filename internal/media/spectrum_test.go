package media

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

func TestSpectrumIsTheFourierTransform(t *testing.T) {
	var noise, pulse, constant [melFFT]float64
	rng := rand.New(rand.NewPCG(1, 0))
	for i := range noise {
		noise[i], constant[i] = rng.NormFloat64(), 1
	}
	pulse[3] = 1
	s := newSpectrum()
	for name, in := range map[string]*[melFFT]float64{"noise": &noise, "a pulse": &pulse, "a constant": &constant} {
		var got [spectrumHalf + 1]float64
		s.power(in, &got)
		for k, v := range got {
			var sum complex128
			for i, x := range in {
				sum += cmplx.Rect(x, -2*math.Pi*float64(k*i%melFFT)/melFFT)
			}
			if want := real(sum)*real(sum) + imag(sum)*imag(sum); math.Abs(v-want) > 1e-9*(1+want) {
				t.Errorf("%s: power %d is %g, want %g", name, k, v, want)
			}
		}
	}
}
