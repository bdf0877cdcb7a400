package eval

import (
	"errors"
	"math"

	"consilium/internal/train"
)

// labelled is a vector and what a regression is to tell from it.
type labelled struct {
	vector   []float32
	positive bool
}

// logistic is a logistic regression on standardised values.
type logistic struct {
	mean, deviation, weights []float64
	bias                     float64
}

// bestLogistic fits training cases under three penalties and keeps the one whose AUROC on the validation cases is the
// largest. It is an error if these are of one class.
func bestLogistic(training, validation []labelled) (*logistic, error) {
	best, chosen := math.Inf(-1), (*logistic)(nil)
	for _, penalty := range []float64{0.01, 0.1, 1} {
		l := fitLogistic(training, penalty)
		if v := train.AUROC(l.scores(validation)); v > best {
			best, chosen = v, l
		}
	}
	if chosen == nil {
		return nil, errors.New("the validation split holds one class only")
	}
	return chosen, nil
}

// fitLogistic minimises the mean log loss plus penalty/2 times the squared weights by gradient descent with Nesterov's
// momentum.
func fitLogistic(cases []labelled, penalty float64) *logistic {
	dim, n := len(cases[0].vector), float64(len(cases))
	l := &logistic{mean: make([]float64, dim), deviation: make([]float64, dim), weights: make([]float64, dim)}
	for _, c := range cases {
		for i, x := range c.vector {
			l.mean[i] += float64(x) / n
		}
	}
	for _, c := range cases {
		for i, x := range c.vector {
			d := float64(x) - l.mean[i]
			l.deviation[i] += d * d / n
		}
	}
	for i := range l.deviation {
		l.deviation[i] = math.Sqrt(l.deviation[i]) + 1e-6
	}
	rows := make([][]float64, len(cases))
	for i, c := range cases {
		rows[i] = append(l.standard(c.vector), 1) // the last weight is the bias
	}
	rate := 4 / (float64(dim) + 1 + 4*penalty) // below the inverse of the steepest curvature, dim/4 + penalty
	weights, ahead := make([]float64, dim+1), make([]float64, dim+1)
	gradient := make([]float64, dim+1)
	for step := range 600 {
		clear(gradient)
		for i, row := range rows {
			d := 1 / (1 + math.Exp(-dot(ahead, row)))
			if cases[i].positive {
				d--
			}
			for j, x := range row {
				gradient[j] += d * x / n
			}
		}
		momentum := float64(step) / float64(step+3)
		for j := range weights {
			if j < dim {
				gradient[j] += penalty * ahead[j]
			}
			next := ahead[j] - rate*gradient[j]
			weights[j], ahead[j] = next, next+momentum*(next-weights[j])
		}
	}
	l.weights, l.bias = weights[:dim], weights[dim]
	return l
}

// standard returns a vector of mean 0 and deviation 1 over the training cases, with room for one value more.
func (l *logistic) standard(v []float32) []float64 {
	out := make([]float64, len(v), len(v)+1)
	for i, x := range v {
		out[i] = (float64(x) - l.mean[i]) / l.deviation[i]
	}
	return out
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func (l *logistic) scores(cases []labelled) (scores []float64, truth []bool) {
	for _, c := range cases {
		scores, truth = append(scores, dot(l.weights, l.standard(c.vector))+l.bias), append(truth, c.positive)
	}
	return scores, truth
}
