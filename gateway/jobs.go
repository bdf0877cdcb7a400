package gateway

import (
	"context"
	"errors"
	"strconv"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/jobs"
)

// CreateJob implements POST /v1/jobs.
func (s *server) CreateJob(ctx context.Context, request api.CreateJobRequestObject) (api.CreateJobResponseObject, error) {
	wanted := jobRequestOf(request.Body)
	wanted.Key = or(request.Params.IdempotencyKey, "")
	job, err := s.createJob(ctx, wanted)
	if err != nil {
		return nil, err
	}
	return api.CreateJob202JSONResponse{Body: *job, Headers: api.CreateJob202ResponseHeaders{Location: "/v1/jobs/" + job.Id}}, nil
}

// createJob stores a job, unless its key has one.
func (s *server) createJob(ctx context.Context, wanted *jobs.Request) (*api.Job, error) {
	if err := wanted.Check(); err != nil {
		return nil, err
	}
	if wanted.Options.Model != "" {
		if _, err := s.version(ctx, wanted.Options.Model); err != nil {
			return nil, err
		}
	}
	if ids := wanted.Options.Artefacts; len(ids) > 0 {
		if err := s.checkArtefacts(ctx, wanted.Filter.IDs[0], ids); err != nil {
			return nil, err
		}
	}
	job, _, err := s.Jobs.CreateJob(ctx, wanted, traceID(ctx))
	if err != nil {
		return nil, err
	}
	return s.jobOf(ctx, job)
}

// checkArtefacts refuses artefacts that are not of the study.
func (s *server) checkArtefacts(ctx context.Context, study string, ids []string) error {
	stored, err := s.Store.Study(ctx, study)
	if err == nil {
		_, err = choose(stored, &ids)
	}
	var e *analysis.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	if named.Field = "options." + e.Field; e.Code == analysis.NotFound {
		named.Code, named.Field = analysis.InvalidArgument, "filter.ids.0"
	}
	return &named
}

// ListJobs implements GET /v1/jobs.
func (s *server) ListJobs(ctx context.Context, request api.ListJobsRequestObject) (api.ListJobsResponseObject, error) {
	page := pageOf(ctx, request.Params.Limit)
	found, err := s.Jobs.Jobs(ctx, page)
	if err != nil {
		return nil, err
	}
	found, next := cut(ctx, found, page, func(job jobs.Job) string { return job.ID })
	list := api.ListJobs200JSONResponse{Jobs: []api.Job{}, NextCursor: next}
	for i := range found {
		job, err := s.jobOf(ctx, &found[i])
		if err != nil {
			return nil, err
		}
		list.Jobs = append(list.Jobs, *job)
	}
	return list, nil
}

// job reads a job as it is shown.
func (s *server) job(ctx context.Context, id string) (*api.Job, error) {
	job, err := s.Jobs.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.jobOf(ctx, job)
}

// GetJob implements GET /v1/jobs/{job_id}.
func (s *server) GetJob(ctx context.Context, request api.GetJobRequestObject) (api.GetJobResponseObject, error) {
	job, err := s.job(ctx, request.JobId)
	if err != nil {
		return nil, err
	}
	return api.GetJob200JSONResponse(*job), nil
}

// ListJobItems implements GET /v1/jobs/{job_id}/items.
func (s *server) ListJobItems(ctx context.Context, request api.ListJobItemsRequestObject) (api.ListJobItemsResponseObject, error) {
	p := request.Params
	if _, err := s.Jobs.Job(ctx, request.JobId); err != nil {
		return nil, err
	}
	page := pageOf(ctx, p.Limit)
	after, _ := strconv.Atoi(page.After) // "" or what was sealed below
	items, err := s.Jobs.JobItems(ctx, request.JobId, jobs.ItemState(or(p.State, "")), after, page.Limit)
	if err != nil {
		return nil, err
	}
	items, next := cut(ctx, items, page, func(item jobs.Item) string { return strconv.Itoa(item.Position) })
	return api.ListJobItems200JSONResponse{Items: each(items, jobItemOf), NextCursor: next}, nil
}

// control does something with a job.
func (s *server) control(ctx context.Context, id string, action jobs.Action) (*api.Job, error) {
	job, err := s.Jobs.ControlJob(ctx, id, action)
	if err != nil {
		return nil, err
	}
	return s.jobOf(ctx, job)
}

// PauseJob implements POST /v1/jobs/{job_id}/pause.
func (s *server) PauseJob(ctx context.Context, request api.PauseJobRequestObject) (api.PauseJobResponseObject, error) {
	job, err := s.control(ctx, request.JobId, jobs.Pause)
	if err != nil {
		return nil, err
	}
	return api.PauseJob200JSONResponse(*job), nil
}

// ResumeJob implements POST /v1/jobs/{job_id}/resume.
func (s *server) ResumeJob(ctx context.Context, request api.ResumeJobRequestObject) (api.ResumeJobResponseObject, error) {
	job, err := s.control(ctx, request.JobId, jobs.Resume)
	if err != nil {
		return nil, err
	}
	return api.ResumeJob200JSONResponse(*job), nil
}

// CancelJob implements POST /v1/jobs/{job_id}/cancel.
func (s *server) CancelJob(ctx context.Context, request api.CancelJobRequestObject) (api.CancelJobResponseObject, error) {
	job, err := s.control(ctx, request.JobId, jobs.Cancel)
	if err != nil {
		return nil, err
	}
	return api.CancelJob200JSONResponse(*job), nil
}

// RetryJob implements POST /v1/jobs/{job_id}/retry.
func (s *server) RetryJob(ctx context.Context, request api.RetryJobRequestObject) (api.RetryJobResponseObject, error) {
	job, err := s.control(ctx, request.JobId, jobs.Retry)
	if err != nil {
		return nil, err
	}
	return api.RetryJob200JSONResponse(*job), nil
}

// chosen is the filter of a request; without one it chooses every study.
func chosen(f *api.StudyFilter) analysis.StudyFilter {
	var filter analysis.StudyFilter
	if f == nil {
		return filter
	}
	filter.IDs, filter.Labels, filter.Modality = or(f.Ids, nil), or(f.Labels, nil), analysis.Modality(or(f.Modality, ""))
	if f.StudyDate != nil {
		filter.From, filter.To = or(f.StudyDate.From, ""), or(f.StudyDate.To, "")
	}
	return filter
}
