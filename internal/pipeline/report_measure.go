package pipeline

import (
	"fmt"

	"consilium/internal/analysis"
)

// measured states what was measured, each number with its measurement as the evidence.
func measured(s *analysis.Segmentation) (sentences []planned) {
	found := map[string]analysis.Measurement{}
	for _, m := range s.Measurements {
		found[m.Name] = m
	}
	state := func(format string, names ...string) {
		sentence := analysis.Sentence{Evidence: []analysis.Finding{}}
		var numbers []any
		for _, name := range names {
			m, ok := found[name]
			if !ok {
				return
			}
			sentence.Measurements = append(sentence.Measurements, m)
			if name == analysis.CardiothoracicRatio {
				numbers = append(numbers, fmt.Sprintf("%.2f", m.Value))
			} else {
				numbers = append(numbers, percent(m.Value))
			}
		}
		sentence.Text = fmt.Sprintf(format, numbers...)
		sentences = append(sentences, planned{section: measurementsSection, plain: sentence})
	}
	state("The right lung covers %s of the picture, the left lung %s.", analysis.RightLungArea, analysis.LeftLungArea)
	state("Cardiothoracic ratio: %s, the heart's width over the chest's; a film taken from the front (AP) or lying down shows the heart wider than it is.", analysis.CardiothoracicRatio)
	state("Opacities cover %s of the right lung and %s of the left lung.", analysis.LesionShareRightLung, analysis.LesionShareLeftLung)
	state("Of both lungs %s show ground glass and %s consolidation.", analysis.GroundGlassShare, analysis.ConsolidationShare)
	return sentences
}

// percent writes a share with one decimal.
func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

// effusion is what no model measures.
const effusion = "Pleural effusion was not measured: too few films of the training data show one drawn."

// unmeasurable says what was not measured on an image, and why.
func unmeasurable(s *analysis.Segmentation) []analysis.Omission {
	omit := func(reason string) analysis.Omission {
		return analysis.Omission{Modality: analysis.Image, Reason: reason}
	}
	if s == nil {
		return nil
	}
	if s.Problem != "" {
		return []analysis.Omission{omit("Nothing was measured in the image: " + s.Problem + ".")}
	}
	var omitted []analysis.Omission
	for _, reason := range append(s.Unmeasured, effusion) {
		omitted = append(omitted, omit(reason))
	}
	return omitted
}
