package sentence

import (
	"math"
	"slices"
	"sort"

	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// steps is a sentence that is being written, one row a hypothesis.
type steps interface {
	// next takes the next word of each row and returns the logits (R, V) of the words that follow.
	next(words []int64) []float32
	// pick goes on with some of the rows, in their order.
	pick(rows []int64)
}

// start reads the input of one sentence and returns the logits (V) of its first word.
func (m *Model) start(a *tensor.Arena, in Batch) (steps, []float32) {
	read, begin := m.read(a, in)
	if m.fast != nil {
		s := &fastSteps{net: m.fast}
		s.keys, s.values = read.Values(a)
		return s, s.step(a.Float32s(begin))
	}
	own := m.self.Steps(a, m.config.Depth)
	s := &layers{model: m, arena: a, mark: a.Mark(), read: read, own: own}
	return s, s.step(begin)
}

// layers takes the steps of a sentence by the layers of the model.
type layers struct {
	model *Model
	arena *tensor.Arena
	mark  int            // of the arena, before the first word
	read  layer.Memory   // the same for every row
	own   []*layer.Steps // of each application of the block
	at    int64          // position of the next word
}

func (s *layers) next(words []int64) []float32 {
	a := s.arena
	return s.step(a.Unsqueeze(a.Embedding(s.model.words, a.FromInt64(words, int64(len(words)))), 1))
}

// step returns the logits (R, V) of the word that follows token (R, 1, D), and keeps what the token is remembered by: each
// step costs one token, however long the sentence is. It frees everything else that was made since start.
func (s *layers) step(token tensor.T) []float32 {
	a, m := s.arena, s.model
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
	logits := a.Float32s(m.out.Forward(a, m.final.Forward(a, x)))
	keep := make([]tensor.T, len(s.own))
	for i, own := range s.own {
		keep[i] = own.Seen()
	}
	a.Release(s.mark, keep...)
	return logits
}

func (s *layers) pick(rows []int64) {
	index := s.arena.FromInt64(rows, int64(len(rows)))
	for _, own := range s.own {
		own.Pick(s.arena, index)
	}
}

// Follow returns the logits (V) of the word behind each of words, one word after the other as in Write; the first
// are those of no word. If it does not remember, it computes all words before anew for each word: what remembering is
// measured against.
func (m *Model) Follow(a *tensor.Arena, in Batch, words []int64, remember bool) (logits [][]float32) {
	if remember {
		state, next := m.start(a, in)
		for i := range words {
			logits, next = append(logits, next), state.next(words[i:i+1])
		}
		return append(logits, next)
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
		scores := logProbabilities(logits, len(barred))
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
			state.pick(from)
		}
		logits = state.next(last)
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

// logProbabilities are those of rows of n logits.
func logProbabilities(logits []float32, n int) []float64 {
	out := make([]float64, 0, len(logits))
	for row := range slices.Chunk(logits, n) {
		top, sum := float64(slices.Max(row)), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v) - top)
		}
		for _, v := range row {
			out = append(out, float64(v)-top-math.Log(sum))
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
