package reportdoc

import "consilium/internal/analysis"

// Bar is a finding for those who would rather look than read.
type Bar struct {
	Label                  string
	Probability, Threshold float64 // from 0 to 1
	Shown                  string  // the probability, in as many digits as tell it from the threshold
	ShownThreshold         string
	State                  string // whether it is present, and its band if it has one
	Present                bool
}

// Bars returns one bar for each finding that the models judged, whatever the sentences say of it.
func (d *Document) Bars() []Bar {
	var bars []Bar
	for _, f := range d.Report.Result.Findings {
		b := Bar{Label: Label(f.Label), Probability: f.Probability, Threshold: f.Threshold, State: "not present", Present: f.Present}
		b.Shown, b.ShownThreshold = apart(f.Probability, f.Threshold)
		if f.Present {
			b.State = "present"
		}
		if name, ok := map[analysis.Band]string{analysis.High: "high", analysis.FollowUp: "follow-up", analysis.Low: "low"}[f.Band]; ok {
			b.State += ", band " + name
		}
		bars = append(bars, b)
	}
	return bars
}
