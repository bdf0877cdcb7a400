package triples

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// Strengths is how strong a corruption can be, 1 to Strengths; 0 is none.
const Strengths = 5

// Kind is how content is corrupted.
type Kind int

const (
	// Noise replaces each letter by another with probability 0.16 a strength; adds to each cell of a picture a
	// Gaussian of 0.2 of the full ink a strength; adds white noise to a sound, 15 dB below its power at strength 1
	// and 6 dB more for every further one.
	Noise Kind = iota
	// Blank takes away a fifth a strength, until nothing is left: so many of the letters, of the contrast of the
	// picture against an even grey, of the sound's moments of 20 ms.
	Blank
	// Cut takes away 0.16 a strength in one piece, from the beginning or the end: of the letters, of the picture's
	// columns or rows, which are covered in grey, of the sound. At least one letter stays.
	Cut
	Kinds
)

// grey is the ink of a blank picture.
const grey = 0.5

// CorruptWord corrupts a word.
func CorruptWord(rng *rand.Rand, word string, kind Kind, strength int) string {
	letters := []byte(word)
	switch kind {
	case Noise:
		for i := range letters {
			if rng.Float64() < 0.16*float64(strength) {
				letters[i] = 'a' + (letters[i]-'a'+byte(1+rng.IntN(25)))%26
			}
		}
	case Blank:
		for _, i := range some(rng, len(letters), strength) {
			letters[i] = ' '
		}
	case Cut:
		keep := max(1, int(math.Round(float64(len(letters))*kept(strength))))
		start := endOf(rng, len(letters)-keep)
		letters = letters[start : start+keep]
	}
	return strings.TrimSpace(string(letters))
}

// Corrupt returns the picture corrupted.
func (p Picture) Corrupt(rng *rand.Rand, kind Kind, strength int) Picture {
	s := float64(strength)
	switch kind {
	case Noise:
		for i, v := range p.Ink {
			p.Ink[i] = min(max(v+0.2*s*rng.NormFloat64(), 0), 1)
		}
	case Blank:
		for i, v := range p.Ink {
			p.Ink[i] = v + (grey-v)*s/Strengths
		}
	case Cut:
		gone := int(math.Round(side * (1 - kept(strength))))
		start, columns := endOf(rng, side-gone), rng.IntN(2) == 0
		for i := range p.Ink {
			at := i / side
			if columns {
				at = i % side
			}
			if at >= start && at < start+gone {
				p.Ink[i] = grey
			}
		}
	}
	return p
}

// Vary returns the picture as it might have been written otherwise: turned by up to 12 degrees, up to a sixth larger or
// smaller, shifted by up to three quarters of a cell.
func (p Picture) Vary(rng *rand.Rand) Picture {
	within := func(limit float64) float64 { return limit * (2*rng.Float64() - 1) }
	p.pose = pose{angle: within(12 * math.Pi / 180), zoom: within(math.Log(7.0 / 6)), right: within(0.75), down: within(0.75)}
	return p
}

// Corrupt returns the recording corrupted.
func (r Recording) Corrupt(rng *rand.Rand, kind Kind, strength int) Recording {
	switch kind {
	case Noise:
		power := 0.0
		for _, v := range r.Samples {
			power += float64(v) * float64(v) / float64(len(r.Samples))
		}
		decibels := 21 - 6*float64(strength)
		sigma := math.Sqrt(power * math.Pow(10, -decibels/10))
		noisy, peak := make([]float64, len(r.Samples)), 1.0
		for i, v := range r.Samples {
			noisy[i] = float64(v) + sigma*rng.NormFloat64()
			peak = max(peak, math.Abs(noisy[i]))
		}
		r.Samples = make([]float32, len(noisy))
		for i, v := range noisy {
			r.Samples[i] = float32(v / peak) // quieter rather than clipped
		}
	case Blank:
		const moment = 160 // 20 ms
		r.Samples = slices.Clone(r.Samples)
		for _, m := range some(rng, (len(r.Samples)+moment-1)/moment, strength) {
			clear(r.Samples[m*moment : min((m+1)*moment, len(r.Samples))])
		}
	case Cut:
		keep := max(1, int(float64(len(r.Samples))*kept(strength)))
		start := endOf(rng, len(r.Samples)-keep)
		r.Samples = r.Samples[start : start+keep]
	}
	return r
}

// kept is the share that a cut leaves.
func kept(strength int) float64 { return 1 - 0.16*float64(strength) }

// some returns, out of n indexes, the share that Blank takes away.
func some(rng *rand.Rand, n, strength int) []int {
	return rng.Perm(n)[:int(math.Round(float64(n*strength)/Strengths))]
}

// endOf returns one of the ends 0 and n, at random.
func endOf(rng *rand.Rand, n int) int { return n * rng.IntN(2) }
