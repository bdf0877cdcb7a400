package pipeline

import (
	"fmt"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
	"consilium/internal/narrative"
)

// The sections of a report.
const (
	findingsSection     = "findings"
	measurementsSection = "measurements"
	impressionSection   = "impression"
)

// planned is one sentence of a report before its words are chosen.
type planned struct {
	section string
	// plain is the sentence in fixed words; without text there is none unless somebody finds words.
	plain analysis.Sentence
	// statement is what words may be found for; nil keeps the plain sentence.
	statement *analysis.Statement
	// masks are what words may rest on besides the plain sentence's evidence; numbers stand behind the words.
	masks   *analysis.Segmentation
	numbers string
}

// state lets words be found for some observations that were judged.
func (p *planned) state(facts *narrative.Facts, observations ...string) {
	s := facts.Statement(observations...)
	p.statement = &s
}

// written returns the sentence, in the words that wordings have for it if they may stand for it; ok is false if there is
// no such sentence.
func (p *planned) written(facts *narrative.Facts, wordings []analysis.Wording) (sentence analysis.Sentence, ok bool) {
	sentence = p.plain
	for _, w := range wordings {
		if p.statement == nil || w.Section != p.section || !slices.Equal(w.Statement.Asserts, p.statement.Asserts) || facts.Carries(*p.statement, w.Text) != nil {
			continue
		}
		sentence.Text = w.Text
		if p.numbers != "" {
			sentence.Text = w.Text[:len(w.Text)-1] + " (" + p.numbers + ")."
		}
		said, _, _ := narrative.StatementOf(w.Text)
		if said.Side != "" && p.statement.Side != "" {
			sentence.Measurements = append(sentence.Measurements, measurements(p.masks, analysis.LesionShareRightLung, analysis.LesionShareLeftLung)...)
		}
		if said.GroundGlass {
			sentence.Measurements = append(sentence.Measurements, measurements(p.masks, analysis.GroundGlassShare)...)
		}
		return sentence, true
	}
	return sentence, sentence.Text != ""
}

// observation returns the observation of CheXpert that a finding of the image is, "" for any other.
func observation(f analysis.Finding) string {
	if f.Modality != analysis.Image {
		return ""
	}
	return chexpert.Of(f.Label)
}

// plan returns the sentences of a report in their order: the findings, what is present first, then by falling probability;
// the size of the heart; the measurements; the impression.
func plan(result *analysis.Result) []planned {
	findings := slices.Clone(result.Findings)
	slices.SortStableFunc(findings, func(a, b analysis.Finding) int {
		switch {
		case a.Present != b.Present && a.Present, a.Present == b.Present && a.Probability > b.Probability:
			return -1
		case a.Present != b.Present || a.Probability < b.Probability:
			return 1
		}
		return 0
	})
	facts := narrative.FactsOf(findings, result.Segmentation)
	var sentences []planned
	for _, f := range findings {
		p := planned{section: findingsSection, plain: analysis.Sentence{Text: describe(f), Evidence: []analysis.Finding{f}}, masks: result.Segmentation, numbers: certainty(f)}
		if o := observation(f); o != "" {
			if !f.Present && !facts.Deny(o) {
				continue // "Infiltration: not found" beside pneumonia would deny what stands there
			}
			p.state(facts, o)
		}
		sentences = append(sentences, p)
	}
	if _, judged := facts.Judged(chexpert.Cardiomegaly); judged && !slices.ContainsFunc(findings, func(f analysis.Finding) bool { return observation(f) == chexpert.Cardiomegaly }) {
		ratio := measurements(result.Segmentation, analysis.CardiothoracicRatio)
		p := planned{section: findingsSection, plain: analysis.Sentence{Evidence: []analysis.Finding{}, Measurements: ratio}, numbers: fmt.Sprintf("cardiothoracic ratio %.2f", ratio[0].Value)}
		p.state(facts, chexpert.Cardiomegaly)
		sentences = append(sentences, p)
	}
	if s := result.Segmentation; s != nil {
		sentences = append(sentences, measured(s)...)
	}
	for i := range findings { // the summary need not repeat where each was seen
		findings[i].Activation = nil
	}
	return append(sentences, impression(facts, findings, result.Segmentation)...)
}

// measurements returns those with the given names.
func measurements(s *analysis.Segmentation, names ...string) (out []analysis.Measurement) {
	for _, m := range s.Measurements {
		if slices.Contains(names, m.Name) {
			out = append(out, m)
		}
	}
	return out
}
