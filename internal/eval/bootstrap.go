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

// meanByGroup returns the figure of the mean of values, with the 2.5th and 97.5th percentile over resampled groups, such
// as patients: values of one group are not independent.
func meanByGroup(name, metric string, values []float64, groups []string, floor float64) Figure {
	var names []string
	of := map[string][]float64{}
	for i, g := range groups {
		if of[g] == nil {
			names = append(names, g)
		}
		of[g] = append(of[g], values[i])
	}
	rng := rand.New(rand.NewPCG(1, 1))
	means := make([]float64, resamples)
	for i := range means {
		var m mean
		for range names {
			for _, v := range of[names[rng.IntN(len(names))]] {
				m.add(v)
			}
		}
		means[i] = m.value()
	}
	slices.Sort(means)
	var all mean
	for _, v := range values {
		all.add(v)
	}
	return Figure{Name: name, Metric: metric, Value: all.value(), Floor: floor, N: len(values),
		Low: means[resamples*25/1000], High: means[resamples*975/1000]}
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
