package analysis

import (
	"maps"
	"slices"
	"time"
)

// StudyFilter chooses studies: those that fit every part that is given. The zero value chooses all.
type StudyFilter struct {
	IDs []string `json:"ids,omitempty"`
	// Labels are names with a value that the label has; one that holds several values, divided by |, has each of them.
	Labels map[string]string `json:"labels,omitempty"`
	// From and To bound the study's date, both included, as DateLayout writes it; "" for no bound. A study without a
	// date fits no bound.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Modality is one that the study has an artefact of.
	Modality Modality `json:"modality,omitempty"`
}

// DateLayout is how a study's date is written.
const DateLayout = time.DateOnly

// Bounds of a filter.
const (
	MaxFilterIDs    = 1000
	MaxFilterLabels = 32
)

// Validate returns an InvalidArgument error that names the part at fault below field, which may be "".
func (f *StudyFilter) Validate(field string) error {
	if field != "" {
		field += "."
	}
	if len(f.IDs) > MaxFilterIDs {
		return Invalid(field+"ids", "want at most %d ids, found %d", MaxFilterIDs, len(f.IDs))
	}
	if len(f.Labels) > MaxFilterLabels {
		return Invalid(field+"labels", "want at most %d labels, found %d", MaxFilterLabels, len(f.Labels))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Labels)) {
		if err := ValidateText(field+"labels", name+f.Labels[name], 1024); err != nil {
			return err
		}
	}
	for _, bound := range []struct{ name, date string }{{"from", f.From}, {"to", f.To}} {
		if err := ValidateDate(field+"study_date."+bound.name, bound.date); err != nil {
			return err
		}
	}
	if f.From != "" && f.To != "" && f.From > f.To {
		return &Error{Code: InvalidArgument, Field: field + "study_date", Message: "the first day is after the last", Limit: f.From, Value: f.To}
	}
	if f.Modality != "" && !f.Modality.Valid() {
		return Invalid(field+"modality", "want text, image or audio, found %q", f.Modality)
	}
	return nil
}

// ValidateDate returns an InvalidArgument error that names field if date is neither a day of the calendar nor "".
func ValidateDate(field, date string) error {
	if date == "" {
		return nil
	}
	if day, err := time.Parse(DateLayout, date); err != nil || day.Year() < 1 {
		return &Error{Code: InvalidArgument, Field: field, Message: "the date is no day of the calendar", Limit: "YYYY-MM-DD", Value: date}
	}
	return nil
}
