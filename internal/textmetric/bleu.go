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

// BLEU returns the corpus-level score with n-grams up to maxOrder in equal weights, without smoothing: 0 if an order has no
// match (Papineni et al. 2002, https://aclanthology.org/P02-1040). One reference a text.
func BLEU(pairs []Pair, maxOrder int) float64 {
	matches, total := make([]float64, maxOrder), make([]float64, maxOrder)
	written, reference := 0.0, 0.0
	for _, p := range pairs {
		written, reference = written+float64(len(p.Written)), reference+float64(len(p.Reference))
		for n := range maxOrder {
			known := ngrams(p.Reference, n+1)
			for gram, count := range ngrams(p.Written, n+1) {
				matches[n] += float64(min(count, known[gram]))
				total[n] += float64(count)
			}
		}
	}
	logs := 0.0
	for n := range maxOrder {
		if matches[n] == 0 {
			return 0
		}
		logs += math.Log(matches[n]/total[n]) / float64(maxOrder)
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
