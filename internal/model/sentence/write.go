package sentence

import (
	"math"
	"slices"
	"sort"

	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// step is the state of a sentence that is being written, one row a hypothesis.
type step struct {
	mark int            // of the arena, before the first word
	read layer.Memory   // the same for every row
	own  []*layer.Steps // of each application of the block
	at   int64          // position of the next word
}

// start reads the input of one sentence and returns the logits (1, V) of its first word.
func (m *Model) start(a *tensor.Arena, in Batch) (*step, tensor.T) {
	read, begin := m.read(a, in)
	own := m.self.Steps(a, m.config.Depth)
	s := &step{mark: a.Mark(), read: read, own: own}
	return s, m.next(a, s, begin)
}

// next returns the logits (R, V) of the word that follows token (R, 1, D), and keeps what the token is remembered by: each
// step costs one token, however long the sentence is. It frees everything else that was made since start.
func (m *Model) next(a *tensor.Arena, s *step, token tensor.T) tensor.T {
	rows, d := a.Size(token, 0), m.config.Dim
	x := a.Add(token, a.Narrow(m.place, 0, s.at, 1))
	s.at++
	for _, own := range s.own {
		x = a.Add(x, own.Next(a, m.norm1.Forward(a, x)))
		// All rows read the same, so they are to it as the words of one.
		seen := m.cross.Read(a, a.Reshape(m.norm2.Forward(a, x), 1, rows, d), s.read)
		x = a.Add(x, a.Reshape(seen, rows, 1, d))
		x = a.Add(x, m.mlp.Forward(a, m.norm3.Forward(a, x)))
	}
	logits := a.Select(m.out.Forward(a, m.final.Forward(a, x)), 1, 0)
	keep := []tensor.T{logits}
	for _, own := range s.own {
		keep = append(keep, own.Seen())
	}
	a.Release(s.mark, keep...)
	return logits
}

// Follow returns the logits (V) of the word behind each of words, one word after the other as in Write; the first
// are those of no word. If it does not remember, it computes all words before anew for each word: what remembering is
// measured against.
func (m *Model) Follow(a *tensor.Arena, in Batch, words []int64, remember bool) (logits [][]float32) {
	if remember {
		state, next := m.start(a, in)
		for _, word := range words {
			logits = append(logits, a.Float32s(next))
			next = m.next(a, state, a.Unsqueeze(a.Embedding(m.words, a.FromInt64([]int64{word}, 1)), 1))
		}
		return append(logits, a.Float32s(next))
	}
	read, begin := m.read(a, in)
	mark := a.Mark()
	for n := range len(words) + 1 {
		all := m.decode(a, read, begin, a.FromInt64(words[:n], 1, int64(n)))
		logits = append(logits, a.Float32s(a.Select(all, 1, int64(n))))
		a.Release(mark)
	}
	return logits
}

// hypothesis is a sentence that is being written.
type hypothesis struct {
	words []int64
	score float64 // log-probability
}

// mean is the log-probability a word, by which sentences of different lengths are compared.
func (h hypothesis) mean() float64 { return h.score / float64(len(h.words)) }

// Write returns at most n sentences by beam search, the most probable first, of the words that allowed takes.
func (m *Model) Write(a *tensor.Arena, in *Input, n int, allowed func(word string) bool) []string {
	barred := make([]bool, len(m.config.Words))
	for i, w := range m.config.Words {
		barred[i] = w != End && !allowed(w)
	}
	state, logits := m.start(a, m.config.Batch(a, []*Input{in}))
	beam, done := []hypothesis{{}}, []hypothesis(nil)
	for range m.config.Length {
		scores := a.Float64s(a.LogSoftmax(logits, -1))
		next, rows := m.extend(beam, scores, barred, n)
		beam = beam[:0]
		var from, last []int64
		for i, h := range next {
			if h.words[len(h.words)-1] == 0 {
				done = append(done, h)
				continue
			}
			beam, from, last = append(beam, h), append(from, rows[i]), append(last, h.words[len(h.words)-1])
		}
		if len(beam) == 0 || len(done) >= 2*n {
			break
		}
		if !inOrder(from, len(scores)/len(barred)) {
			pick := a.FromInt64(from, int64(len(from)))
			for _, own := range state.own {
				own.Pick(a, pick)
			}
		}
		logits = m.next(a, state, a.Unsqueeze(a.Embedding(m.words, a.FromInt64(last, int64(len(last)))), 1))
	}
	sort.SliceStable(done, func(i, j int) bool { return done[i].mean() > done[j].mean() })
	var out []string
	for _, h := range done[:min(n, len(done))] {
		if text := m.text(h.words); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// inOrder reports whether rows are all of n, one after the other.
func inOrder(rows []int64, n int) bool {
	for i, row := range rows {
		if row != int64(i) {
			return false
		}
	}
	return len(rows) == n
}

// extend returns the n best hypotheses that are one word longer, and which row each comes from. Scores are the
// log-probabilities (R, V) of the next word.
func (m *Model) extend(beam []hypothesis, scores []float64, barred []bool, n int) (next []hypothesis, rows []int64) {
	type option struct {
		row, word int
		score     float64
	}
	var options []option
	for row, h := range beam {
		for word, barred := range barred {
			if s := scores[row*len(m.config.Words)+word]; !barred && !math.IsNaN(s) {
				options = append(options, option{row, word, h.score + s})
			}
		}
	}
	sort.SliceStable(options, func(i, j int) bool { return options[i].score > options[j].score })
	for _, o := range options[:min(n, len(options))] {
		next = append(next, hypothesis{append(slices.Clone(beam[o.row].words), int64(o.word)), o.score})
		rows = append(rows, int64(o.row))
	}
	return next, rows
}
