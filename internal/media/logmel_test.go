package media

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// The golden is made by testdata/make_logmel_golden.py.
func TestLogMelMatchesNumPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/logmel.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		PCM      []int16
		Frames   int
		Features []float32
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	samples := make([]float32, len(golden.PCM))
	for i, v := range golden.PCM {
		samples[i] = float32(v) / 32768
	}
	got, frames := LogMel(samples)
	if frames != golden.Frames || len(got) != len(golden.Features) {
		t.Fatalf("%d frames and %d values, want %d and %d", frames, len(got), golden.Frames, len(golden.Features))
	}
	for i, v := range got {
		if math.Abs(float64(v-golden.Features[i])) > 1e-5 {
			t.Fatalf("frame %d band %d: %v, want %v", i/MelBands, i%MelBands, v, golden.Features[i])
		}
	}
}

func TestLogMelFrames(t *testing.T) {
	for _, c := range []struct{ samples, frames int }{{0, 0}, {199, 0}, {200, 1}, {279, 1}, {280, 2}, {MinSoundSamples, 8}, {MaxSoundSeconds * SoundRate, 2998}} {
		features, frames := LogMel(make([]float32, c.samples))
		if frames != c.frames || len(features) != frames*MelBands {
			t.Errorf("%d samples give %d frames and %d values, want %d frames", c.samples, frames, len(features), c.frames)
		}
	}
}

func TestLogMelIgnoresLevel(t *testing.T) {
	loud, quiet := make([]float32, 2000), make([]float32, 2000)
	for i := range loud {
		loud[i] = float32(0.9 * math.Sin(2*math.Pi*440*float64(i)/SoundRate))
		quiet[i] = loud[i] / 64
	}
	a, _ := LogMel(loud)
	b, _ := LogMel(quiet)
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-4 {
			t.Fatalf("value %d: %v when loud, %v when quiet", i, a[i], b[i])
		}
	}
	silent, _ := LogMel(make([]float32, 2000))
	for i, v := range silent {
		if v != -1 {
			t.Fatalf("value %d of silence is %v, want -1", i, v)
		}
	}
}
