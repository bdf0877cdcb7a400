package eval

import (
	"context"
	"fmt"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/tensor"
	"consilium/internal/train"
)

// minAnswers is how often a training answer has to occur before the question-only classifier knows it.
const minAnswers = 3

// blindSet is questions as MiniLM vectors, without their pictures.
type blindSet struct {
	questions []dataset.RadQuestion
	vectors   [][]float32 // unit length
}

// encodeQuestions returns the vectors of all questions, encoding each text once.
func encodeQuestions(ctx context.Context, enc analysis.TextEncoder, questions []dataset.RadQuestion) (blindSet, error) {
	s := blindSet{questions: questions, vectors: make([][]float32, len(questions))}
	known := map[string][]float32{}
	for i, q := range questions {
		if known[q.Text] == nil {
			f, err := train.One(enc.EncodeText(ctx, []string{q.Text}, false))
			if err != nil {
				return s, fmt.Errorf("encode question %d: %w", q.ID, err)
			}
			known[q.Text] = f.Vector
		}
		s.vectors[i] = known[q.Text]
	}
	return s, nil
}

// where returns the questions that keep selects.
func (s blindSet) where(keep func(dataset.RadQuestion) bool) blindSet {
	var out blindSet
	for i, q := range s.questions {
		if keep(q) {
			out.questions, out.vectors = append(out.questions, q), append(out.vectors, s.vectors[i])
		}
	}
	return out
}

// accuracy is the share of right answers, and of those to the closed and to the open questions.
func (s blindSet) accuracy(answers []string) (closed, open tally) {
	for i, q := range s.questions {
		if q.Closed {
			closed.count(answers[i] == q.Answer)
		} else {
			open.count(answers[i] == q.Answer)
		}
	}
	return closed, open
}

// majority answers each closed question of test with the most frequent answer to a closed one of train, and so the
// open ones.
func majority(train, test blindSet) []string {
	counts := map[bool]map[string]int{true: {}, false: {}}
	for _, q := range train.questions {
		counts[q.Closed][q.Answer]++
	}
	answers := make([]string, len(test.questions))
	for i, q := range test.questions {
		answers[i] = mostFrequent(counts[q.Closed])
	}
	return answers
}

// nearest answers each question of test with the most frequent answer to the training question of the largest cosine.
func nearest(train, test blindSet) []string {
	counts := map[string]map[string]int{}
	for _, q := range train.questions {
		if counts[q.Text] == nil {
			counts[q.Text] = map[string]int{}
		}
		counts[q.Text][q.Answer]++
	}
	answers := make([]string, len(test.questions))
	for i, v := range test.vectors {
		best, like := "", float32(-2)
		for j, w := range train.vectors {
			cosine := float32(0)
			for k := range v {
				cosine += v[k] * w[k]
			}
			if cosine > like {
				best, like = train.questions[j].Text, cosine
			}
		}
		answers[i] = mostFrequent(counts[best])
	}
	return answers
}

// How the classifier is fitted: gradient descent with momentum on all questions at once.
const (
	blindSteps    = 300
	blindRate     = 2.0
	blindMomentum = 0.9
)

// classify answers the questions of each test set by a softmax regression on the vectors of train, whose squared
// weights cost decay/2 each.
func classify(ctx context.Context, engine *tensor.Engine, train blindSet, decay float64, tests ...blindSet) (answers [][]string, err error) {
	counts := map[string]int{}
	for _, q := range train.questions {
		counts[q.Answer]++
	}
	var classes []string
	for answer, n := range counts {
		if n >= minAnswers {
			classes = append(classes, answer)
		}
	}
	slices.Sort(classes)
	known := train.where(func(q dataset.RadQuestion) bool { return counts[q.Answer] >= minAnswers })
	if len(known.questions) == 0 {
		return nil, fmt.Errorf("fit the question-only classifier: no answer occurs %d times", minAnswers)
	}
	n, v := int64(len(known.questions)), int64(len(classes))
	truth := make([]float32, n*v)
	for i, q := range known.questions {
		j, _ := slices.BinarySearch(classes, q.Answer)
		truth[i*len(classes)+j] = 1
	}
	err = engine.Do(ctx, func(a *tensor.Arena) error {
		x, y := known.matrix(a), a.FromFloat32(truth, n, v)
		xt := a.Contiguous(a.Transpose(x, 0, 1)) // (D+1, N)
		weight := a.Zeros(a.Size(x, 1), v)
		speed := a.Zeros(a.Size(x, 1), v)
		for range blindSteps {
			mark := a.Mark()
			wrong := a.Sub(a.Softmax(a.Matmul(x, weight), 1), y) // (N, V)
			slope := a.Add(a.DivScalar(a.Matmul(xt, wrong), float64(n)), a.MulScalar(weight, decay))
			speed = a.Sub(a.MulScalar(speed, blindMomentum), a.MulScalar(slope, blindRate))
			weight = a.Add(weight, speed)
			a.Release(mark, speed, weight)
		}
		for _, test := range tests {
			row := make([]string, 0, len(test.questions))
			if len(test.questions) > 0 {
				for _, j := range a.Int64s(a.Argmax(a.Matmul(test.matrix(a), weight), 1)) {
					row = append(row, classes[j])
				}
			}
			answers = append(answers, row)
		}
		return nil
	})
	return answers, err
}

// matrix returns the vectors with a column of ones, (N, D+1).
func (s blindSet) matrix(a *tensor.Arena) tensor.T {
	var values []float32
	for _, v := range s.vectors {
		values = append(append(values, v...), 1)
	}
	return a.FromFloat32(values, int64(len(s.vectors)), int64(len(s.vectors[0])+1))
}
