package media

import (
	"math"
	"sync"
)

const (
	// MelBands is the number of values in a log-mel frame.
	MelBands = 64
	// FramesPerSecond is the rate of log-mel frames.
	FramesPerSecond = SoundRate / melHop

	melWindow = SoundRate * 25 / 1000 // samples, 25 ms
	melHop    = SoundRate * 10 / 1000 // samples, 10 ms
	// melFFT is longer than the window so that even the narrowest, lowest band holds two bins of 15.6 Hz.
	melFFT      = 512
	melLow      = 60.0          // Hz
	melHigh     = SoundRate / 2 // Hz
	melRange    = 6.0           // decades of power below the sound's peak that are kept
	silentPower = 1e-10         // at or under which a sound counts as silent
)

// LogMel returns the log-mel spectrogram of a sound at SoundRate, row-major (frames, MelBands): periodic Hann windows
// of 25 ms every 10 ms, without padding, power spectrum, triangular filters even on the mel scale
// 2595 log10(1 + f/700) from 60 to 4,000 Hz, log10.
//
// Values are normalised by the utterance's own peak alone: 1 is the loudest cell, -1 is 60 dB below it or less. So
// the level does not matter, how much silence surrounds the sound does not matter, and the shape of a stationary
// sound survives, which a mean over time would take away. A silent sound is -1 throughout. There are
// 1 + (len(samples) - 200) / 80 frames, none for fewer than 200 samples.
func LogMel(samples []float32) (features []float32, frames int) {
	if len(samples) < melWindow {
		return nil, 0
	}
	frames = 1 + (len(samples)-melWindow)/melHop
	features = make([]float32, 0, frames*MelBands)
	filters, window := melFilters(), hann()
	fft := newSpectrum()
	var in [melFFT]float64 // zero past the window
	var power [melFFT/2 + 1]float64
	silence := math.Log10(silentPower)
	peak := silence
	for f := range frames {
		for i, v := range samples[f*melHop : f*melHop+melWindow] {
			in[i] = float64(v) * window[i]
		}
		fft.power(&in, &power)
		for _, filter := range filters {
			sum := 0.0
			for i, w := range filter.weights {
				sum += w * power[filter.first+i]
			}
			v := math.Log10(math.Max(sum, silentPower))
			peak = math.Max(peak, v)
			features = append(features, float32(v))
		}
	}
	for i, v := range features {
		features[i] = float32(math.Max(1+2*(float64(v)-peak)/melRange, -1))
		if peak == silence {
			features[i] = -1
		}
	}
	return features, frames
}

// melFilter is one triangle over the power spectrum.
type melFilter struct {
	first   int
	weights []float64
}

var melFilters = sync.OnceValue(func() []melFilter {
	mel := func(hz float64) float64 { return 2595 * math.Log10(1+hz/700) }
	hz := func(mel float64) float64 { return 700 * (math.Pow(10, mel/2595) - 1) }
	edge := func(i int) float64 { return hz(mel(melLow) + float64(i)*(mel(melHigh)-mel(melLow))/(MelBands+1)) }
	filters := make([]melFilter, MelBands)
	for b := range filters {
		left, center, right := edge(b), edge(b+1), edge(b+2)
		for i := 0; i <= melFFT/2; i++ {
			f := float64(i) * SoundRate / melFFT
			w := math.Min((f-left)/(center-left), (right-f)/(right-center))
			if w <= 0 {
				continue
			}
			if filters[b].weights == nil {
				filters[b].first = i
			}
			filters[b].weights = append(filters[b].weights, w)
		}
	}
	return filters
})

var hann = sync.OnceValue(func() []float64 {
	window := make([]float64, melWindow)
	for i := range window {
		window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/melWindow)
	}
	return window
})
