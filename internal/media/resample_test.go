package media

import (
	"fmt"
	"math"
	"testing"
)

func sine(hz float64, rate, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(2 * math.Pi * hz * float64(i) / float64(rate)))
	}
	return x
}

// decibels returns the power of x, away from its ends, relative to a full-scale sine.
func decibels(x []float32) float64 {
	x = x[len(x)/4 : 3*len(x)/4]
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return 10 * math.Log10(2*sum/float64(len(x))+1e-30)
}

// A sine below the pass band's edge comes out as the same sine, sample by sample.
func TestResampleKeepsSines(t *testing.T) {
	for _, rate := range []int{1000, 4000, 7999, 11025, 16000, 22050, 44100, 47999, 48000, 96000, 191999, 192000} {
		for _, share := range []float64{0.01, 0.3, 0.88} {
			hz := share * float64(min(rate, 8000)) / 2
			t.Run(fmt.Sprintf("%d Hz of %.0f", rate, hz), func(t *testing.T) {
				got := Resample(sine(hz, rate, rate), rate, 8000)
				want := sine(hz, 8000, 8000)
				if len(got) != len(want) {
					t.Fatalf("%d samples, want %d", len(got), len(want))
				}
				worst := 0.0
				for i := 2000; i < 6000; i++ {
					worst = math.Max(worst, math.Abs(float64(got[i]-want[i])))
				}
				if worst > 0.0115 { // 0.1 dB
					t.Errorf("largest difference %.5f", worst)
				}
			})
		}
	}
}

// A sine that 8 kHz cannot hold must vanish instead of coming back as another one.
func TestResampleAttenuatesAliases(t *testing.T) {
	for _, rate := range []int{11025, 16000, 44100, 47999, 48000, 96000, 192000} {
		for _, share := range []float64{0.001, 0.1, 0.5, 0.95} {
			hz := 4000 + share*float64(rate/2-4000)
			if db := decibels(Resample(sine(hz, rate, rate), rate, 8000)); db > -75 {
				t.Errorf("%.0f Hz at %d Hz comes back at %.1f dB, want at most -75", hz, rate, db)
			}
		}
	}
}

// Resampling up must not leave an image of the sine above the old Nyquist frequency.
func TestResampleAttenuatesImages(t *testing.T) {
	got := Resample(sine(300, 1000, 1000), 1000, 8000)
	for i, want := range sine(300, 8000, 8000) {
		if i > 2000 && i < 6000 {
			got[i] -= want
		}
	}
	if db := decibels(got); db > -70 {
		t.Errorf("what is not the sine has %.1f dB, want at most -70", db)
	}
}

func TestResampleLengths(t *testing.T) {
	for _, c := range []struct{ n, from, want int }{{0, 44100, 0}, {1, 192000, 1}, {1, 1000, 8}, {44100, 44100, 8000}, {3, 8000, 3}} {
		if got := len(Resample(make([]float32, c.n), c.from, 8000)); got != c.want {
			t.Errorf("%d samples at %d Hz give %d, want %d", c.n, c.from, got, c.want)
		}
	}
	for _, v := range Resample([]float32{1, 1, 1}, 1000, 8000) {
		if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 1.5 {
			t.Errorf("short input gives %v", v)
		}
	}
}

func BenchmarkResample192k(b *testing.B) {
	x := sine(440, 192000, 30*192000)
	for b.Loop() {
		Resample(x, 192000, 8000)
	}
}
