package narrative

import (
	"slices"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
)

// StatementOf returns what a sentence states, to learn from: its observations in the order of chexpert.Observations, and
// where it says that they are. Plain says that it claims nothing besides, so that a report may use it where the
// statement holds; ok is false for a sentence that states nothing for certain.
func StatementOf(sentence string) (s analysis.Statement, plain, ok bool) {
	labels := chexpert.Own.Label(sentence)
	for _, o := range chexpert.Observations {
		switch labels[o] {
		case chexpert.Uncertain:
			return s, false, false
		case chexpert.Positive, chexpert.Negative:
			s.Asserts = append(s.Asserts, analysis.Assertion{Observation: o, Present: labels[o] == chexpert.Positive})
		}
	}
	words := Words(sentence)
	right, left := slices.Contains(words, "right"), slices.Contains(words, "left")
	switch {
	case right && !left:
		s.Side = analysis.RightSide
	case left && !right:
		s.Side = analysis.LeftSide
	case right || slices.Contains(words, "bilateral") || slices.Contains(words, "bilaterally") || slices.Contains(words, "both"):
		s.Side = analysis.BothSides
	}
	s.GroundGlass = slices.Contains(words, "glass")
	plain = len(words) <= maxWords
	for _, w := range words {
		plain = plain && Allows(s, w)
	}
	return s, plain, len(s.Asserts) > 0
}

// Allows reports whether a word, in small letters, claims nothing besides what a statement says.
func Allows(s analysis.Statement, word string) bool {
	if neutral[word] || observed[word] || word == "," || word == "-" || word == "." {
		return true
	}
	if where, side := sides[word]; side {
		present := slices.ContainsFunc(s.Asserts, func(a analysis.Assertion) bool { return a.Present })
		return s.Side != "" && (where == s.Side || where == "one" && s.Side != analysis.BothSides) || where == analysis.BothSides && !present // nothing on either side
	}
	return (word == "ground" || word == "glass") && s.GroundGlass
}

// An Example is a sentence in small letters that states Statement and claims nothing else.
type Example struct {
	Text      string
	Statement analysis.Statement
}

// names are how a sentence calls the observations that can take each other's place in it.
var names = []struct{ observation, name string }{
	{chexpert.PleuralEffusion, "pleural effusion"}, {chexpert.PleuralOther, "pleural thickening"}, {chexpert.Edema, "pulmonary edema"},
	{chexpert.Consolidation, "consolidation"}, {chexpert.Pneumonia, "pneumonia"}, {chexpert.Atelectasis, "atelectasis"},
	{chexpert.LungOpacity, "lung opacity"}, {chexpert.Cardiomegaly, "cardiomegaly"},
}

// bound are the words that do not go with every observation.
var bound = set("a an the air airspace ground glass area areas region regions lungs")

// Examples returns what can be learnt from a sentence that a person wrote: what is left when it is shortened, and the
// same about the other observations, where its words allow that.
func Examples(sentence string) []Example {
	short, ok := Shorten(sentence)
	if !ok {
		return nil
	}
	var out []Example
	add := func(text string) {
		if s, plain, ok := StatementOf(text); ok && plain && !slices.ContainsFunc(out, func(e Example) bool { return e.Text == text }) {
			out = append(out, Example{text, s})
		}
	}
	add(short)
	s := out[0].Statement
	for _, n := range names {
		if len(s.Asserts) != 1 || s.Asserts[0].Observation != n.observation || strings.Count(short, n.name) != 1 {
			continue
		}
		for _, other := range names {
			text := strings.Replace(short, n.name, other.name, 1)
			if words := Words(text); slices.ContainsFunc(words, func(w string) bool { return bound[w] || other.observation == chexpert.Cardiomegaly && sides[w] != "" }) {
				continue
			}
			if got, _, ok := StatementOf(text); ok && len(got.Asserts) == 1 && got.Asserts[0] == (analysis.Assertion{Observation: other.observation, Present: s.Asserts[0].Present}) {
				add(text)
			}
		}
	}
	return out
}
