package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/narrative"
)

// Disclaimer stands on every report.
const Disclaimer = "Research software, not a medical device. A preliminary result that a qualified person has to review."

// Preliminary is the status of a report that no person has signed.
const Preliminary = "preliminary"

// Write returns the report on what the fusion found and what was measured. Each sentence states the findings or the
// measurements that it carries as evidence and nothing else, so it cannot contradict them. A label is called present or not only by its own
// threshold. Where the result has words for a sentence, those are taken that may stand for what it states; else it is a plain
// one.
func Write(result *analysis.Result, present map[analysis.Modality]bool) analysis.Narrative {
	sections := []analysis.Section{{Name: findingsSection, Sentences: []analysis.Sentence{}}}
	if s := result.Segmentation; s != nil && len(s.Measurements) > 0 {
		sections = append(sections, analysis.Section{Name: measurementsSection, Sentences: []analysis.Sentence{}})
	}
	sections = append(sections, analysis.Section{Name: impressionSection, Sentences: []analysis.Sentence{}})
	facts := narrative.FactsOf(result.Findings, result.Segmentation)
	for _, p := range plan(result) {
		sentence, ok := p.written(facts, result.Wordings)
		if !ok {
			continue
		}
		i := slices.IndexFunc(sections, func(s analysis.Section) bool { return s.Name == p.section })
		sections[i].Sentences = append(sections[i].Sentences, sentence)
	}
	return analysis.Narrative{
		Status:      Preliminary,
		Disclaimer:  Disclaimer,
		Sections:    sections,
		NotAssessed: append(omissions(result, present), unmeasurable(result.Segmentation)...),
	}
}

// describe states one finding in fixed words.
func describe(f analysis.Finding) string {
	found := "not found"
	if f.Present {
		found = "present"
	}
	return fmt.Sprintf("%s: %s in the %s (%s).", sentenceCase(f.Label), found, noun(f.Modality), certainty(f))
}

// certainty is what stands behind every sentence about a finding, whoever chose its words: they sound the same just above
// the threshold and far above it.
func certainty(f analysis.Finding) string {
	probability, threshold := apart(f.Probability, f.Threshold)
	return fmt.Sprintf("probability %s, threshold %s", probability, threshold)
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

// impression sums up the findings, in one sentence; without findings there is nothing to sum up.
func impression(facts *narrative.Facts, findings []analysis.Finding, masks *analysis.Segmentation) []planned {
	if len(findings) == 0 {
		return nil
	}
	var present []analysis.Finding
	var labels, observations []string
	for _, f := range findings {
		if f.Present {
			present, labels, observations = append(present, f), append(labels, f.Label), append(observations, observation(f))
		}
	}
	if len(present) == 0 {
		return []planned{{section: impressionSection, plain: analysis.Sentence{Text: "None of the assessed findings reaches its threshold.", Evidence: findings}}}
	}
	p := planned{section: impressionSection, plain: analysis.Sentence{Text: "Present: " + list(labels) + ".", Evidence: present}, masks: masks}
	if !slices.Contains(observations, "") {
		p.state(facts, observations...)
	}
	return []planned{p}
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
