package jobs

import (
	"cmp"
	"slices"
	"strings"
)

// Evaluation is how often a job's answers were what was known of the studies.
type Evaluation struct {
	Cases, Correct int
	// Majority is the share of the most frequent label: what always saying that would reach.
	Majority      float64
	MajorityLabel string
	Labels        []LabelScore // by falling number of cases
}

// LabelScore is an Evaluation of the cases of one label.
type LabelScore struct {
	Label          string
	Cases, Correct int
}

// Accuracy is the share of correct answers, 0 of none.
func (e *Evaluation) Accuracy() float64 {
	if e.Cases == 0 {
		return 0
	}
	return float64(e.Correct) / float64(e.Cases)
}

// Summarise makes an evaluation of the scores of labels, of which several may be the same but for case.
func Summarise(scores []LabelScore) *Evaluation {
	e := &Evaluation{Labels: []LabelScore{}}
	byLabel := map[string]*LabelScore{}
	for _, s := range scores {
		key := strings.ToLower(strings.TrimSpace(s.Label))
		if byLabel[key] == nil {
			byLabel[key] = &LabelScore{Label: key}
		}
		byLabel[key].Cases += s.Cases
		byLabel[key].Correct += s.Correct
		e.Cases += s.Cases
		e.Correct += s.Correct
	}
	for _, s := range byLabel {
		e.Labels = append(e.Labels, *s)
	}
	slices.SortFunc(e.Labels, func(a, b LabelScore) int {
		return cmp.Or(cmp.Compare(b.Cases, a.Cases), cmp.Compare(a.Label, b.Label))
	})
	if e.Cases > 0 {
		e.MajorityLabel, e.Majority = e.Labels[0].Label, float64(e.Labels[0].Cases)/float64(e.Cases)
	}
	return e
}
