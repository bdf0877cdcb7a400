package gateway

import (
	"context"

	"consilium/internal/analysis"
	"consilium/internal/jobs"
	"consilium/internal/pipeline"
)

// NewPerform returns the work on one item of a job, which does what the request for the same thing does.
func NewPerform(deps Deps) jobs.Perform {
	s := &server{Deps: deps}
	return func(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
		ctx, _ = pipeline.WithTiming(ctx)
		outcome, err := s.perform(ctx, work)
		if err != nil {
			return nil, err
		}
		outcome.Stages = pipeline.Stages(ctx)
		return outcome, nil
	}
}

func (s *server) perform(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
	o := &work.Options
	switch {
	case work.Task == jobs.Embed:
		return s.performEmbed(ctx, work)
	case work.Task == jobs.Report || o.Finding != "":
		return s.performReport(ctx, work)
	}
	request := &analysis.Request{Task: analysis.Question, Question: work.Question, Strict: o.Strict, Whole: o.Whole, Candidates: o.Candidates}
	study, err := s.Store.Study(ctx, work.StudyID)
	if err != nil {
		return nil, err
	}
	artefacts, err := choose(study, unless(o.Artefacts, len(o.Artefacts) == 0))
	if err != nil {
		return nil, err
	}
	answer, err := s.answerOn(ctx, work.StudyID, artefacts, request, or(o.ReviewBelow, s.ReviewBelow))
	if err != nil {
		return nil, err
	}
	best := answer.Result.Answers[0]
	outcome := &jobs.Outcome{Result: &jobs.Result{Answer: best.Text, Confidence: best.Probability, Status: answer.Status, Degraded: lacking(answer.Result)}}
	if work.Task == jobs.Evaluate {
		outcome.Result.Status = ""
		compare(outcome.Result, work)
		return outcome, nil
	}
	outcome.Answer = answer
	return outcome, nil
}

// compare says whether the result's answer is what is known of the study.
func compare(result *jobs.Result, work *jobs.Work) {
	result.Expected = work.Options.Known(work.Expected)
	right := jobs.Right(result.Answer, result.Expected)
	result.Correct = &right
}

func (s *server) performReport(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
	o := &work.Options
	request := &analysis.Request{Task: analysis.Report, Strict: o.Strict, Whole: o.Whole, FindingsOnly: work.Task == jobs.Evaluate}
	artefacts, err := s.load(ctx, work.StudyID, unless(o.Artefacts, len(o.Artefacts) == 0), request)
	if err != nil {
		return nil, err
	}
	present := map[analysis.Modality]bool{}
	for _, a := range artefacts {
		present[a.Modality] = true
	}
	result, narrative, err := s.report(ctx, request, optional(o.Model), present)
	if err != nil {
		return nil, err
	}
	outcome := &jobs.Outcome{Result: &jobs.Result{Degraded: lacking(result)}}
	if work.Task == jobs.Evaluate {
		for _, f := range result.Findings {
			if !jobs.Right(f.Label, o.Finding) {
				continue
			}
			outcome.Result.Answer, outcome.Result.Confidence = jobs.Absent, 1-f.Probability
			if f.Present {
				outcome.Result.Answer, outcome.Result.Confidence = jobs.Present, f.Probability
			}
			compare(outcome.Result, work)
			return outcome, nil
		}
		e := analysis.Invalid("options.finding", "the study was not judged for this finding")
		e.Value = o.Finding
		return nil, e
	}
	for _, f := range result.Findings {
		outcome.Result.Findings = append(outcome.Result.Findings, jobs.Finding{Label: f.Label, Probability: f.Probability, Present: f.Present})
	}
	outcome.Report = &analysis.DiagnosticReport{
		StudyID: work.StudyID, Strict: o.Strict, Artefacts: artefacts, Narrative: narrative, Result: result, Stages: pipeline.Stages(ctx), TraceID: traceID(ctx),
	}
	return outcome, nil
}

func (s *server) performEmbed(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
	study, err := s.Store.Study(ctx, work.StudyID)
	if err != nil {
		return nil, err
	}
	wanted := map[analysis.Modality]bool{}
	for _, m := range work.Options.Modalities {
		wanted[m] = true
	}
	var inputs []pipeline.Input
	result := &jobs.Result{}
	for i := range study.Artefacts {
		a := &study.Artefacts[i]
		if len(wanted) > 0 && !wanted[a.Modality] {
			continue
		}
		content, err := s.Store.Content(ctx, a)
		if err != nil {
			return nil, err
		}
		input := pipeline.Input{Modality: a.Modality, Data: content}
		if a.Modality == analysis.Text {
			input = pipeline.Input{Modality: a.Modality, Text: string(content)}
		}
		inputs = append(inputs, input)
		result.Embeddings = append(result.Embeddings, jobs.Embedding{ArtefactID: a.ID, Modality: a.Modality})
	}
	if len(inputs) == 0 {
		return nil, analysis.Invalid("options.modalities", "the study has no artefact of these modalities")
	}
	features, err := s.Embedder.Embed(ctx, inputs)
	if err != nil {
		return nil, err
	}
	for i, f := range features {
		result.Embeddings[i].Model, result.Embeddings[i].Vector = f.Model, littleEndian(f.Vector)
	}
	return &jobs.Outcome{Result: result}, nil
}

// lacking lists the modalities that a result does without since their encoder was down.
func lacking(result *analysis.Result) []analysis.Modality {
	var out []analysis.Modality
	for _, d := range result.Degraded {
		out = append(out, d.Modality)
	}
	return out
}
