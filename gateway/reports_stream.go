package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
)

// reportStream is a report that is sent sentence by sentence while it is written.
type reportStream struct {
	server *server
	ctx    context.Context // of the request, which is over when the answer is sent
	write  func(ctx context.Context) (*analysis.DiagnosticReport, error)
}

// VisitCreateReportResponse implements api.CreateReportResponseObject. What fails before the first sentence is answered as
// without a stream.
func (r *reportStream) VisitCreateReportResponse(w http.ResponseWriter) error {
	begun := false
	send := func(event string, data any) {
		text, err := json.Marshal(data)
		if err != nil {
			panic(err) // what is sent is made of strings and finite numbers
		}
		if !begun {
			begun = true
			w.Header().Set("Content-Type", streamForm.mediaType)
			w.WriteHeader(http.StatusOK)
		}
		// Somebody who is gone is noticed by the end of the request's context.
		_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, text)
		_ = http.NewResponseController(w).Flush()
	}
	report, err := r.write(pipeline.WithSentences(r.ctx, func(section string, s analysis.Sentence) {
		s.Evidence = slices.Clone(s.Evidence)
		r.server.Bands.Mark(s.Evidence)
		send("sentence", struct {
			Section  api.SectionName `json:"section"`
			Sentence api.Sentence    `json:"sentence"`
		}{api.SectionName(section), sentenceOf(&s)})
	}))
	switch {
	case err != nil && !begun:
		return err
	case err != nil:
		problem, _ := problemOf(r.ctx, err)
		r.server.Log.ErrorContext(r.ctx, "a report that was being sent failed", "status", problem.Status, "error", err.Error())
		send("problem", problem)
	default:
		send("report", reportOf(report))
	}
	return nil
}
