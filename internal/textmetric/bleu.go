// Package textmetric compares texts that were written with reference texts.
package textmetric

import (
	"math"
	"regexp"
	"strings"
)

var token = regexp.MustCompile(`[\p{L}\p{N}]+`)

// Tokens divides a text into words in small letters; marks are left out.
func Tokens(text string) []string { return token.FindAllString(strings.ToLower(text), -1) }

// Pair is a text and its reference, as tokens.
type Pair struct{ Written, Reference []string }

// Overlap is what BLEU is made of: of each order, from the first, how many n-grams a text has and how many of those its
// reference has too, and the lengths of both.
type Overlap struct {
	matches, total     []float64
	written, reference float64
}

// Overlap counts n-grams up to maxOrder.
func (p Pair) Overlap(maxOrder int) Overlap {
	o := Overlap{make([]float64, maxOrder), make([]float64, maxOrder), float64(len(p.Written)), float64(len(p.Reference))}
	for n := range maxOrder {
		known := ngrams(p.Reference, n+1)
		for gram, count := range ngrams(p.Written, n+1) {
			o.matches[n] += float64(min(count, known[gram]))
			o.total[n] += float64(count)
		}
	}
	return o
}

// BLEU returns the corpus-level score with n-grams up to order, at most that of the overlaps, in equal weights and without
// smoothing: 0 if an order has no match (Papineni et al. 2002, https://aclanthology.org/P02-1040). One reference a text.
func BLEU(overlaps []Overlap, order int) float64 {
	matches, total := make([]float64, order), make([]float64, order)
	written, reference := 0.0, 0.0
	for _, o := range overlaps {
		written, reference = written+o.written, reference+o.reference
		for n := range order {
			matches[n], total[n] = matches[n]+o.matches[n], total[n]+o.total[n]
		}
	}
	logs := 0.0
	for n := range order {
		if matches[n] == 0 {
			return 0
		}
		logs += math.Log(matches[n]/total[n]) / float64(order)
	}
	return math.Exp(logs + math.Min(0, 1-reference/written))
}

func ngrams(tokens []string, n int) map[string]int {
	counts := map[string]int{}
	for i := 0; i+n <= len(tokens); i++ {
		counts[strings.Join(tokens[i:i+n], " ")]++
	}
	return counts
}
