package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

// CreateStudy implements POST /v1/studies.
func (s *server) CreateStudy(ctx context.Context, request api.CreateStudyRequestObject) (api.CreateStudyResponseObject, error) {
	parts, err := s.readForm(request.Body, []field{
		{name: "metadata", maxBytes: s.Limits.MetadataBytes},
		{name: "text", maxBytes: maxTextBytes, many: true},
		{name: "image", maxBytes: s.Limits.ImageBytes, many: true},
		{name: "audio", maxBytes: s.Limits.AudioBytes, many: true},
	})
	if err != nil {
		return nil, err
	}
	d := &draft{study: &analysis.Study{Labels: map[string]string{}}}
	for _, p := range parts {
		if p.field == "metadata" {
			err = s.readMetadata(p.content, d.study)
		} else {
			err = s.addContent(ctx, d, analysis.Modality(p.field), p.label, p.content)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(d.contents) == 0 {
		e := analysis.Invalid("body", "a study needs at least one text, image or sound")
		e.Limit, e.Value = "at least 1 artefact", "0"
		return nil, e
	}
	if err := s.storeDraft(ctx, d); err != nil {
		return nil, err
	}
	s.recent.Put(recently(ctx, d.study.ID), d.study.Artefacts) // the next thing that is done with it is mostly a question
	created := studyOf(d.study)
	if len(d.warnings) > 0 {
		created.Warnings = &d.warnings
	}
	return api.CreateStudy201JSONResponse{
		Body:    created,
		Headers: api.CreateStudy201ResponseHeaders{Location: "/v1/studies/" + d.study.ID},
	}, nil
}

// readMetadata fills study from the metadata part.
func (s *server) readMetadata(raw []byte, study *analysis.Study) error {
	if err := s.checkJSON("metadata", raw, s.spec.Components.Schemas["StudyMetadata"].Value); err != nil {
		return err
	}
	var metadata api.StudyMetadata
	if err := json.Unmarshal(raw, &metadata); err != nil {
		return fmt.Errorf("read metadata that was checked: %w", err)
	}
	if metadata.Title != nil {
		study.Title = *metadata.Title
	}
	if metadata.Accession != nil {
		study.Accession = *metadata.Accession
	}
	if metadata.StudyDate != nil {
		study.Date = *metadata.StudyDate
		if err := analysis.ValidateDate("metadata.study_date", study.Date); err != nil {
			return err
		}
	}
	if metadata.Labels != nil {
		study.Labels = *metadata.Labels
	}
	for name := range study.Labels {
		if n := len([]rune(name)); n == 0 || n > maxLabelName {
			e := analysis.Invalid("metadata.labels", "a label's name has the wrong length")
			e.Limit, e.Value = fmt.Sprintf("1 to %d characters", maxLabelName), fmt.Sprintf("%d characters", n)
			return e
		}
	}
	return nil
}

// ListStudies implements GET /v1/studies.
func (s *server) ListStudies(ctx context.Context, request api.ListStudiesRequestObject) (api.ListStudiesResponseObject, error) {
	filter, err := listFilter(&request.Params)
	if err != nil {
		return nil, err
	}
	page := pageOf(ctx, request.Params.Limit)
	studies, err := s.Store.Studies(ctx, filter, page)
	if err != nil {
		return nil, err
	}
	studies, next := cut(ctx, studies, page, func(study analysis.Study) string { return study.ID })
	list := api.ListStudies200JSONResponse{Studies: []api.Study{}, NextCursor: next}
	for i := range studies {
		list.Studies = append(list.Studies, studyOf(&studies[i]))
	}
	return list, nil
}

// listFilter reads the parameters that choose studies.
func listFilter(params *api.ListStudiesParams) (*analysis.StudyFilter, error) {
	filter := &analysis.StudyFilter{Labels: map[string]string{}}
	if params.Label != nil {
		for _, label := range *params.Label {
			name, value, found := strings.Cut(label, "=")
			if _, twice := filter.Labels[name]; !found || name == "" || twice {
				e := unreadable400("label", "want name=value, and each name once")
				e.cause.Value = clip(label)
				return nil, e
			}
			filter.Labels[name] = value
		}
	}
	if params.From != nil {
		filter.From = *params.From
	}
	if params.To != nil {
		filter.To = *params.To
	}
	if params.Modality != nil {
		filter.Modality = analysis.Modality(*params.Modality)
	}
	return filter, filter.Validate("")
}

// GetStudy implements GET /v1/studies/{study_id}.
func (s *server) GetStudy(ctx context.Context, request api.GetStudyRequestObject) (api.GetStudyResponseObject, error) {
	study, err := s.Store.Study(ctx, request.StudyId)
	if err != nil {
		return nil, err
	}
	return api.GetStudy200JSONResponse(studyOf(study)), nil
}

// DeleteStudy implements DELETE /v1/studies/{study_id}.
func (s *server) DeleteStudy(ctx context.Context, request api.DeleteStudyRequestObject) (api.DeleteStudyResponseObject, error) {
	if err := s.Store.DeleteStudy(ctx, request.StudyId); err != nil {
		return nil, err
	}
	if s.Forget != nil {
		if err := s.Forget(ctx); err != nil { // the study is gone; what the cache remembers goes later
			s.Log.WarnContext(ctx, "the cache still remembers what was deleted", "error", err.Error())
		}
	}
	return api.DeleteStudy204Response{}, nil
}

// GetArtefact implements GET /v1/studies/{study_id}/artefacts/{artefact_id}.
func (s *server) GetArtefact(ctx context.Context, request api.GetArtefactRequestObject) (api.GetArtefactResponseObject, error) {
	study, err := s.Store.Study(ctx, request.StudyId)
	if err != nil {
		return nil, err
	}
	artefact := study.Artefact(request.ArtefactId)
	if artefact == nil {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "artefact_id", Message: "the study has no such artefact", Value: request.ArtefactId}
	}
	content, err := s.Store.Content(ctx, artefact)
	if err != nil {
		return nil, err
	}
	return api.GetArtefact200AsteriskResponse{Body: bytes.NewReader(content), ContentType: artefact.MediaType, ContentLength: int64(len(content)),
		Headers: api.GetArtefact200ResponseHeaders{ETag: `"` + artefact.SHA256 + `"`}}, nil
}
