package media

import (
	"fmt"
	"strconv"

	"consilium/internal/analysis"
)

const (
	// SoundRate is the one sample rate of the audio models, in Hz: that of all their training data.
	SoundRate = 8000
	// MaxSoundSeconds is how much of a sound is used; the rest is cut, or refused under strict.
	MaxSoundSeconds = 30
	// MinSoundSamples is what a shorter sound is padded to with silence: one token of eight log-mel frames.
	MinSoundSamples = melWindow + 7*melHop
)

// Sound is a decoded sound: one channel at SoundRate with values in [-1, 1].
type Sound struct {
	Samples []float32
	// Seconds is the length of what was used, without padding.
	Seconds float64
	Notes   []analysis.Note
}

// DecodeWAV decodes a WAV file: channels are mixed down by their mean, values outside [-1, 1] clipped, the rate
// brought to SoundRate, the length cut to MaxSoundSeconds and padded to MinSoundSamples; Notes say which of it
// happened. Errors are those of CheckWAV; InvalidArgument for a sample that is not a number or infinite; TooLarge
// with strict for a sound that would be cut.
func DecodeWAV(b []byte, strict bool) (*Sound, error) {
	h, err := CheckWAV(b)
	if err != nil {
		return nil, err
	}
	sound := &Sound{}
	frames := h.Frames
	if h.Seconds() > MaxSoundSeconds {
		if strict {
			return nil, wavTooLarge("the sound would be cut", secondsOf(MaxSoundSeconds), secondsOf(h.Seconds()))
		}
		frames = MaxSoundSeconds * h.Rate
		sound.note("cut", "the first %d s of %s s are used", MaxSoundSeconds, strconv.FormatFloat(h.Seconds(), 'f', 1, 64))
	}
	sound.Seconds = float64(frames) / float64(h.Rate)
	data := b[h.DataOffset : h.DataOffset+frames*h.FrameBytes()]
	samples, clipped, err := decodeSamples(h, data)
	if err != nil {
		return nil, err
	}
	if clipped > 0 {
		sound.note("converted", "%d samples outside [-1, 1] were clipped", clipped)
	}
	if h.Channels > 1 {
		sound.note("mixed_down", "from %d channels to 1", h.Channels)
	}
	if h.Rate != SoundRate {
		sound.note("resampled", "from %d Hz to %d Hz", h.Rate, SoundRate)
		samples = Resample(samples, h.Rate, SoundRate)
		for i, v := range samples {
			samples[i] = min(max(v, -1), 1) // the filter rings a little past a full-scale edge
		}
	}
	if n := len(samples); n < MinSoundSamples {
		sound.note("padded", "from %d to %d ms with silence", n*1000/SoundRate, MinSoundSamples*1000/SoundRate)
		samples = append(samples, make([]float32, MinSoundSamples-n)...)
	}
	sound.Samples = samples
	return sound, nil
}

func (s *Sound) note(kind, format string, args ...any) {
	s.Notes = append(s.Notes, analysis.Note{Modality: analysis.Audio, Kind: kind, Detail: fmt.Sprintf(format, args...)})
}
