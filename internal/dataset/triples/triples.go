// Package triples makes the audio-visual-text digits: a handwritten, a spoken and a written digit, whole or corrupted.
package triples

import (
	"fmt"
	"math/rand/v2"
)

// Words are the digits as words.
var Words = [10]string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

// The parts of a triple, in the order of analysis.Modalities.
const (
	Text = iota
	Image
	Audio
	Parts
)

// Triple is one digit three times: as the note of a study, as its picture and as its sound.
type Triple struct {
	Word    string
	Picture Picture
	Sound   Recording
	Digit   int
	// Corrupted says which parts do not show the digit as it is.
	Corrupted [Parts]bool
}

// Make returns perRecording triples for each recording, each with a picture of the same digit drawn at random.
func Make(rng *rand.Rand, pictures []Picture, recordings []Recording, perRecording int) ([]Triple, error) {
	var byDigit [10][]Picture
	for _, p := range pictures {
		byDigit[p.Digit] = append(byDigit[p.Digit], p)
	}
	var made []Triple
	for _, r := range recordings {
		if len(byDigit[r.Digit]) == 0 {
			return nil, fmt.Errorf("make triples: no picture shows a %d", r.Digit)
		}
		for range perRecording {
			p := byDigit[r.Digit][rng.IntN(len(byDigit[r.Digit]))]
			made = append(made, Triple{Word: Words[r.Digit], Picture: p, Sound: r, Digit: r.Digit})
		}
	}
	return made, nil
}

// Corrupt returns the triple with two of its parts, chosen at random, corrupted, each in a way chosen at random.
func (t Triple) Corrupt(rng *rand.Rand, strength int) Triple {
	if strength == 0 {
		return t
	}
	clean := rng.IntN(Parts)
	for part := range Parts {
		kind := Kind(rng.IntN(int(Kinds)))
		if part == clean {
			continue
		}
		t.Corrupted[part] = true
		switch part {
		case Text:
			t.Word = CorruptWord(rng, t.Word, kind, strength)
		case Image:
			t.Picture = t.Picture.Corrupt(rng, kind, strength)
		case Audio:
			t.Sound = t.Sound.Corrupt(rng, kind, strength)
		}
	}
	return t
}

// Mislead returns the triple with n of its parts, chosen at random, taken from others, triples of other digits: whole
// content that is wrong. Two wrong parts come from two triples that need not agree.
func (t Triple) Mislead(rng *rand.Rand, others []Triple, n int) Triple {
	for _, part := range rng.Perm(Parts)[:n] {
		other := others[rng.IntN(len(others))]
		for other.Digit == t.Digit {
			other = others[rng.IntN(len(others))]
		}
		t.Corrupted[part] = true
		switch part {
		case Text:
			t.Word = other.Word
		case Image:
			t.Picture = other.Picture
		case Audio:
			t.Sound = other.Sound
		}
	}
	return t
}

// Split returns what of the pictures or recordings belongs to a split.
func Split[E any](all []E, split string, of func(E) string) []E {
	var out []E
	for _, e := range all {
		if of(e) == split {
			out = append(out, e)
		}
	}
	return out
}
