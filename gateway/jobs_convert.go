package gateway

import (
	"context"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/jobs"
	"consilium/internal/pipeline"
)

func jobRequestOf(body *api.CreateJobJSONRequestBody) *jobs.Request {
	request := &jobs.Request{Task: jobs.Task(body.Task), Filter: chosen(body.Filter), Options: jobs.Options{Whole: true}}
	options := body.Options
	if options == nil {
		options = &api.JobOptions{}
	}
	o := &request.Options
	o.Questions, o.Candidates, o.ReviewBelow, o.Strict = or(options.Questions, nil), or(options.Candidates, 0), options.ReviewBelow, or(options.Strict, false)
	o.Model, o.Finding, o.Positive = or(options.Model, ""), or(options.Finding, ""), or(options.Positive, nil)
	o.Artefacts, o.Label, o.Expected = or(options.ArtefactIds, nil), or(options.Label, ""), or(options.Expected, nil)
	for _, m := range or(options.Modalities, nil) {
		o.Modalities = append(o.Modalities, analysis.Modality(m))
	}
	if request.Task == jobs.Embed || options.Degraded != nil && *options.Degraded == api.JobDegradedAccept {
		o.Whole = false
	}
	return request
}

// jobOf shows a job, with what an evaluation has found so far.
func (s *server) jobOf(ctx context.Context, job *jobs.Job) (*api.Job, error) {
	c := job.Counts
	out := &api.Job{
		Id: job.ID, Task: api.JobTask(job.Task), State: api.JobState(job.State), Options: jobOptionsOf(job), Skipped: job.Skipped,
		Counts:         api.JobCounts{Total: c.Total, Queued: c.Queued, Running: c.Running, Succeeded: c.Succeeded, Failed: c.Failed, Cancelled: c.Cancelled},
		ItemsPerSecond: job.Rate, TraceId: job.TraceID, CreatedAt: job.CreatedAt, FinishedAt: job.FinishedAt,
	}
	f := &job.Filter
	out.Filter.Labels, out.Filter.Modality = unless(f.Labels, len(f.Labels) == 0), unless(api.Modality(f.Modality), f.Modality == "")
	if f.From != "" || f.To != "" {
		out.Filter.StudyDate = &struct {
			From *api.Day `json:"from,omitempty"`
			To   *api.Day `json:"to,omitempty"`
		}{optional(f.From), optional(f.To)}
	}
	if remaining, ok := job.Remaining(); ok {
		seconds := remaining.Seconds()
		out.EtaSeconds = &seconds
	}
	if job.Task != jobs.Embed {
		out.Disclaimer = optional(pipeline.Disclaimer)
	}
	if job.Task != jobs.Evaluate {
		return out, nil
	}
	found, err := s.Jobs.JobEvaluation(ctx, job.ID)
	if err != nil {
		return nil, err
	}
	out.Evaluation = evaluationOf(found)
	return out, nil
}

// unless returns a pointer to v, nil if it is to be left out.
func unless[T any](v T, out bool) *T {
	if out {
		return nil
	}
	return &v
}

func jobOptionsOf(job *jobs.Job) api.JobOptions {
	o := &job.Options
	out := api.JobOptions{
		Questions: unless(o.Questions, len(o.Questions) == 0), Candidates: unless(o.Candidates, o.Candidates == 0), ReviewBelow: o.ReviewBelow,
		Strict: unless(o.Strict, !o.Strict), Model: optional(o.Model), Finding: optional(o.Finding), Positive: unless(o.Positive, len(o.Positive) == 0), Label: optional(o.Label),
		ArtefactIds: unless(o.Artefacts, len(o.Artefacts) == 0),
	}
	if len(o.Modalities) > 0 {
		modalities := each(o.Modalities, func(m *analysis.Modality) api.Modality { return api.Modality(*m) })
		out.Modalities = &modalities
	}
	if job.Task != jobs.Embed {
		policy := api.JobDegradedAccept
		if o.Whole {
			policy = api.JobDegradedRefuse
		}
		out.Degraded = &policy
	}
	return out
}

func evaluationOf(e *jobs.Evaluation) *api.JobEvaluation {
	return &api.JobEvaluation{
		Cases: e.Cases, Correct: e.Correct, Accuracy: e.Accuracy(), Floor: e.Majority, FloorLabel: e.MajorityLabel,
		Labels: each(e.Labels, func(l *jobs.LabelScore) api.JobLabelScore {
			return api.JobLabelScore{Label: l.Label, Cases: l.Cases, Correct: l.Correct, Accuracy: float64(l.Correct) / float64(l.Cases)}
		}),
	}
}

func jobItemOf(item *jobs.Item) api.JobItem {
	out := api.JobItem{Position: item.Position, StudyId: item.StudyID, Question: optional(item.Question), State: api.JobItemState(item.State),
		Attempts: item.Attempts, FinishedAt: item.FinishedAt}
	if p := item.Problem; p != nil {
		out.Problem = &api.JobItemProblem{Type: problemType + string(p.Code), Detail: p.Message, Field: optional(p.Field), Limit: optional(p.Limit), Value: optional(p.Value), TraceId: optional(p.TraceID)}
	}
	if len(item.Stages) > 0 {
		timing := timingOf(item.Stages)
		out.Timing = &timing
	}
	r := item.Result
	if r == nil {
		return out
	}
	result := &api.JobItemResult{AnswerId: optional(r.AnswerID), ReportId: optional(r.ReportID), Answer: optional(r.Answer), Expected: optional(r.Expected), Correct: r.Correct}
	if r.Answer != "" {
		confidence := fraction(r.Confidence)
		result.Confidence = &confidence
	}
	result.Status = unless(api.AnswerStatus(r.Status), r.Status == "")
	if len(r.Degraded) > 0 {
		degraded := each(r.Degraded, func(m *analysis.Modality) api.Modality { return api.Modality(*m) })
		result.Degraded = &degraded
	}
	if len(r.Findings) > 0 {
		findings := each(r.Findings, func(f *jobs.Finding) api.JobFinding {
			return api.JobFinding{Label: f.Label, Probability: fraction(f.Probability), Present: f.Present}
		})
		result.Findings = &findings
	}
	if len(r.Embeddings) > 0 {
		embeddings := each(r.Embeddings, func(e *jobs.Embedding) api.JobEmbedding {
			return api.JobEmbedding{ArtefactId: e.ArtefactID, Modality: api.Modality(e.Modality), Model: e.Model, Embedding: e.Vector}
		})
		result.Embeddings = &embeddings
	}
	out.Result = result
	return out
}
