package pipeline

import (
	"fmt"
	"math"

	"consilium/internal/analysis"
)

// slack is how far from 1 a sum of float32 probabilities may be.
const slack = 1e-3

// check returns BadUpstream if the fusion's result contradicts itself or the request, so that nothing wrong is
// stored or shown.
func check(fuse *analysis.FuseRequest, result *analysis.Result) error {
	bad := func(format string, args ...any) error { return analysis.Errorf(analysis.BadUpstream, format, args...) }
	if result == nil {
		return bad("the fusion returned no result")
	}
	if fuse.Task == analysis.Question && len(result.Answers) == 0 {
		return bad("the fusion returned no answer")
	}
	sum, last := 0.0, math.Inf(1)
	for _, answer := range result.Answers {
		if !fraction(answer.Probability) || answer.Probability > last {
			return bad("the fusion's answers have the probability %v after %v", answer.Probability, last)
		}
		sum, last = sum+answer.Probability, answer.Probability
	}
	if sum > 1+slack {
		return bad("the fusion's answers have probabilities that sum to %v", sum)
	}
	present := map[analysis.Modality]bool{
		analysis.Text: fuse.Text != nil || fuse.Question != nil, analysis.Image: fuse.Image != nil, analysis.Audio: fuse.Audio != nil,
	}
	sum = 0
	for _, m := range result.Modalities {
		if !present[m.Modality] || !fraction(m.Weight) || !fraction(m.Entropy) {
			return bad("the fusion weighs the modality %q with %v and entropy %v", m.Modality, m.Weight, m.Entropy)
		}
		sum += m.Weight
	}
	if len(result.Modalities) > 0 && math.Abs(sum-1) > slack {
		return bad("the fusion's modality weights sum to %v", sum)
	}
	for _, f := range result.Findings {
		switch {
		case !present[f.Modality]:
			return bad("the fusion judged %q from %s, which is absent", f.Label, f.Modality)
		case !fraction(f.Probability) || !fraction(f.Threshold):
			return bad("the fusion's finding %q has the probability %v and the threshold %v", f.Label, f.Probability, f.Threshold)
		case f.Present != (f.Probability >= f.Threshold):
			return bad("the fusion's finding %q contradicts its threshold", f.Label)
		case f.Activation != nil && f.Modality != analysis.Image:
			return bad("the fusion's finding %q is judged from %s and activates an image", f.Label, f.Modality)
		}
		if err := checkGrid(fmt.Sprintf("activation of %q", f.Label), f.Activation); err != nil {
			return err
		}
	}
	return checkGrid("attention", result.Attention)
}

// checkGrid returns BadUpstream for a grid of the fusion that holds what it may not; nil is none.
func checkGrid(what string, g *analysis.Grid) error {
	if g == nil {
		return nil
	}
	if g.Rows <= 0 || g.Cols <= 0 || len(g.Values) != g.Rows*g.Cols {
		return analysis.Errorf(analysis.BadUpstream, "the fusion's %s holds %d values for %d x %d cells", what, len(g.Values), g.Rows, g.Cols)
	}
	for _, v := range g.Values {
		if !fraction(float64(v)) {
			return analysis.Errorf(analysis.BadUpstream, "the fusion's %s holds %v", what, v)
		}
	}
	return nil
}

// fraction reports whether v is between 0 and 1, rounding aside; NaN is not.
func fraction(v float64) bool { return v >= -slack && v <= 1+slack }
