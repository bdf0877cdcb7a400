package analysis

import (
	"fmt"
	"strconv"
	"strings"
)

// Band says in which of three bands a finding's probability lies. It is a rule for whoever reads many reports, beside
// the threshold, which says whether the finding counts as present.
type Band string

const (
	// High: above Bands.High.
	High Band = "high"
	// FollowUp: above Bands.FollowUp, worth another look.
	FollowUp Band = "follow_up"
	// Low: the rest.
	Low Band = "low"
)

// Bands are the probabilities above which a finding is in the two upper bands.
type Bands struct{ High, FollowUp float64 }

// DefaultBands are those of screening CT for lung nodules.
var DefaultBands = Bands{High: 0.95, FollowUp: 0.7}

// UnmarshalText reads "0.95,0.7".
func (b *Bands) UnmarshalText(text []byte) error {
	high, followUp, _ := strings.Cut(string(text), ",")
	h, highErr := strconv.ParseFloat(strings.TrimSpace(high), 64)
	f, followErr := strconv.ParseFloat(strings.TrimSpace(followUp), 64)
	if highErr != nil || followErr != nil || !(f >= 0 && f <= h && h <= 1) {
		return fmt.Errorf("want two probabilities, the higher first, such as 0.95,0.7; found %q", text)
	}
	b.High, b.FollowUp = h, f
	return nil
}

// Of returns the band of a probability.
func (b Bands) Of(probability float64) Band {
	switch {
	case probability > b.High:
		return High
	case probability > b.FollowUp:
		return FollowUp
	}
	return Low
}

// Mark sets the band of each finding.
func (b Bands) Mark(findings []Finding) {
	for i := range findings {
		findings[i].Band = b.Of(findings[i].Probability)
	}
}
