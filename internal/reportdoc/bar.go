package reportdoc

import (
	"cmp"
	"slices"

	"consilium/internal/analysis"
)

// Bar is a finding for those who would rather look than read.
type Bar struct {
	Label                  string
	Probability, Threshold float64 // from 0 to 1
	Shown                  string  // the probability, in as many digits as tell it from the threshold
	ShownThreshold         string
	State                  string // whether it is present
	Band                   string // "" if it has none
	Present                bool
}

// Bars returns one bar for each finding that the models judged, whatever the sentences say of it: first what is present,
// then by falling probability.
func (d *Document) Bars() []Bar {
	var bars []Bar
	for _, f := range d.Report.Result.Findings {
		b := Bar{Label: Label(f.Label), Probability: f.Probability, Threshold: f.Threshold, State: "not present", Present: f.Present}
		b.Shown, b.ShownThreshold = apart(f.Probability, f.Threshold)
		if f.Present {
			b.State = "present"
		}
		b.Band = map[analysis.Band]string{analysis.High: "high", analysis.FollowUp: "follow-up", analysis.Low: "low"}[f.Band]
		bars = append(bars, b)
	}
	slices.SortStableFunc(bars, func(a, b Bar) int {
		if a.Present != b.Present {
			return map[bool]int{true: -1, false: 1}[a.Present]
		}
		return cmp.Compare(b.Probability, a.Probability)
	})
	return bars
}
