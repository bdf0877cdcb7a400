package eval

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"consilium/internal/train"
)

// labelledCough is one cough with whether its COVID test was positive.
type labelledCough struct {
	vector []float32
	covid  bool
}

// covidChannels are the recording channels, which the set keeps apart: positives and negatives are balanced within
// each, and not comparable between them.
var covidChannels = []string{"call-center", "telegram"}

// covid measures, by recording channel, how much of the COVID label a logistic regression on the audio encoder's pooled
// vectors finds. It is a measurement of the data; the platform has no such finding.
func covid(ctx context.Context, e Env) ([]Figure, error) {
	var figures []Figure
	for _, channel := range covidChannels {
		splits, err := readCoughs(ctx, e, channel)
		if err != nil {
			return nil, err
		}
		best, chosen := math.Inf(-1), (*logistic)(nil)
		for _, penalty := range []float64{0.01, 0.1, 1} {
			l := fitLogistic(splits["train"], penalty)
			if v := train.AUROC(l.scores(splits["val"])); v > best {
				best, chosen = v, l
			}
		}
		if chosen == nil {
			return nil, fmt.Errorf("measure COVID by %s: the validation split holds one class only", channel)
		}
		scores, truth := chosen.scores(splits["test"])
		figures = append(figures, auroc("cough", "auroc-covid-"+channel, scores, truth, 0.5))
	}
	return figures, nil
}

// readCoughs encodes the coughs of one channel, by split.
func readCoughs(ctx context.Context, e Env, channel string) (map[string][]labelledCough, error) {
	folder := filepath.Join(e.Data, "audio")
	path := filepath.Join(folder, "metadata.csv")
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read coughs: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("read %s: %d rows: %w", path, len(rows), err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"file", "task", "covid19", "channel", "split"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("read %s: no column %q", path, name)
		}
	}
	splits := map[string][]labelledCough{}
	for _, row := range rows[1:] {
		if row[column["task"]] != "cough_covid" || row[column["channel"]] != channel {
			continue
		}
		b, err := os.ReadFile(filepath.Join(folder, row[column["file"]]))
		if err != nil {
			return nil, err
		}
		f, err := train.One(e.Models.Audio.EncodeAudio(ctx, [][]byte{b}, false))
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", row[column["file"]], err)
		}
		c := labelledCough{covid: row[column["covid19"]] == "1", vector: f.Vector}
		splits[row[column["split"]]] = append(splits[row[column["split"]]], c)
	}
	for _, split := range []string{"train", "val", "test"} {
		if len(splits[split]) == 0 {
			return nil, fmt.Errorf("read %s: no cough of channel %s in split %s", path, channel, split)
		}
	}
	return splits, nil
}

// logistic is a logistic regression on standardised values.
type logistic struct {
	mean, deviation, weights []float64
	bias                     float64
}

// fitLogistic minimises the mean log loss plus penalty/2 times the squared weights by gradient descent.
func fitLogistic(cases []labelledCough, penalty float64) *logistic {
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
	rate := 4 / (float64(dim) + 4*penalty) // below the inverse of the steepest curvature, dim/4 + penalty
	for range 2000 {
		gradient, biasGradient := make([]float64, dim), 0.0
		for _, c := range cases {
			d := 1 / (1 + math.Exp(-l.score(c.vector)))
			if c.covid {
				d--
			}
			biasGradient += d / n
			for i, x := range c.vector {
				gradient[i] += d * (float64(x) - l.mean[i]) / l.deviation[i] / n
			}
		}
		l.bias -= rate * biasGradient
		for i := range l.weights {
			l.weights[i] -= rate * (gradient[i] + penalty*l.weights[i])
		}
	}
	return l
}

func (l *logistic) score(v []float32) float64 {
	s := l.bias
	for i, x := range v {
		s += l.weights[i] * (float64(x) - l.mean[i]) / l.deviation[i]
	}
	return s
}

func (l *logistic) scores(cases []labelledCough) (scores []float64, truth []bool) {
	for _, c := range cases {
		scores, truth = append(scores, l.score(c.vector)), append(truth, c.covid)
	}
	return scores, truth
}
