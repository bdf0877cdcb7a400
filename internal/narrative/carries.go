package narrative

import (
	"fmt"
	"regexp"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
)

// maxWords bounds a sentence.
const maxWords = 40

var word = regexp.MustCompile(`[\p{L}\p{N}{}_%]+|[^\s\p{L}\p{N}]`)

// Words divides a sentence into small words and marks.
func Words(sentence string) []string { return word.FindAllString(strings.ToLower(sentence), -1) }

// Carries returns an error that says why a sentence must not stand for a statement: it does not state what it is to
// state; it states what the facts contradict or do not carry; or it has a word that claims something else, such as a
// place, an extent, a cause, a device, a number or a change.
func (f *Facts) Carries(s analysis.Statement, sentence string) error {
	labels := chexpert.Own.Label(sentence)
	for _, a := range s.Asserts {
		want := chexpert.Negative
		if a.Present {
			want = chexpert.Positive
		}
		if labels[a.Observation] != want {
			return fmt.Errorf("%s is %s in it, want %s", a.Observation, labels[a.Observation], want)
		}
	}
	for o, class := range labels {
		if class == chexpert.Uncertain || !f.allows(o, class) {
			return fmt.Errorf("that %s is %s is nothing that was judged", o, class)
		}
	}
	return claims(s, Words(sentence))
}

// claims checks the words of a sentence.
func claims(s analysis.Statement, words []string) error {
	if len(words) > maxWords {
		return fmt.Errorf("it has %d words and marks, at most %d are taken", len(words), maxWords)
	}
	if err := agrees(words); err != nil {
		return err
	}
	pairs := map[string]bool{}
	for i, w := range words {
		if i > 0 {
			pair := words[i-1] + " " + w
			if pairs[pair] || words[i-1] == w {
				return fmt.Errorf("%q is repeated", pair)
			}
			pairs[pair] = true
		}
		if !Allows(s, w) || w == "." && i < len(words)-1 {
			return fmt.Errorf("the word %q claims what was not judged", w)
		}
	}
	return nil
}

// agrees checks "there is" and "there are" against the noun that follows.
func agrees(words []string) error {
	for i := 1; i < len(words); i++ {
		if words[i-1] != "there" {
			continue
		}
		many, one := words[i] == "are" || words[i] == "were", words[i] == "is" || words[i] == "was"
		for _, w := range words[i+1:] {
			if !observed[w] {
				continue
			}
			if many && !plural[w] || one && plural[w] {
				return fmt.Errorf("%q does not go with %q", "there "+words[i], w)
			}
			break
		}
	}
	return nil
}
