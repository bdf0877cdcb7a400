package pipeline

import (
	"fmt"

	"consilium/internal/analysis"
)

// measured states what was measured, each number with its measurement as the evidence. What kind of opacity is marked goes
// unsaid where healthy lungs show as much.
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
	healthy := fmt.Sprintf("; on 19 of 20 films without a finding it marks at most %.0f %%%% of either lung.", 100*analysis.UsualLesionShare) // a format
	if max(found[analysis.LesionShareRightLung].Value, found[analysis.LesionShareLeftLung].Value) <= analysis.UsualLesionShare {
		state("The model marks %s of the right lung and %s of the left lung as opacities, no more than on healthy films"+healthy, analysis.LesionShareRightLung, analysis.LesionShareLeftLung)
		return sentences
	}
	state("The model marks %s of the right lung and %s of the left lung as opacities, more than on most healthy films"+healthy, analysis.LesionShareRightLung, analysis.LesionShareLeftLung)
	state("Of both lungs %s are marked as ground glass and %s as consolidation.", analysis.GroundGlassShare, analysis.ConsolidationShare)
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
