package bench

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"consilium/internal/media"
)

// sounds of the group, in seconds.
const timedSound = 30

// tone is a WAV file of a rising tone in noise.
func tone(seconds float64) []byte {
	const rate = media.SoundRate
	rng := rand.New(rand.NewPCG(1, 0))
	n := int(seconds * rate)
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+2*n))
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...) // PCM, one channel
	b = le.AppendUint32(le.AppendUint32(b, rate), 2*rate)
	b = append(b, "\x02\x00\x10\x00data"...)
	b = le.AppendUint32(b, uint32(2*n))
	for i := range n {
		t := float64(i) / rate
		b = le.AppendUint16(b, uint16(int16(9000*math.Sin(2*math.Pi*(200+40*t)*t)+500*rng.NormFloat64())))
	}
	return b
}

// audio times a sound of 30 seconds from the file to its vectors, and the net alone on the whole sound and on one second
// after the other.
func (b *bench) audio(ctx context.Context) error {
	wav := tone(timedSound)
	c := &Case{Name: "audio-realtime", About: "a WAV file of 30 s to vectors on one thread", Items: 1}
	rows, others, err := b.measure(ctx, c, []entrant{single("consilium", func(ctx context.Context) ([][]float32, error) {
		features, err := b.Audio.EncodeAudio(ctx, [][]byte{wav}, false)
		if err != nil {
			return nil, err
		}
		return vectors(features), nil
	})})
	if err != nil {
		return err
	}
	times, best := timedSound*rows[0].Median, timedSound*rows[0].Best
	b.add(Figure{Name: c.Name, Metric: "times-real-time", Value: &times, Best: &best, About: c.About, Others: others})

	samples := make([]float32, timedSound*media.SoundRate)
	rng := rand.New(rand.NewPCG(2, 0))
	for i := range samples {
		samples[i] = float32(rng.NormFloat64() / 8)
	}
	frames, n := media.LogMel(samples)
	net := func(piece int) func(context.Context) ([][]float32, error) {
		return func(context.Context) ([][]float32, error) { return [][]float32{b.Sound(frames, piece)}, nil }
	}
	c = &Case{Name: "audio-streaming-ratio", About: "the net on 30 s of frames: the time of one second after the other to that of all at once", Items: 1}
	rows, others, err = b.measure(ctx, c, []entrant{single("all at once", net(n)), single("second by second", net(media.FramesPerSecond))})
	if err != nil {
		return err
	}
	b.add(slower(c, rows[1], rows[0], others))
	return nil
}

// single is a contender of this process whose cases are all the same.
func single(name string, work func(context.Context) ([][]float32, error)) entrant {
	return entrant{class: FP32, ours: true, Contender: &own{name: name, begin: func(*Case) func(context.Context) ([][]float32, error) { return work }}}
}

// slower is the figure of how many times as long one row takes as another.
func slower(c *Case, slow, fast Row, others float64) Figure {
	value, best := fast.Median/slow.Median, fast.Best/slow.Best
	return Figure{Name: c.Name, Metric: "ratio", Value: &value, Best: &best, About: c.About, Others: others, Rows: []Row{slow, fast}}
}

// since returns the seconds that have gone by.
func since(start time.Time) float64 { return time.Since(start).Seconds() }
