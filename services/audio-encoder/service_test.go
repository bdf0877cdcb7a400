package audioencoder

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/media"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

func newService(t *testing.T) *Service {
	t.Helper()
	s, err := New(Config{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// wav returns a 16-bit WAV file of one channel.
func wav(rate int, samples []float32) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+2*len(samples)))
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...) // PCM, one channel
	b = le.AppendUint32(le.AppendUint32(b, uint32(rate)), uint32(2*rate))
	b = append(b, "\x02\x00\x10\x00data"...)
	b = le.AppendUint32(b, uint32(2*len(samples)))
	for _, v := range samples {
		b = le.AppendUint16(b, uint16(int16(math.Round(float64(v)*32767))))
	}
	return b
}

// tone is seconds of two sines that beat, different for each seed.
func tone(seed, rate int, seconds float64) []float32 {
	x := make([]float32, int(seconds*float64(rate)))
	for i := range x {
		t := float64(i) / float64(rate)
		x[i] = float32(0.3*math.Sin(2*math.Pi*(150+37*float64(seed))*t) + 0.3*math.Sin(2*math.Pi*(900+71*float64(seed))*t*t/seconds))
	}
	return x
}

func TestProbeMatchesPyTorch(t *testing.T) {
	s := newService(t)
	if err := s.Probe(context.Background()); err != nil {
		t.Error(err)
	}
	golden, _, err := tensor.DecodeSafetensors(probe)
	if err != nil {
		t.Fatal(err)
	}
	features, frames := media.LogMel(probeSamples())
	got, err := s.forward(context.Background(), []spectrogram{{features, frames}})
	if err != nil {
		t.Fatal(err)
	}
	// Both sides compute in float32 on spectrograms that agree to 1e-5.
	for name, pair := range map[string][2][]float32{"vector": {got[0].vector, golden["vector"].Values}, "tokens": {got[0].tokens, golden["tokens"].Values}} {
		if len(pair[0]) != len(pair[1]) {
			t.Fatalf("%s: %d values, want %d", name, len(pair[0]), len(pair[1]))
		}
		for i, v := range pair[0] {
			if math.Abs(float64(v-pair[1][i])) > 1e-3 {
				t.Fatalf("%s: value %d is %v, want %v", name, i, v, pair[1][i])
			}
		}
	}
	s.probe = make([]float32, VectorDim)
	if err := s.Probe(context.Background()); err == nil {
		t.Error("a wrong vector passes the probe")
	}
}

func TestEncodeAudio(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		name    string
		wav     []byte
		tokens  int
		seconds float64
		kinds   string
	}{
		{"one second", wav(8000, tone(1, 8000, 1)), 13, 1, ""}, // 98 frames
		{"one sample", wav(8000, []float32{0.5}), 1, 1.0 / 8000, "padded"},
		{"silence", wav(8000, make([]float32, 4000)), 6, 0.5, ""},
		{"44.1 kHz", wav(44100, tone(1, 44100, 1)), 13, 1, "resampled"},
		{"31 s", wav(8000, tone(1, 8000, 31)), 375, 30, "cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.EncodeAudio(context.Background(), [][]byte{c.wav}, false)
			if err != nil {
				t.Fatal(err)
			}
			f := got[0]
			if err := f.Check(); err != nil {
				t.Error(err)
			}
			var kinds []string
			for _, n := range f.Notes {
				kinds = append(kinds, n.Kind)
			}
			if f.Modality != analysis.Audio || f.TokenCount != c.tokens || f.TokenDim != TokenDim || len(f.Vector) != VectorDim ||
				math.Abs(f.Seconds-c.seconds) > 1e-9 || strings.Join(kinds, " ") != c.kinds || f.Model != s.Digest() {
				t.Errorf("got %d tokens of %d, a vector of %d, %v s, notes %v", f.TokenCount, f.TokenDim, len(f.Vector), f.Seconds, f.Notes)
			}
		})
	}
}

// A sound means the same at another sample rate.
func TestRateDoesNotMatter(t *testing.T) {
	s := newService(t)
	low, high := tone(3, 8000, 1), tone(3, 48000, 1)
	f, err := s.EncodeAudio(context.Background(), [][]byte{wav(8000, low), wav(48000, high), wav(8000, tone(9, 8000, 1))}, true)
	if err != nil {
		t.Fatal(err)
	}
	same, other := tensor.Cosine(f[0].Vector, f[1].Vector), tensor.Cosine(f[0].Vector, f[2].Vector)
	if same < 0.99 || other > same {
		t.Errorf("cosine %v to itself at 48 kHz, %v to another sound", same, other)
	}
}

// What a sound is encoded with, in one call or from many at once, must not change its features.
func TestBatchEqualsSingle(t *testing.T) {
	s := newService(t)
	ctx := context.Background()
	var sounds [][]byte
	var alone []*analysis.Features
	for i, seconds := range []float64{0.1, 0.3, 0.5, 0.51, 1, 3, 12} {
		sounds = append(sounds, wav(8000, tone(i, 8000, seconds)))
		f, err := s.EncodeAudio(ctx, sounds[i:], true)
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, f[0])
	}
	check := func(got []*analysis.Features) {
		for i, f := range got {
			if f.TokenCount != alone[i].TokenCount {
				t.Errorf("sound %d has %d tokens in a batch, %d alone", i, f.TokenCount, alone[i].TokenCount)
				continue
			}
			for name, pair := range map[string][2][]float32{"vector": {f.Vector, alone[i].Vector}, "tokens": {f.Tokens, alone[i].Tokens}} {
				for j, v := range pair[0] {
					if math.Abs(float64(v-pair[1][j])) > 1e-4 {
						t.Errorf("%s of sound %d: value %d is %v in a batch, %v alone", name, i, j, v, pair[1][j])
						break
					}
				}
			}
		}
	}
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			got, err := s.EncodeAudio(ctx, sounds, true)
			if err != nil {
				t.Error(err)
				return
			}
			check(got)
		})
	}
	calls.Wait()
}

func TestEncodeAudioRefuses(t *testing.T) {
	s := newService(t)
	good, long := wav(8000, tone(1, 8000, 0.5)), wav(8000, make([]float32, 31*8000))
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		sounds [][]byte
		strict bool
		code   analysis.Code
		field  string
	}{
		{"empty", context.Background(), [][]byte{{}}, false, analysis.InvalidArgument, "audio"},
		{"mp3", context.Background(), [][]byte{[]byte("ID3\x03\x00\x00")}, false, analysis.UnsupportedMedia, "audio"},
		{"truncated, the second of two", context.Background(), [][]byte{good, good[:100]}, false, analysis.InvalidArgument, "audio[1]"},
		{"too long under strict", context.Background(), [][]byte{long}, true, analysis.TooLarge, "audio"},
		{"too many", context.Background(), make([][]byte, MaxSounds+1), false, analysis.TooLarge, "audio"},
		{"nobody waits", canceled, [][]byte{good}, false, analysis.Canceled, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := s.EncodeAudio(c.ctx, c.sounds, c.strict)
			var e *analysis.Error
			errors.As(err, &e)
			if f != nil || analysis.CodeOf(err) != c.code || (e != nil && e.Field != c.field) {
				t.Errorf("got %v (code %s), want %s about %q", err, analysis.CodeOf(err), c.code, c.field)
			}
		})
	}
	if f, err := s.EncodeAudio(context.Background(), nil, false); err != nil || len(f) != 0 {
		t.Errorf("no sounds give %v, %v", f, err)
	}
}

func TestClosedServiceIsUnavailable(t *testing.T) {
	s := newService(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.EncodeAudio(context.Background(), [][]byte{wav(8000, tone(1, 8000, 0.5))}, false); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := s.Probe(context.Background()); err == nil {
		t.Error("a closed service passes its probe")
	}
}

func TestNewNamesAWrongDevice(t *testing.T) {
	if _, err := New(Config{Device: "gpu"}); err == nil || !strings.Contains(err.Error(), `"gpu"`) {
		t.Errorf("got %v", err)
	}
}

// Recordings over a chain that no training data came from: what the platform has without a data folder.
func TestEncodesAsteriskDigits(t *testing.T) {
	folder, err := weights.Path("asterisk-digits")
	if err != nil {
		t.Skip(err)
	}
	s := newService(t)
	var sounds [][]byte
	for digit := range 10 {
		b, err := os.ReadFile(filepath.Join(folder, strconv.Itoa(digit)+".wav"))
		if err != nil {
			t.Fatal(err)
		}
		sounds = append(sounds, b)
	}
	features, err := s.EncodeAudio(context.Background(), sounds, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range features {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
		if f.TokenCount < 5 || len(f.Notes) != 0 {
			t.Errorf("digit %d: %d tokens, notes %v", i, f.TokenCount, f.Notes)
		}
	}
}
