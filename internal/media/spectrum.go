package media

import (
	"math"
	"math/cmplx"
	"sync"
)

// spectrumHalf is the length of the complex transform that does for one of melFFT real values: a power of four.
const spectrumHalf = melFFT / 2

// spectrum holds what power spectra of melFFT real values are computed in.
type spectrum struct {
	tables *spectrumTables
	z      [spectrumHalf]complex128
}

type spectrumTables struct {
	roots [melFFT]complex128 // exp(-2 pi i k / melFFT)
	place [spectrumHalf]int  // of a value, its number with the digits to base four reversed
}

var spectrumTable = sync.OnceValue(func() *spectrumTables {
	t := &spectrumTables{}
	for k := range t.roots {
		t.roots[k] = cmplx.Rect(1, -2*math.Pi*float64(k)/melFFT)
	}
	for i := range t.place {
		for rest, size := i, 1; size < spectrumHalf; size *= 4 {
			t.place[i] = 4*t.place[i] + rest%4
			rest /= 4
		}
	}
	return t
})

func newSpectrum() *spectrum { return &spectrum{tables: spectrumTable()} }

// power sets power to the squared magnitudes of the Fourier transform of in, from 0 to half of the sample rate.
func (s *spectrum) power(in *[melFFT]float64, power *[spectrumHalf + 1]float64) {
	z, roots := &s.z, &s.tables.roots
	for i, at := range s.tables.place { // the even values are the real parts, the odd ones the imaginary
		z[at] = complex(in[2*i], in[2*i+1])
	}
	s.transform()
	dc := z[0]
	power[0] = (real(dc) + imag(dc)) * (real(dc) + imag(dc))
	power[spectrumHalf] = (real(dc) - imag(dc)) * (real(dc) - imag(dc))
	for k := 1; k <= spectrumHalf/2; k++ {
		a, b := z[k], cmplx.Conj(z[spectrumHalf-k])
		even, odd := a+b, (a-b)*roots[k]
		odd = complex(imag(odd), -real(odd))
		low, high := even+odd, even-odd // twice the values at k and, conjugated, at spectrumHalf - k
		power[k] = (real(low)*real(low) + imag(low)*imag(low)) / 4
		power[spectrumHalf-k] = (real(high)*real(high) + imag(high)*imag(high)) / 4
	}
}

// transform is the Fourier transform of z, whose values lie at their places, in steps of four (Cooley and Tukey, 1965).
func (s *spectrum) transform() {
	z, roots := &s.z, &s.tables.roots
	for size := 1; size < spectrumHalf; size *= 4 {
		step := melFFT / (4 * size)
		for start := 0; start < spectrumHalf; start += 4 * size {
			p, q, r, t := z[start:start+size], z[start+size:][:size], z[start+2*size:][:size], z[start+3*size:][:size]
			for k := range p {
				a, b, c, d := p[k], q[k]*roots[(k*step)%melFFT], r[k]*roots[(2*k*step)%melFFT], t[k]*roots[(3*k*step)%melFFT]
				sum, difference := a+c, a-c
				both, turned := b+d, complex(imag(b)-imag(d), real(d)-real(b)) // -i (b - d)
				p[k], q[k], r[k], t[k] = sum+both, difference+turned, sum-both, difference-turned
			}
		}
	}
}
