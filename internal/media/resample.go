package media

import "math"

const (
	// zeroCrossings is the half width of the filter, in periods of the lower of the two rates.
	zeroCrossings = 48
	// stopband is the attenuation, in dB, of what would alias.
	stopband = 80
	// maxPhases bounds the filter bank; between two phases the output is interpolated.
	maxPhases = 512
)

// Resample changes the sample rate with a bank of windowed sinc filters, one for each position that an output
// sample can have between two input samples (a polyphase filter; Smith, "Digital Audio Resampling"). The window
// is Kaiser's. Frequencies up to 0.89 of the lower Nyquist frequency pass within 0.1 dB; from the lower Nyquist
// frequency on, what would alias is at least 75 dB down. Silence is assumed around the sound.
func Resample(x []float32, from, to int) []float32 {
	if from == to || len(x) == 0 {
		return x
	}
	g := gcd(from, to)
	phases := to / g // positions between two input samples
	step := from / g // of an output sample, in 1/phases of an input sample
	rows := phases
	if rows > maxPhases {
		rows = maxPhases
	}
	bank, half := filterBank(rows, math.Min(1, float64(to)/float64(from)))
	out := make([]float32, (len(x)*phases+step-1)/step)
	for i := range out {
		at := i * step
		center, phase := at/phases, at%phases
		row, rest := phase*rows/phases, phase*rows%phases
		v := apply(bank[row], x, center-half)
		if rest != 0 { // only where there are more phases than rows
			f := float32(rest) / float32(phases)
			v += f * (apply(bank[row+1], x, center-half) - v)
		}
		out[i] = v
	}
	return out
}

// filterBank returns rows+1 filters for the positions 0, 1/rows, ..., 1 past an input sample, which taps at offsets
// -half to half+1 around it. ratio is the lower rate in units of the input rate.
func filterBank(rows int, ratio float64) (bank [][]float32, half int) {
	const attenuation = stopband + 3 // the cut-off lies inside the transition
	beta := 0.1102 * (attenuation - 8.7)
	// Kaiser's width of the transition, as a share of the Nyquist frequency; it ends at the Nyquist frequency.
	width := (attenuation - 8) / (2.285 * 2 * zeroCrossings) / math.Pi
	cutoff := ratio * (1 - width/2)
	reach := zeroCrossings / ratio // half width in input samples
	half = int(math.Ceil(reach))
	peak := bessel(beta)
	bank = make([][]float32, rows+1)
	for r := range bank {
		filter := make([]float32, 2*half+2)
		sum := 0.0
		values := make([]float64, len(filter))
		for k := range filter {
			t := float64(k-half) - float64(r)/float64(rows)
			if math.Abs(t) < reach {
				values[k] = cutoff * sinc(cutoff*t) * bessel(beta*math.Sqrt(1-t*t/(reach*reach))) / peak
				sum += values[k]
			}
		}
		for k, v := range values {
			filter[k] = float32(v / sum) // a constant stays exactly what it was
		}
		bank[r] = filter
	}
	return bank, half
}

// apply returns the sum of filter times x from start on; x is zero outside its bounds.
func apply(filter, x []float32, start int) float32 {
	if start < 0 {
		filter, start = filter[min(-start, len(filter)):], 0
	}
	if start >= len(x) {
		return 0
	}
	x = x[start:]
	n := min(len(filter), len(x))
	filter, x = filter[:n], x[:n]
	var s0, s1, s2, s3 float32
	for len(x) >= 4 && len(filter) >= 4 {
		s0 += filter[0] * x[0]
		s1 += filter[1] * x[1]
		s2 += filter[2] * x[2]
		s3 += filter[3] * x[3]
		filter, x = filter[4:], x[4:]
	}
	for i, v := range x {
		s0 += filter[i] * v
	}
	return s0 + s1 + s2 + s3
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel returns the modified Bessel function of the first kind and order zero, by its power series.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
