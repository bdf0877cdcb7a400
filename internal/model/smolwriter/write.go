package smolwriter

import (
	"slices"
	"sort"

	"consilium/internal/model/sentence"
	"consilium/internal/model/smollm"
	"consilium/internal/tensor"
)

// hypothesis is a sentence that is being written.
type hypothesis struct {
	of     int // which input it is for
	tokens []int64
	at     *node   // nil when it has ended
	score  float64 // log-probability
}

// mean is the log-probability a token, by which sentences of different lengths are compared.
func (h hypothesis) mean() float64 { return h.score / float64(len(h.tokens)) }

// Write returns at most n sentences for each input by beam search, the most probable first, of the words that allowed
// takes for that input. The inputs share every step, which costs one token of each hypothesis.
func (m *Model) Write(a *tensor.Arena, in []*sentence.Input, n int, allowed func(of int, word string) bool) [][]string {
	out := make([][]string, len(in))
	a.NoGrad(func() {
		net := m.net(a)
		for of, done := range m.search(a, net, in, n, allowed) {
			sort.SliceStable(done, func(i, j int) bool { return done[i].mean() > done[j].mean() })
			for _, h := range done[:min(n, len(done))] {
				if text := finish(m.base.tokenizer.Decode(m.whole(h.tokens[:len(h.tokens)-1]))); text != "" {
					out[of] = append(out[of], text)
				}
			}
		}
	})
	return out
}

// whole returns ids of the whole vocabulary, for the tokenizer.
func (m *Model) whole(tokens []int64) []int {
	out := make([]int, len(tokens))
	for i, id := range m.vocab.full(tokens) {
		out[i] = int(id)
	}
	return out
}

// search returns the sentences that ended, by input.
func (m *Model) search(a *tensor.Arena, net *smollm.Model, in []*sentence.Input, n int, allowed func(of int, word string) bool) [][]hypothesis {
	done := make([][]hypothesis, len(in))
	grammars := make([]*grammar, len(in))
	var beam []hypothesis
	for i := range in {
		grammars[i] = m.vocab.grammar(func(w string) bool { return allowed(i, w) })
		beam = append(beam, hypothesis{of: i, at: grammars[i].spaced})
	}
	cache := &smollm.Cache{}
	hidden := net.Forward(a, m.prefix(a, net, in, 0), cache)
	hidden = a.Narrow(hidden, 1, a.Size(hidden, 1)-1, 1)
	for range m.config.Sentence.Length {
		mark := a.Mark()
		scores := a.Float64s(a.LogSoftmax(net.LogitsOf(a, a.Select(hidden, 1, 0), m.vocab.ids), -1))
		next, rows := extend(beam, scores, len(m.vocab.ids), grammars, n)
		beam = beam[:0]
		var from, last []int64
		for i, h := range next {
			if h.at == nil {
				done[h.of] = append(done[h.of], h)
				continue
			}
			beam, from, last = append(beam, h), append(from, rows[i]), append(last, h.tokens[len(h.tokens)-1])
		}
		for i := len(beam) - 1; i >= 0; i-- { // inputs with enough sentences
			if len(done[beam[i].of]) >= 2*n {
				beam, from, last = slices.Delete(beam, i, i+1), slices.Delete(from, i, i+1), slices.Delete(last, i, i+1)
			}
		}
		if len(beam) == 0 {
			break
		}
		cache = cache.Pick(a, from)
		hidden = net.Forward(a, net.Embed(a, m.vocab.full(last), int64(len(last)), 1), cache)
		a.Release(mark, append(cache.Tensors(), hidden)...)
	}
	return done
}

// extend returns the n best hypotheses of each input that are one token longer, and which row each comes from. Scores are
// the log-probabilities (R, V) of the next token.
func extend(beam []hypothesis, scores []float64, v int, grammars []*grammar, n int) (next []hypothesis, rows []int64) {
	type option struct {
		row   int
		token int64
		at    *node
		score float64
	}
	options := make([][]option, len(grammars))
	for row, h := range beam {
		tokens, places := grammars[h.of].after(h.at)
		for i, t := range tokens {
			options[h.of] = append(options[h.of], option{row, t, places[i], h.score + scores[row*v+int(t)]})
		}
	}
	for of, all := range options {
		sort.SliceStable(all, func(i, j int) bool { return all[i].score > all[j].score })
		for _, o := range all[:min(n, len(all))] {
			next = append(next, hypothesis{of, append(slices.Clone(beam[o.row].tokens), o.token), o.at, o.score})
			rows = append(rows, int64(o.row))
		}
	}
	return next, rows
}
