package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"consilium/internal/train"
)

// resamples is how often the cases are drawn again for an interval.
const resamples = 2000

// auroc returns the figure of scores against the truth, with the 2.5th and 97.5th percentile over resampled cases
// (Efron 1979). Draws that lack one of the classes are left out.
func auroc(name, metric string, scores []float64, truth []bool, floor float64) Figure {
	rng := rand.New(rand.NewPCG(1, 1))
	var values []float64
	s, t := make([]float64, len(scores)), make([]bool, len(scores))
	for range resamples {
		for i := range s {
			j := rng.IntN(len(scores))
			s[i], t[i] = scores[j], truth[j]
		}
		if v := train.AUROC(s, t); !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	f := Figure{Name: name, Metric: metric, Value: train.AUROC(scores, truth), Floor: floor, N: len(scores)}
	if len(values) > 0 {
		slices.Sort(values)
		f.Low, f.High = values[len(values)*25/1000], values[len(values)*975/1000]
	}
	return f
}

// interval writes the interval, "" if there is none.
func (f Figure) interval() string {
	if f.Low == 0 && f.High == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f to %.3f", f.Low, f.High)
}

// calibrationError is the expected calibration error (Naeini et al. 2015) over equal bins of the probability: the mean
// distance between how sure predictions are and how often they are right, weighted by how many there are.
func calibrationError(probabilities []float64, truth []bool, bins int) float64 {
	sure, right, n := make([]float64, bins), make([]float64, bins), make([]float64, bins)
	for i, p := range probabilities {
		b := min(bins-1, int(p*float64(bins)))
		sure[b], n[b] = sure[b]+p, n[b]+1
		if truth[i] {
			right[b]++
		}
	}
	e := 0.0
	for b := range n {
		e += math.Abs(sure[b] - right[b])
	}
	return e / math.Max(1, float64(len(probabilities)))
}
