// Package reportdoc puts a report into the words that every format for people and for other systems shares.
package reportdoc

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"consilium/internal/analysis"
)

// Document is one version of a report with the pictures that belong to it.
type Document struct {
	Report *analysis.DiagnosticReport
	Study  *analysis.Study
	// Picture is the image that the report rests on and Drawing the same with its masks, as PNGs; nil if there is none.
	Picture, Drawing []byte
}

// Model is one model that took part.
type Model struct {
	Name    string // its part in the platform, or the name that its user gave it
	Digest  string
	Brought bool   // by a user
	Licence string // of one that was brought
}

// Title names the report.
func (d *Document) Title() string {
	if title := Plain(d.Study.Title); title != "" {
		return "Report on " + title
	}
	return "Report"
}

// Standing says in sentences what the version is worth: who answers for it, whether another one took its place.
func (d *Document) Standing() []string {
	r := d.Report
	e := r.Event()
	var said []string
	switch r.Status() {
	case analysis.ReportPreliminary:
		said = append(said, "Preliminary: no person has signed this report.")
	case analysis.ReportRejected:
		e = r.Latest()
		said = append(said, fmt.Sprintf("Rejected by %s on %s: %s", Who(e.By), Time(e.At), Plain(e.Reason)), "Do not use this report.")
	case analysis.ReportFinal:
		said = append(said, fmt.Sprintf("Final: signed by %s on %s.", Who(e.By), Time(e.At)))
	case analysis.ReportAmended:
		said = append(said, fmt.Sprintf("Amended and signed by %s on %s: %s", Who(e.By), Time(e.At), Plain(e.Reason)))
	}
	if latest := r.Latest().Version; latest > r.Version {
		said = append(said, fmt.Sprintf("This is version %d. Version %d has taken its place.", r.Version, latest))
	}
	return said
}

// Who names a person.
func Who(p analysis.Person) string { return fmt.Sprintf("%s (%s)", Plain(p.Name), Plain(p.Role)) }

// Time writes a time for people.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// History says what was done with the report, oldest first.
func (d *Document) History() []string {
	var lines []string
	for _, e := range d.Report.Events {
		by, done := Who(e.By), ""
		switch e.Action {
		case analysis.CreateReport:
			by, done = "the platform", "written"
		case analysis.SignReport:
			done = "signed"
		case analysis.AmendReport:
			done = "amended"
		case analysis.RejectReport:
			done = "rejected"
		}
		line := fmt.Sprintf("%s: version %d %s by %s", Time(e.At), e.Version, done, by)
		if e.Reason != "" {
			line += ": " + Plain(e.Reason)
		}
		lines = append(lines, line)
	}
	return lines
}

// Models lists the models that took part, by name.
func (d *Document) Models() []Model {
	var models []Model
	brought := d.Report.Result.Brought
	for name, digest := range d.Report.Result.Models {
		if brought == nil || digest != brought.Digest {
			models = append(models, Model{Name: Plain(name), Digest: Plain(digest)})
		}
	}
	if brought != nil {
		models = append(models, Model{Name: Plain(fmt.Sprintf("%s@%d", brought.Name, brought.Version)), Digest: Plain(brought.Digest), Brought: true, Licence: Plain(brought.Licence)})
	}
	slices.SortFunc(models, func(a, b Model) int { return cmp.Compare(a.Name, b.Name) })
	return models
}

// Judge returns the digest of the model that a finding is of.
func (d *Document) Judge(f *analysis.Finding) string {
	if f.Model != "" {
		return Plain(f.Model)
	}
	return Plain(d.Report.Result.Models["fusion"])
}

// Evidence says in lines what a sentence rests on.
func (d *Document) Evidence(s *analysis.Sentence) []string {
	var lines []string
	for i := range s.Evidence {
		f := &s.Evidence[i]
		state := "not present"
		if f.Present {
			state = "present"
		}
		probability, threshold := apart(f.Probability, f.Threshold)
		lines = append(lines, fmt.Sprintf("%s: %s; probability %s, threshold %s, from the %s, model %s", Plain(f.Label), state, probability, threshold, f.Modality, d.Judge(f)))
	}
	for _, m := range s.Measurements {
		lines = append(lines, fmt.Sprintf("%s: %s (%s), measured in the masks of the %s", Label(m.Name), Number(m.Value), Plain(m.Unit), Plain(strings.Join(m.Structures, ", "))))
	}
	switch {
	case s.WrittenBy == analysis.ByPerson && len(lines) == 0:
		lines = append(lines, "Written by a person.")
	case s.WrittenBy == analysis.ByPerson:
		lines = append([]string{"Changed by a person. What the models had said:"}, lines...)
	}
	return lines
}

// Findings lists each finding once, in the order in which the sentences name them.
func (d *Document) Findings() []analysis.Finding {
	var all []analysis.Finding
	for _, section := range d.Report.Narrative.Sections {
		for _, s := range section.Sentences {
			for _, f := range s.Evidence {
				if !slices.ContainsFunc(all, func(o analysis.Finding) bool { return o.Same(&f) }) {
					all = append(all, f)
				}
			}
		}
	}
	return all
}

// Measurements lists each measurement once, by the same rule.
func (d *Document) Measurements() []analysis.Measurement {
	var all []analysis.Measurement
	for _, section := range d.Report.Narrative.Sections {
		for _, s := range section.Sentences {
			for _, m := range s.Measurements {
				if !slices.ContainsFunc(all, func(o analysis.Measurement) bool { return o.Name == m.Name }) {
					all = append(all, m)
				}
			}
		}
	}
	return all
}

// Limits says what the report leaves out, and what was done to what it rests on.
func (d *Document) Limits() []string {
	var lines []string
	for _, o := range d.Report.Narrative.NotAssessed {
		lines = append(lines, fmt.Sprintf("Not assessed (%s): %s", o.Modality, Plain(o.Reason)))
	}
	for _, g := range d.Report.Result.Degraded {
		lines = append(lines, fmt.Sprintf("Missing (%s): %s", g.Modality, Plain(g.Reason)))
	}
	for _, n := range d.Report.Result.Notes {
		lines = append(lines, fmt.Sprintf("Note (%s): %s", n.Modality, Plain(n.Detail)))
	}
	return lines
}

// Number writes a share with up to four decimals.
func Number(v float64) string { return strconv.FormatFloat(math.Round(v*1e4)/1e4, 'f', -1, 64) }

// apart writes two numbers as Number does, or with all their decimals if they would look the same and are not.
func apart(a, b float64) (string, string) {
	if x, y := Number(a), Number(b); x != y || a == b {
		return x, y
	}
	return strconv.FormatFloat(a, 'f', -1, 64), strconv.FormatFloat(b, 'f', -1, 64)
}

// Label makes words of a name such as cardiothoracic_ratio.
func Label(name string) string { return strings.ReplaceAll(Plain(name), "_", " ") }
