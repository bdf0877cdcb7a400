package gateway

import (
	"context"
	"fmt"
	"strconv"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/cache"
	"consilium/internal/jobs"
	"consilium/internal/pipeline"
)

// AskStudy implements POST /v1/studies/{study_id}/questions.
func (s *server) AskStudy(ctx context.Context, request api.AskStudyRequestObject) (api.AskStudyResponseObject, error) {
	body := request.Body
	work := &analysis.Request{
		Task: analysis.Question, Question: body.Question, Strict: body.Strict != nil && *body.Strict,
		Whole: body.Degraded != nil && *body.Degraded == api.Refuse,
	}
	if body.Candidates != nil {
		work.Candidates = *body.Candidates
	}
	reviewBelow := s.ReviewBelow
	if body.ReviewBelow != nil {
		reviewBelow = *body.ReviewBelow
	}
	if isDeferred(ctx) {
		study, err := s.Store.Study(ctx, request.StudyId)
		if err != nil {
			return nil, err
		}
		if _, err := choose(study, body.ArtefactIds); err != nil {
			return nil, err
		}
		deferred, err := s.later(ctx, jobs.Questions, request.StudyId, body.ArtefactIds, work, jobs.Options{Questions: []string{work.Question}, ReviewBelow: body.ReviewBelow})
		if err != nil {
			return nil, err
		}
		return api.AskStudy202JSONResponse{DeferredJSONResponse: deferred}, nil
	}
	ask := func(study *analysis.Study, ofArtefacts int) (*analysis.Answer, error) {
		artefacts, err := choose(study, body.ArtefactIds)
		if err != nil {
			return nil, err
		}
		answer, err := s.answerOn(ctx, request.StudyId, artefacts, work, reviewBelow)
		if err != nil {
			return nil, err
		}
		answer.OfArtefacts = ofArtefacts
		return answer, s.Store.CreateAnswer(ctx, answer)
	}
	// What a study holds is remembered; the store refuses the answer if the study has changed or is gone.
	name := recently(ctx, request.StudyId)
	if artefacts, ok := s.recent.Get(name); ok {
		answer, err := ask(&analysis.Study{Artefacts: artefacts}, len(artefacts))
		switch analysis.CodeOf(err) {
		case "":
			return api.AskStudy200JSONResponse(answerOf(answer)), nil
		case analysis.NotFound, analysis.Conflict, analysis.InvalidArgument:
			s.recent.Drop(name)
		default:
			return nil, err
		}
	}
	study, err := s.Store.Study(ctx, request.StudyId)
	if err != nil {
		return nil, err
	}
	if len(study.Artefacts) > 0 {
		s.recent.Put(name, study.Artefacts)
	}
	answer, err := ask(study, 0)
	if err != nil {
		return nil, err
	}
	return api.AskStudy200JSONResponse(answerOf(answer)), nil
}

// recently names a study in server.recent.
func recently(ctx context.Context, studyID string) string {
	return analysis.Tenant(ctx) + "/" + studyID
}

// answerOn asks a question about these artefacts of a study.
func (s *server) answerOn(ctx context.Context, studyID string, artefacts []analysis.Artefact, work *analysis.Request, reviewBelow float64) (*analysis.Answer, error) {
	inputs := map[analysis.Modality]string{}
	for _, a := range artefacts {
		inputs[a.Modality] = a.SHA256
	}
	answer, err := s.answer(ctx, work, inputs, func() error { return s.read(ctx, studyID, artefacts, work) }, reviewBelow)
	if err != nil {
		return nil, err
	}
	answer.StudyID, answer.Artefacts = studyID, artefacts
	return answer, nil
}

// answer asks a question about inputs, which are named by their SHA-256, and judges whether the answer needs review. What was asked
// before is answered from memory; else read puts the inputs into work.
func (s *server) answer(ctx context.Context, work *analysis.Request, inputs map[analysis.Modality]string, read func() error, reviewBelow float64) (*analysis.Answer, error) {
	asked := &cache.Asked{Question: work.Question, Strict: work.Strict, Candidates: work.Candidates, Inputs: inputs}
	remembered, lookedUp := true, pipeline.Stage(ctx, "remembered")
	result, err := s.Answers.Answer(ctx, asked, func() (*analysis.Result, error) {
		remembered = false
		if err := read(); err != nil {
			return nil, err
		}
		return s.Analyzer.Analyze(ctx, work)
	})
	if err != nil {
		return nil, err
	}
	if remembered {
		lookedUp()
	}
	return &analysis.Answer{
		Question: work.Question, Strict: work.Strict, Result: result, ReviewBelow: reviewBelow, Status: result.Status(reviewBelow),
		Stages: pipeline.Stages(ctx), TraceID: traceID(ctx),
	}, nil
}

// ListAnswers implements GET /v1/studies/{study_id}/questions.
func (s *server) ListAnswers(ctx context.Context, request api.ListAnswersRequestObject) (api.ListAnswersResponseObject, error) {
	page := pageOf(ctx, request.Params.Limit)
	answers, err := s.Store.Answers(ctx, request.StudyId, page)
	if err != nil {
		return nil, err
	}
	answers, next := cut(ctx, answers, page, func(answer analysis.Answer) string { return answer.ID })
	list := api.ListAnswers200JSONResponse{Answers: []api.Answer{}, NextCursor: next}
	for i := range answers {
		list.Answers = append(list.Answers, answerOf(&answers[i]))
	}
	return list, nil
}

// Vqa implements POST /v1/vqa.
func (s *server) Vqa(ctx context.Context, request api.VqaRequestObject) (api.VqaResponseObject, error) {
	parts, err := s.readForm(request.Body, []field{
		{name: "question", maxBytes: maxQuestionBytes},
		{name: "text", maxBytes: maxTextBytes},
		{name: "image", maxBytes: s.Limits.ImageBytes},
		{name: "audio", maxBytes: s.Limits.AudioBytes},
		{name: "strict", maxBytes: 16},
		{name: "candidates", maxBytes: 16},
		{name: "review_below", maxBytes: 32},
		{name: "degraded", maxBytes: 16},
	})
	if err != nil {
		return nil, err
	}
	work, reviewBelow := &analysis.Request{Task: analysis.Question}, s.ReviewBelow
	inputs := map[analysis.Modality]string{}
	for _, p := range parts {
		if err := readWork(p, work, &reviewBelow); err != nil {
			return nil, err
		}
		if modality := analysis.Modality(p.field); modality.Valid() {
			inputs[modality] = blob.Digest(p.content)
		}
	}
	answer, err := s.answer(ctx, work, inputs, func() error { return nil }, reviewBelow)
	if err != nil {
		return nil, err
	}
	return api.Vqa200JSONResponse(statelessAnswerOf(answer)), nil
}

// readWork puts one part of a stateless question into work, or reviewBelow.
func readWork(p part, work *analysis.Request, reviewBelow *float64) (err error) {
	switch p.field {
	case "question":
		work.Question = string(p.content)
	case "strict":
		if text := string(p.content); text != "true" && text != "false" {
			e := analysis.Invalid(p.field, "the value is of the wrong kind")
			e.Limit, e.Value = "true or false", strconv.Quote(clip(text))
			return e
		}
		work.Strict = string(p.content) == "true"
	case "candidates":
		if work.Candidates, err = strconv.Atoi(string(p.content)); err != nil || work.Candidates < 1 || work.Candidates > maxCandidates {
			e := analysis.Invalid(p.field, "the value is of the wrong kind or size")
			e.Limit, e.Value = fmt.Sprintf("1 to %d", maxCandidates), strconv.Quote(clip(string(p.content)))
			return e
		}
	case "review_below":
		if *reviewBelow, err = strconv.ParseFloat(string(p.content), 64); err != nil || !(*reviewBelow >= 0 && *reviewBelow <= 1) { // NaN is neither
			e := analysis.Invalid(p.field, "the value is of the wrong kind or size")
			e.Limit, e.Value = "0 to 1", strconv.Quote(clip(string(p.content)))
			return e
		}
	case "degraded":
		policy := api.DegradedPolicy(p.content)
		if !policy.Valid() {
			e := analysis.Invalid(p.field, "the value is unknown")
			e.Limit, e.Value = string(api.Accept)+" or "+string(api.Refuse), strconv.Quote(clip(string(p.content)))
			return e
		}
		work.Whole = policy == api.Refuse
	default:
		if _, err := checkContent(analysis.Modality(p.field), p.label, p.content); err != nil {
			return err
		}
		put(work, analysis.Modality(p.field), p.content)
	}
	return nil
}

// put sets the content of one modality.
func put(work *analysis.Request, modality analysis.Modality, content []byte) {
	switch modality {
	case analysis.Text:
		work.Text = string(content)
	case analysis.Image:
		work.Image = content
	case analysis.Audio:
		work.Audio = content
	}
}

// load reads the artefacts that ids name, or else the newest of each modality, into work, and returns them in
// the order of the modalities.
func (s *server) load(ctx context.Context, studyID string, ids *api.ArtefactIDs, work *analysis.Request) ([]analysis.Artefact, error) {
	study, err := s.Store.Study(ctx, studyID)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(study, ids)
	if err != nil {
		return nil, err
	}
	return chosen, s.read(ctx, studyID, chosen, work)
}

// read puts the bytes of a study's artefacts into work.
func (s *server) read(ctx context.Context, studyID string, artefacts []analysis.Artefact, work *analysis.Request) error {
	for i := range artefacts {
		content, err := s.Store.Content(ctx, &artefacts[i])
		if analysis.CodeOf(err) == analysis.NotFound { // the row was there a moment ago
			return &analysis.Error{Code: analysis.NotFound, Field: "study_id", Message: "the study was deleted", Value: studyID}
		}
		if err != nil {
			return err
		}
		put(work, artefacts[i].Modality, content)
	}
	return nil
}

// choose returns at most one artefact of each modality, in the order of the modalities.
func choose(study *analysis.Study, ids *api.ArtefactIDs) ([]analysis.Artefact, error) {
	byModality := map[analysis.Modality]*analysis.Artefact{}
	if ids == nil {
		for i := range study.Artefacts { // the last of each is the newest
			byModality[study.Artefacts[i].Modality] = &study.Artefacts[i]
		}
	} else {
		for i, id := range *ids {
			a := study.Artefact(id)
			e := analysis.Invalid(fmt.Sprintf("artefact_ids.%d", i), "the study has no such artefact")
			e.Value = id
			if a == nil {
				return nil, e
			}
			if byModality[a.Modality] != nil {
				e.Message, e.Limit = "another artefact of the same modality is named", "1 "+string(a.Modality)+" artefact"
				return nil, e
			}
			byModality[a.Modality] = a
		}
	}
	var chosen []analysis.Artefact
	for _, modality := range analysis.Modalities {
		if a := byModality[modality]; a != nil {
			chosen = append(chosen, *a)
		}
	}
	return chosen, nil
}

// CreateReport implements POST /v1/studies/{study_id}/reports.
func (s *server) CreateReport(ctx context.Context, request api.CreateReportRequestObject) (api.CreateReportResponseObject, error) {
	work := &analysis.Request{Task: analysis.Report}
	var ids *api.ArtefactIDs
	var model *string
	if request.Body != nil {
		work.Strict, ids = request.Body.Strict != nil && *request.Body.Strict, request.Body.ArtefactIds
		work.Whole = request.Body.Degraded != nil && *request.Body.Degraded == api.Refuse
		model = request.Body.Model
	}
	artefacts, err := s.load(ctx, request.StudyId, ids, work)
	if err != nil {
		return nil, err
	}
	streamed := ctx.Value(formKey{}) == streamForm
	if isDeferred(ctx) && !streamed {
		deferred, err := s.later(ctx, jobs.Report, request.StudyId, ids, work, jobs.Options{Model: or(model, "")})
		if err != nil {
			return nil, err
		}
		return api.CreateReport202JSONResponse{DeferredJSONResponse: deferred}, nil
	}
	present := map[analysis.Modality]bool{}
	for _, a := range artefacts {
		present[a.Modality] = true
	}
	write := func(ctx context.Context) (*analysis.DiagnosticReport, error) {
		result, narrative, err := s.report(ctx, work, model, present)
		if err != nil {
			return nil, err
		}
		report := &analysis.DiagnosticReport{
			StudyID: request.StudyId, Strict: work.Strict, Artefacts: artefacts, Narrative: narrative,
			Result: result, Stages: pipeline.Stages(ctx), TraceID: traceID(ctx),
		}
		return report, s.Store.CreateReport(ctx, report)
	}
	if streamed {
		return &reportStream{s, ctx, write}, nil
	}
	report, err := write(ctx)
	if err != nil {
		return nil, err
	}
	return api.CreateReport201JSONResponse{
		Body:    reportOf(report),
		Headers: api.CreateReport201ResponseHeaders{Location: "/v1/reports/" + report.ID, ETag: etag(report, jsonForm)},
	}, nil
}
