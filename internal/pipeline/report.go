package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"consilium/internal/analysis"
)

// Disclaimer stands on every report.
const Disclaimer = "Research software, not a medical device. A preliminary result that a qualified person has to review."

// Preliminary is the status of a report that no person has signed.
const Preliminary = "preliminary"

// Write returns the report on what the fusion found and what was measured. Each sentence states the findings or the
// measurements that it carries as evidence and nothing else, so it cannot contradict them. A label is called present or not only by its own
// threshold.
func Write(result *analysis.Result, present map[analysis.Modality]bool) analysis.Narrative {
	findings := slices.Clone(result.Findings)
	slices.SortStableFunc(findings, func(a, b analysis.Finding) int { // what is present first, then by falling probability
		switch {
		case a.Present != b.Present && a.Present, a.Present == b.Present && a.Probability > b.Probability:
			return -1
		case a.Present != b.Present || a.Probability < b.Probability:
			return 1
		}
		return 0
	})
	detail := analysis.Section{Name: "findings", Sentences: []analysis.Sentence{}}
	for _, f := range findings {
		detail.Sentences = append(detail.Sentences, analysis.Sentence{Text: describe(f), Evidence: []analysis.Finding{f}})
	}
	for i := range findings { // the summary need not repeat where each was seen
		findings[i].Activation = nil
	}
	sections := []analysis.Section{detail}
	if s := result.Segmentation; s != nil && len(s.Measurements) > 0 {
		sections = append(sections, measured(s))
	}
	return analysis.Narrative{
		Status:      Preliminary,
		Disclaimer:  Disclaimer,
		Sections:    append(sections, impression(findings)),
		NotAssessed: append(omissions(result, present), unmeasurable(result.Segmentation)...),
	}
}

// describe states one finding.
func describe(f analysis.Finding) string {
	probability, threshold := apart(f.Probability, f.Threshold)
	if f.Present {
		return fmt.Sprintf("%s: present in the %s (probability %s, threshold %s).", sentenceCase(f.Label), noun(f.Modality), probability, threshold)
	}
	return fmt.Sprintf("%s: not found in the %s (probability %s, threshold %s).", sentenceCase(f.Label), noun(f.Modality), probability, threshold)
}

// apart writes two numbers with two decimals, or as many as it takes to see which is greater: 0.497 and 0.500.
func apart(a, b float64) (string, string) {
	for decimals := 2; ; decimals++ {
		x, y := strconv.FormatFloat(a, 'f', decimals, 64), strconv.FormatFloat(b, 'f', decimals, 64)
		if x != y || a == b || decimals == 15 {
			return x, y
		}
	}
}

// impression sums up the findings, in one sentence; without findings there is nothing to sum
// up.
func impression(findings []analysis.Finding) analysis.Section {
	section := analysis.Section{Name: "impression", Sentences: []analysis.Sentence{}}
	if len(findings) == 0 {
		return section
	}
	var present []analysis.Finding
	var labels []string
	for _, f := range findings {
		if f.Present {
			present, labels = append(present, f), append(labels, f.Label)
		}
	}
	sentence := analysis.Sentence{Text: "None of the assessed findings reaches its threshold.", Evidence: findings}
	if len(present) > 0 {
		sentence = analysis.Sentence{Text: "Present: " + list(labels) + ".", Evidence: present}
	}
	section.Sentences = append(section.Sentences, sentence)
	return section
}

// omissions says which modalities are absent, could not be encoded, or are present without a label that is judged
// from them.
func omissions(result *analysis.Result, present map[analysis.Modality]bool) []analysis.Omission {
	omitted := []analysis.Omission{}
	lost := map[analysis.Modality]string{}
	for _, d := range result.Degraded {
		lost[d.Modality] = d.Reason
	}
	for _, modality := range analysis.Modalities {
		judged := slices.ContainsFunc(result.Findings, func(f analysis.Finding) bool { return f.Modality == modality })
		switch {
		case !present[modality]:
			omitted = append(omitted, analysis.Omission{Modality: modality, Reason: fmt.Sprintf("The study has no %s; nothing that is judged from one was assessed.", noun(modality))})
		case lost[modality] != "" && result.Models[string(modality)] == "":
			omitted = append(omitted, analysis.Omission{Modality: modality, Reason: fmt.Sprintf("The %s could not be read: %s; nothing that is judged from it was assessed.", noun(modality), lost[modality])})
		case !judged:
			omitted = append(omitted, analysis.Omission{Modality: modality, Reason: fmt.Sprintf("The model judges no finding from the %s alone; it counted only through its weight.", noun(modality))})
		case modality == analysis.Image:
			if labels := unsupported(result.Findings); len(labels) > 0 {
				omitted = append(omitted, analysis.Omission{Modality: modality, Reason: "The model was not trained on " + list(labels) + "; that none is named says nothing."})
			}
		}
	}
	return omitted
}

// cheXpert are the observations of CheXpert (Irvin et al. 2019, https://arxiv.org/abs/1901.07031, table 1), without No
// Finding, beside the name that a finding of this platform may have for the same.
var cheXpert = []struct{ name, here string }{
	{"enlarged cardiomediastinum", ""}, {"cardiomegaly", "Cardiomegaly"}, {"lung opacity", "Infiltration"}, {"lung lesion", "Lung Lesion"},
	{"edema", "Edema"}, {"consolidation", "Consolidation"}, {"pneumonia", "Pneumonia"}, {"atelectasis", "Atelectasis"},
	{"pneumothorax", "Pneumothorax"}, {"pleural effusion", "Effusion"}, {"other pleural disease", "Pleural_Thickening"},
	{"fracture", "Fracture"}, {"support devices", "Support Devices"},
}

// unsupported lists the observations of CheXpert that no finding is, if some are.
func unsupported(findings []analysis.Finding) (names []string) {
	for _, c := range cheXpert {
		if !slices.ContainsFunc(findings, func(f analysis.Finding) bool { return f.Label == c.here }) {
			names = append(names, c.name)
		}
	}
	if len(names) == len(cheXpert) {
		return nil
	}
	return names
}

// noun names the artefact of a modality.
func noun(modality analysis.Modality) string {
	return map[analysis.Modality]string{analysis.Text: "note", analysis.Image: "image", analysis.Audio: "sound"}[modality]
}

func sentenceCase(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// list joins words as a sentence does: a, b and c.
func list(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
