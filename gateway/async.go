package gateway

import (
	"context"
	"net/http"
	"strings"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/jobs"
)

// respondAsync is the preference of RFC 7240 section 4.1.
const respondAsync = "respond-async"

type asyncKey struct{}

// deferrable has the operation know whether the request would rather have a job than wait.
func (s *server) deferrable(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Prefer")
		next(w, r.WithContext(context.WithValue(r.Context(), asyncKey{}, prefersAsync(r.Header.Values("Prefer")))))
	}
}

// prefersAsync reports whether one of the preferences is respond-async.
func prefersAsync(headers []string) bool {
	for _, header := range headers {
		for _, preference := range splitQuoted(header) {
			name, _, _ := strings.Cut(preference, ";") // parameters, of which it has none
			if strings.EqualFold(strings.TrimSpace(name), respondAsync) {
				return true
			}
		}
	}
	return false
}

// isDeferred reports whether the operation is to answer with a job.
func isDeferred(ctx context.Context) bool {
	deferred, _ := ctx.Value(asyncKey{}).(bool)
	return deferred
}

// later stores a job of one item that does what work says with one study. What would be refused at once is.
func (s *server) later(ctx context.Context, task jobs.Task, study string, ids *api.ArtefactIDs, work *analysis.Request, options jobs.Options) (deferred api.DeferredJSONResponse, err error) {
	if err := work.Validate(); err != nil {
		return deferred, err
	}
	options.Strict, options.Whole, options.Candidates, options.Artefacts = work.Strict, work.Whole, work.Candidates, or(ids, nil)
	job, err := s.createJob(ctx, &jobs.Request{Task: task, Filter: analysis.StudyFilter{IDs: []string{study}}, Options: options})
	if err != nil {
		return deferred, err
	}
	return api.DeferredJSONResponse{Body: *job, Headers: api.DeferredResponseHeaders{Location: "/v1/jobs/" + job.Id, PreferenceApplied: respondAsync}}, nil
}
