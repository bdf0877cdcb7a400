package media

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// encode stores values, interleaved by channel, in one of the encodings by an encoder of the test's own.
func encode(tag, bits uint16, values []float64) []byte {
	var b []byte
	for _, v := range values {
		switch {
		case tag == 3 && bits == 32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
		case tag == 3:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		case bits == 8:
			b = append(b, byte(math.Round(v*127)+128))
		default:
			n := int32(math.Round(v * float64(int64(1)<<(bits-1)-1)))
			b = append(b, le(n)[:bits/8]...)
		}
	}
	return b
}

// Every encoding must give back the same sound, within its own precision.
func TestDecodeWAVEncodings(t *testing.T) {
	values := make([]float64, 1601)
	for i := range values {
		values[i] = 0.8 * math.Sin(2*math.Pi*440*float64(i)/SoundRate) * float64(i) / 1600
	}
	for _, c := range []struct {
		name      string
		tag, bits uint16
		tolerance float64
	}{
		{"pcm 8", 1, 8, 1.0 / 100}, {"pcm 16", 1, 16, 1e-4}, {"pcm 24", 1, 24, 1e-6}, {"pcm 32", 1, 32, 1e-6},
		{"float 32", 3, 32, 1e-6}, {"float 64", 3, 64, 1e-6},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := DecodeWAV(wavFile{tag: c.tag, channels: 1, bits: c.bits, rate: 8000, data: encode(c.tag, c.bits, values)}.bytes(), true)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Samples) != len(values) || len(s.Notes) != 0 || s.Seconds != 1601.0/8000 {
				t.Fatalf("%d samples, %v s, notes %v", len(s.Samples), s.Seconds, s.Notes)
			}
			for i, want := range values {
				if math.Abs(float64(s.Samples[i])-want) > c.tolerance {
					t.Fatalf("sample %d is %v, want %v", i, s.Samples[i], want)
				}
			}
		})
	}
}

// The golden is made by testdata/make_g711_golden.py.
func TestDecodeWAVG711(t *testing.T) {
	raw, err := os.ReadFile("testdata/g711.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][]int16
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	codes := make([]byte, 1024) // every code, four times, so that nothing is padded
	for i := range codes {
		codes[i] = byte(i)
	}
	for name, tag := range map[string]uint16{"mulaw": 7, "alaw": 6} {
		s, err := DecodeWAV(wavFile{tag: tag, channels: 1, bits: 8, rate: 8000, data: codes}.bytes(), true)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range s.Samples {
			if want := float32(golden[name][i%256]) / 32768; v != want {
				t.Errorf("%s code %#x is %v, want %v", name, i%256, v, want)
			}
		}
	}
}

func TestDecodeWAVNotes(t *testing.T) {
	long := make([]byte, 2*31*8000)
	for _, c := range []struct {
		name    string
		file    wavFile
		kinds   string
		samples int
		seconds float64
	}{
		{"as it is", wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: make([]byte, 16000)}, "", 8000, 1},
		{"exactly 30 s", wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: long[:2*30*8000]}, "", 240000, 30},
		{"31 s", wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: long}, "cut", 240000, 30},
		{"stereo at 16 kHz", wavFile{tag: 1, channels: 2, bits: 16, rate: 16000, data: make([]byte, 64000)}, "mixed_down resampled", 8000, 1},
		{"one sample", wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: make([]byte, 2)}, "padded", MinSoundSamples, 1.0 / 8000},
		{"8 bit, odd length", wavFile{tag: 1, channels: 1, bits: 8, rate: 8000, data: make([]byte, 801)}, "", 801, 801.0 / 8000},
		{"loud float", wavFile{tag: 3, channels: 1, bits: 32, rate: 8000, data: encode(3, 32, append(make([]float64, 800), 1e30, -2))}, "converted", 802, 802.0 / 8000},
		{"192 kHz, 8 channels", wavFile{tag: 1, channels: 8, bits: 32, rate: 192000, data: make([]byte, 32*19200)}, "mixed_down resampled", 800, 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := DecodeWAV(c.file.bytes(), false)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for _, n := range s.Notes {
				kinds = append(kinds, n.Kind)
				if n.Modality != analysis.Audio || n.Detail == "" {
					t.Errorf("note %+v", n)
				}
			}
			if strings.Join(kinds, " ") != c.kinds || len(s.Samples) != c.samples || s.Seconds != c.seconds {
				t.Errorf("notes %v, %d samples, %v s; want %q, %d, %v", s.Notes, len(s.Samples), s.Seconds, c.kinds, c.samples, c.seconds)
			}
			for i, v := range s.Samples {
				if !(v >= -1 && v <= 1) {
					t.Fatalf("sample %d is %v", i, v)
				}
			}
		})
	}
}

func TestDecodeWAVMixesDown(t *testing.T) {
	data := make([]byte, 0, 4*800)
	for range 800 {
		data = append(data, le(int16(16384), int16(-8192))...)
	}
	s, err := DecodeWAV(wavFile{tag: 1, channels: 2, bits: 16, rate: 8000, data: data}.bytes(), false)
	if err != nil || len(s.Samples) != 800 || s.Samples[0] != 0.125 || s.Samples[799] != 0.125 {
		t.Fatalf("got %v, %v", s, err)
	}
}

func TestDecodeWAVRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		file   wavFile
		strict bool
		code   analysis.Code
		want   string
	}{
		{"NaN", wavFile{tag: 3, channels: 1, bits: 32, rate: 8000, data: encode(3, 32, []float64{0, math.NaN()})}, false, analysis.InvalidArgument, "frame 1"},
		{"infinity", wavFile{tag: 3, channels: 1, bits: 64, rate: 8000, data: encode(3, 64, []float64{math.Inf(-1)})}, false, analysis.InvalidArgument, "-Inf"},
		{"31 s under strict", wavFile{tag: 1, channels: 1, bits: 8, rate: 8000, data: make([]byte, 31*8000)}, true, analysis.TooLarge, "limit 30 s, found 31 s"},
		{"cut off", wavFile{tag: 1, channels: 0, bits: 8, rate: 8000, data: make([]byte, 8)}, false, analysis.InvalidArgument, "channels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := DecodeWAV(c.file.bytes(), c.strict)
			var e *analysis.Error
			if s != nil || !errors.As(err, &e) || e.Code != c.code || e.Field != "audio" || !strings.Contains(e.Error(), c.want) {
				t.Fatalf("got %v, want %s with %q", err, c.code, c.want)
			}
		})
	}
}

func FuzzDecodeWAV(f *testing.F) {
	for _, w := range []wavFile{
		{tag: 1, channels: 2, bits: 16, rate: 44100, data: make([]byte, 64)},
		{tag: 3, channels: 1, bits: 32, rate: 8000, data: make([]byte, 64)},
		{tag: 7, channels: 1, bits: 8, rate: 1000, data: make([]byte, 9)},
	} {
		f.Add(w.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeWAV(b, false)
		if err != nil {
			if analysis.CodeOf(err) == analysis.Internal {
				t.Fatal(err)
			}
			return
		}
		if len(s.Samples) < MinSoundSamples || len(s.Samples) > MaxSoundSeconds*SoundRate {
			t.Fatalf("%d samples", len(s.Samples))
		}
	})
}
