package train

import (
	"math"
	"slices"
	"sort"
)

// temperature returns the divisor of the logits under which the right answers are most likely (Guo et al. 2017,
// https://arxiv.org/abs/1706.04599), by golden-section search between 0.05 and 10 on a logarithmic scale.
func temperature(logits [][]float64, right []int) float64 {
	loss := func(logT float64) float64 {
		t, sum := math.Exp(logT), 0.0
		for i, row := range logits {
			most := math.Inf(-1)
			for _, x := range row {
				most = math.Max(most, x)
			}
			z := 0.0
			for _, x := range row {
				z += math.Exp((x - most) / t)
			}
			sum += math.Log(z) - (row[right[i]]-most)/t
		}
		return sum
	}
	const golden = 0.6180339887498949
	low, high := math.Log(0.05), math.Log(10)
	for range 60 {
		x, y := high-golden*(high-low), low+golden*(high-low)
		if loss(x) < loss(y) {
			high = y
		} else {
			low = x
		}
	}
	return math.Exp((low + high) / 2)
}

// platt fits sigmoid(scale * logit + shift) to the truth (Platt 1999), with his smoothed targets, by Newton's method.
// The scale is at least a hundredth, so that calibration never turns a ranking round.
func platt(logits []float64, truth []bool) (scale, shift float64) {
	positives := 0.0
	for _, t := range truth {
		if t {
			positives++
		}
	}
	negatives := float64(len(truth)) - positives
	high, low := (positives+1)/(positives+2), 1/(negatives+2)
	scale, shift = 1, math.Log((positives+1)/(negatives+1))
	for range 100 {
		var ga, gb, haa, hab, hbb float64
		for i, x := range logits {
			target := low
			if truth[i] {
				target = high
			}
			p := 1 / (1 + math.Exp(-(scale*x + shift)))
			d, w := p-target, math.Max(p*(1-p), 1e-12)
			ga, gb = ga+d*x, gb+d
			haa, hab, hbb = haa+w*x*x, hab+w*x, hbb+w
		}
		haa, hbb = haa+1e-3, hbb+1e-3
		det := haa*hbb - hab*hab
		da, db := (hbb*ga-hab*gb)/det, (haa*gb-hab*ga)/det
		step := math.Min(1, 2/math.Max(1e-9, math.Abs(da)+math.Abs(db)))
		scale, shift = math.Max(0.01, scale-step*da), shift-step*db
		if math.Abs(da)+math.Abs(db) < 1e-9 {
			break
		}
	}
	return scale, shift
}

// bestF1 returns the threshold, between two neighbouring probabilities, with the largest F1 score.
func bestF1(probabilities []float64, truth []bool) float64 {
	sorted := append([]float64(nil), probabilities...)
	sort.Float64s(sorted)
	best, at := -1.0, 0.5
	for i, c := range sorted {
		if i > 0 {
			c = (c + sorted[i-1]) / 2
		}
		tp, wrong := 0.0, 0.0
		for j, p := range probabilities {
			switch {
			case p >= c && truth[j]:
				tp++
			case (p >= c) != truth[j]:
				wrong++
			}
		}
		if f := 2 * tp / math.Max(1, 2*tp+wrong); f > best {
			best, at = f, c
		}
	}
	return at
}

// minOwn is how many positive cases give a label a threshold of its own. A film counts twice, with and without its record.
const minOwn = 100

// thresholds returns one for each label, chosen together so that the F1 score of all decisions is largest, "no label"
// being one more where a case has none. Labels on few cases share theirs: seven thresholds fitted one by one, some to a
// handful of cases, give healthy films labels that they had by luck. Probabilities and truth are label by label.
func thresholds(probabilities [][]float64, truth [][]bool) []float64 {
	var groups [][]int // labels of one threshold
	var rare []int
	for i, t := range truth {
		if len(slices.DeleteFunc(slices.Clone(t), func(carried bool) bool { return !carried })) >= minOwn {
			groups = append(groups, []int{i})
		} else {
			rare = append(rare, i)
		}
	}
	if len(rare) > 0 {
		groups = append(groups, rare)
	}
	at := slices.Repeat([]float64{0.5}, len(truth))
	for range 4 { // one group after the other; the second round seldom changes anything
		for _, group := range groups {
			best, most := at[group[0]], -1.0
			for percent := 5; percent <= 95; percent++ {
				for _, i := range group {
					at[i] = float64(percent) / 100
				}
				if f := setF1(probabilities, truth, at); f > most {
					best, most = at[group[0]], f
				}
			}
			for _, i := range group {
				at[i] = best
			}
		}
	}
	return at
}

// setF1 is the F1 score of all labels of all cases together.
func setF1(probabilities [][]float64, truth [][]bool, at []float64) float64 {
	right, wrong := 0.0, 0.0
	count := func(said, is bool) {
		switch {
		case said && is:
			right++
		case said != is:
			wrong++
		}
	}
	for k := range truth[0] {
		said, is := false, false
		for i := range truth {
			positive := probabilities[i][k] >= at[i]
			count(positive, truth[i][k])
			said, is = said || positive, is || truth[i][k]
		}
		count(!said, !is)
	}
	return 2 * right / math.Max(1, 2*right+wrong)
}
