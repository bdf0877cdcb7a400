package gateway

import (
	"math"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

func studyOf(study *analysis.Study) api.Study {
	out := api.Study{
		Id: study.ID, Title: study.Title, Accession: optional(study.Accession), StudyDate: optional(study.Date), Labels: study.Labels,
		Artefacts: []api.Artefact{}, CreatedAt: study.CreatedAt, StudyInstanceUid: optional(study.InstanceUID), ImportSha256: optional(study.ImportSHA256),
	}
	for _, a := range study.Artefacts {
		out.Artefacts = append(out.Artefacts, api.Artefact{Id: a.ID, Modality: api.Modality(a.Modality), MediaType: a.MediaType, Bytes: a.Bytes, Sha256: a.SHA256})
	}
	return out
}

// reviewText stands where the answer would stand that the model is not sure enough of.
const reviewText = "Not answered: a person has to look at this."

func statelessAnswerOf(answer *analysis.Answer) api.StatelessAnswer {
	result := answer.Result
	text, rest := result.Answers[0].Text, result.Answers[1:]
	if answer.Status == analysis.NeedsReview {
		text, rest = reviewText, result.Answers
	}
	return api.StatelessAnswer{
		Question: answer.Question, Status: api.AnswerStatus(answer.Status), ReviewBelow: answer.ReviewBelow,
		Text: text, Confidence: fraction(result.Answers[0].Probability), Candidates: candidatesOf(rest),
		Modalities: modalitiesOf(result.Modalities), Reliance: relianceOf(result.Reliance), Degraded: degradedOf(result.Degraded),
		Attention: attentionOf(result.Attention), Notes: notesOf(result.Notes), Models: result.Models, TraceId: answer.TraceID, Timing: timingOf(answer.Stages),
	}
}

func answerOf(answer *analysis.Answer) api.Answer {
	a := statelessAnswerOf(answer)
	return api.Answer{
		Id: answer.ID, StudyId: answer.StudyID, CreatedAt: answer.CreatedAt, Artefacts: usedOf(answer.Artefacts), Strict: answer.Strict,
		Question: a.Question, Status: a.Status, ReviewBelow: a.ReviewBelow, Text: a.Text, Confidence: a.Confidence, Candidates: a.Candidates,
		Modalities: a.Modalities, Reliance: a.Reliance, Degraded: a.Degraded, Attention: a.Attention, Notes: a.Notes, Models: a.Models, TraceId: a.TraceId, Timing: a.Timing,
	}
}

func sentenceOf(sentence *analysis.Sentence) api.Sentence {
	stated := api.Sentence{Text: sentence.Text, Evidence: []api.Finding{}}
	for _, f := range sentence.Evidence {
		stated.Evidence = append(stated.Evidence, api.Finding{Label: f.Label, Probability: fraction(f.Probability), Threshold: fraction(f.Threshold), Present: f.Present, Modality: api.Modality(f.Modality), Model: optional(f.Model), Band: bandOf(f.Band), Activation: activationOf(f.Activation)})
	}
	if len(sentence.Measurements) > 0 {
		measurements := measurementsOf(sentence.Measurements)
		stated.Measurements = &measurements
	}
	if sentence.WrittenBy == analysis.ByPerson {
		person := api.SentenceWrittenByPerson
		stated.WrittenBy = &person
	}
	return stated
}

func reportOf(report *analysis.DiagnosticReport) api.Report {
	out := api.Report{
		Id: report.ID, StudyId: report.StudyID, CreatedAt: report.CreatedAt, Artefacts: usedOf(report.Artefacts), Strict: report.Strict,
		Status: api.ReportState(report.Status()), Version: report.Version, LatestVersion: report.Latest().Version, Disclaimer: report.Narrative.Disclaimer,
		Sections: []api.Section{}, NotAssessed: []api.Omission{},
		Modalities: modalitiesOf(report.Result.Modalities), Degraded: degradedOf(report.Result.Degraded),
		Attention: attentionOf(report.Result.Attention), Segmentation: segmentationOf(report.Result.Segmentation), Notes: notesOf(report.Result.Notes),
		Models: report.Result.Models, Model: reportModelOf(report.Result.Brought), TraceId: report.TraceID, Timing: timingOf(report.Stages),
	}
	for _, section := range report.Narrative.Sections {
		sentences := []api.Sentence{}
		for i := range section.Sentences {
			sentences = append(sentences, sentenceOf(&section.Sentences[i]))
		}
		out.Sections = append(out.Sections, api.Section{Name: api.SectionName(section.Name), Sentences: sentences})
	}
	if e := report.Signature(); e != nil {
		signature := eventOf(e)
		out.Signature = &signature
	}
	if e := report.Latest(); e.Action == analysis.RejectReport {
		rejection := eventOf(e)
		out.Rejection = &rejection
	}
	for _, o := range report.Narrative.NotAssessed {
		out.NotAssessed = append(out.NotAssessed, api.Omission{Modality: api.Modality(o.Modality), Reason: o.Reason})
	}
	return out
}

// bandOf is nil for a report of before there were bands.
func bandOf(b analysis.Band) *api.FindingBand {
	if b == "" {
		return nil
	}
	band := api.FindingBand(b)
	return &band
}

func usedOf(artefacts []analysis.Artefact) []api.UsedArtefact {
	out := []api.UsedArtefact{}
	for _, a := range artefacts {
		out = append(out, api.UsedArtefact{Id: a.ID, Modality: api.Modality(a.Modality), Sha256: a.SHA256})
	}
	return out
}

func candidatesOf(candidates []analysis.Candidate) []api.Candidate {
	out := []api.Candidate{}
	for _, c := range candidates {
		out = append(out, api.Candidate{Text: c.Text, Probability: fraction(c.Probability)})
	}
	return out
}

func modalitiesOf(weights []analysis.ModalityWeight) []api.ModalityWeight {
	out := []api.ModalityWeight{}
	for _, w := range weights {
		out = append(out, api.ModalityWeight{Modality: api.Modality(w.Modality), Weight: fraction(w.Weight), Entropy: fraction(w.Entropy)})
	}
	return out
}

func relianceOf(reliance []analysis.Reliance) api.Reliances {
	out := api.Reliances{}
	for _, r := range reliance {
		out = append(out, api.Reliance{Modality: api.Modality(r.Modality), Score: r.Score, Blank: counterfactualOf(r.Blank), Shuffled: counterfactualOf(r.Shuffled)})
	}
	return out
}

func counterfactualOf(c analysis.Counterfactual) api.Counterfactual {
	return api.Counterfactual{Answer: c.Answer, Confidence: fraction(c.Confidence), Changed: c.Changed, Divergence: c.Divergence}
}

func degradedOf(degraded []analysis.Degradation) api.Degradations {
	out := api.Degradations{}
	for _, d := range degraded {
		out = append(out, api.Degradation{Modality: api.Modality(d.Modality), Reason: d.Reason})
	}
	return out
}

func activationOf(activation *analysis.Grid) *api.Activation {
	if activation == nil {
		return nil
	}
	return &api.Activation{Rows: activation.Rows, Cols: activation.Cols, Values: activation.Values}
}

func attentionOf(attention *analysis.Grid) *api.Attention {
	if attention == nil {
		return nil
	}
	return &api.Attention{Rows: attention.Rows, Cols: attention.Cols, Values: attention.Values}
}

func notesOf(notes []analysis.Note) []api.Note {
	out := []api.Note{}
	for _, n := range notes {
		out = append(out, api.Note{Modality: api.Modality(n.Modality), Kind: n.Kind, Detail: n.Detail})
	}
	return out
}

func timingOf(stages []analysis.Stage) []api.Stage {
	out := []api.Stage{}
	for _, stage := range stages {
		out = append(out, api.Stage{Name: stage.Name, Seconds: stage.Seconds})
	}
	return out
}

// fraction takes off what rounding in float32 added.
func fraction(v float64) float64 { return math.Min(1, math.Max(0, v)) }
