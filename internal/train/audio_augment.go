package train

import (
	"math"
	"math/rand/v2"

	"consilium/internal/media"
)

// augmentSamples bounds a training example; a longer sound gives another crop each time.
const augmentSamples = 16 * media.SoundRate / 10

// augment returns the log-mel frames of a sound as it might have been heard elsewhere, by another device, from another
// speaker: speed and pitch, silence around it, something else in the background, echoes, colour of the channel, noise,
// clipping, then the length of the vocal tract and masks on the spectrogram (SpecAugment,
// https://arxiv.org/abs/1904.08779). background is another sound, nil for none.
func augment(rng *rand.Rand, samples, background []float32) []float32 {
	chance := func(p float64) bool { return rng.Float64() < p }
	uniform := func(low, high float64) float64 { return low + (high-low)*rng.Float64() }

	if n := augmentSamples * 5 / 4; len(samples) > n {
		start := rng.IntN(len(samples) - n + 1)
		samples = samples[start : start+n]
	}
	if chance(0.85) { // multiples of 400 Hz keep the resampler's filter bank small
		samples = media.Resample(samples, 400*(16+rng.IntN(10)), media.SoundRate) // 0.80 to 1.25 times as fast
	}
	x := samples
	if len(x) > augmentSamples {
		start := rng.IntN(len(x) - augmentSamples + 1)
		x = x[start : start+augmentSamples]
	}
	before, after := rng.IntN(media.SoundRate/5), rng.IntN(media.SoundRate*3/10)
	y := make([]float64, before+len(x)+after)
	for i, v := range x {
		y[before+i] = float64(v)
	}
	if background != nil {
		addBackground(rng, y, background, uniform(3, 30))
	}
	if chance(0.3) {
		echo(rng, y)
	}
	if chance(0.5) {
		colour(y, uniform(-0.7, 0.7))
	}
	if chance(0.8) {
		addNoise(rng, y, len(x), uniform(5, 45), uniform(0, 0.95))
	}
	if chance(0.1) {
		cutPeaks(y, uniform(0.2, 0.7))
	}
	out := make([]float32, max(len(y), media.MinSoundSamples))
	for i, v := range y {
		out[i] = float32(v)
	}
	features, frames := media.LogMel(out)
	if chance(0.6) {
		warpBands(features, frames, uniform(0.9, 1.1))
	}
	for range rng.IntN(3) {
		width := 1 + rng.IntN(8)
		hideCells(features, frames, 0, frames, rng.IntN(media.MelBands-width), width)
	}
	if chance(0.5) {
		width := 1 + rng.IntN(1+frames/8)
		hideCells(features, frames, rng.IntN(frames-width+1), width, 0, media.MelBands)
	}
	return features
}

// addBackground adds a crop of another sound, repeated where it is too short, at a ratio in dB below the mean power.
func addBackground(rng *rand.Rand, y []float64, background []float32, db float64) {
	start := rng.IntN(len(background))
	var foreground, behind float64
	for i, v := range y {
		b := float64(background[(start+i)%len(background)])
		foreground, behind = foreground+v*v, behind+b*b
	}
	if behind == 0 {
		return
	}
	scale := math.Sqrt(foreground / behind * math.Pow(10, -db/10))
	for i := range y {
		y[i] += scale * float64(background[(start+i)%len(background)])
	}
}

// echo adds a few reflections within 60 ms.
func echo(rng *rand.Rand, y []float64) {
	dry := append([]float64(nil), y...)
	for range 1 + rng.IntN(4) {
		delay, gain := 20+rng.IntN(460), 0.1+0.35*rng.Float64()
		if rng.IntN(2) == 0 {
			gain = -gain
		}
		for i := delay; i < len(y); i++ {
			y[i] += gain * dry[i-delay]
		}
	}
}

// colour tilts the spectrum with one zero: c > 0 lifts the treble, c < 0 the bass.
func colour(y []float64, c float64) {
	for i := len(y) - 1; i > 0; i-- {
		y[i] -= c * y[i-1]
	}
}

// addNoise adds Gaussian noise, low-passed by a pole, at a ratio in dB below the mean power of a sound of n samples.
func addNoise(rng *rand.Rand, y []float64, n int, db, pole float64) {
	var power, last float64
	for _, v := range y {
		power += v * v
	}
	scale := math.Sqrt(power / float64(n) * math.Pow(10, -db/10) * (1 - pole*pole))
	for i := range y {
		last = pole*last + rng.NormFloat64()
		y[i] += scale * last
	}
}

// cutPeaks clips at a share of the highest peak.
func cutPeaks(y []float64, share float64) {
	var peak float64
	for _, v := range y {
		peak = math.Max(peak, math.Abs(v))
	}
	for i, v := range y {
		y[i] = math.Max(-share*peak, math.Min(share*peak, v))
	}
}

// warpBands stretches the mel axis, as a vocal tract of another length does.
func warpBands(features []float32, frames int, factor float64) {
	row := make([]float32, media.MelBands)
	for f := range frames {
		frame := features[f*media.MelBands : (f+1)*media.MelBands]
		copy(row, frame)
		for b := range frame {
			at := math.Min(float64(b)*factor, media.MelBands-1)
			i := min(int(at), media.MelBands-2)
			w := float32(at - float64(i))
			frame[b] = (1-w)*row[i] + w*row[i+1]
		}
	}
}

// hideCells silences a rectangle of the spectrogram: n frames from first on, m bands from low on.
func hideCells(features []float32, frames, first, n, low, m int) {
	for f := first; f < min(first+n, frames); f++ {
		for b := low; b < low+m; b++ {
			features[f*media.MelBands+b] = -1
		}
	}
}
