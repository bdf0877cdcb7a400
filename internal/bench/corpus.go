package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"

	"consilium/internal/weights"
	"consilium/internal/wordpiece"
)

// corpus makes texts in the manner of reports, the same in every run.
type corpus struct{ tokenizer *wordpiece.Tokenizer }

func newCorpus() (*corpus, error) {
	path, err := weights.Path("minilm/vocab.txt")
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the vocabulary: %w", err)
	}
	tokenizer, err := wordpiece.New(file)
	return &corpus{tokenizer}, err
}

// tokens returns how long a text is for the net, with [CLS] and [SEP].
func (c *corpus) tokens(text string) int { return len(c.tokenizer.Append(nil, text)) + 2 }

var (
	subjects = []string{"the left lung", "the right lung", "the heart", "the mediastinum", "the aorta", "the left costophrenic angle",
		"the right hemidiaphragm", "the upper lobe", "the lower lobe", "the hilum", "the trachea", "the visible skeleton"}
	verbs    = []string{"shows", "has", "is without", "is obscured by", "again demonstrates", "no longer shows", "may contain", "is crossed by"}
	findings = []string{"a small opacity", "a dense consolidation", "an effusion", "a calcified nodule", "mild atelectasis", "a thin line of air",
		"interstitial markings", "scarring", "a healed fracture", "a central catheter", "surgical clips", "an ill defined shadow"}
	ends = []string{"compared with the film of last year", "which was not seen before", "of uncertain age", "and follow up is advised",
		"in a patient with cough and fever", "after treatment", "as far as the projection allows", "without change", "at the time of the examination"}
)

// sentence returns one sentence with its full stop.
func sentence(r *rand.Rand) string {
	one := func(words []string) string { return words[r.IntN(len(words))] }
	return strings.Join([]string{one(subjects), one(verbs), one(findings), one(ends)}, " ") + "."
}

// text returns a text of that many tokens.
func (c *corpus) text(r *rand.Rand, length int) string {
	var text string
	for c.tokens(text) < length {
		text = strings.TrimSpace(text + " " + sentence(r))
	}
	for c.tokens(text) > length {
		text = text[:max(0, strings.LastIndexByte(text, ' '))]
	}
	for c.tokens(text) < length { // the last word had several pieces
		text = strings.TrimSpace(text + " scan")
	}
	return text
}

// texts returns n texts of that many tokens.
func (c *corpus) texts(seed uint64, n, length int) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]string, n)
	for i := range out {
		out[i] = c.text(r, length)
	}
	return out
}

// Lengths of mixed texts: log-normal, a median of 30 tokens, as questions and sentences of reports among whole ones.
const (
	mixedMean, mixedDeviation = 3.4, 0.7
	shortest, longest         = 6, 256
)

// mixed returns n texts of mixed lengths.
func (c *corpus) mixed(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]string, n)
	for i := range out {
		length := int(math.Round(math.Exp(mixedMean + mixedDeviation*r.NormFloat64())))
		out[i] = c.text(r, min(max(length, shortest), longest))
	}
	return out
}

// calls divides texts into calls of at most size.
func calls(texts []string, size int) (out [][]string) {
	for len(texts) > size {
		out, texts = append(out, texts[:size]), texts[size:]
	}
	return append(out, texts)
}
