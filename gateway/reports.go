package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/fhir"
	"consilium/internal/media"
	"consilium/internal/overlay"
	"consilium/internal/reportdoc"
	"consilium/internal/reportpage"
	"consilium/internal/reportpdf"
	"consilium/internal/reportsr"
)

// reportForm is one form in which a report, or what came of a job, can be had.
type reportForm struct {
	mediaType string
	tag       string // tells the ETags of the forms apart
}

var (
	jsonForm  = reportForm{plainJSON, ""}
	pageForm  = reportForm{"text/html", ".html"}
	pdfForm   = reportForm{"application/pdf", ".pdf"}
	fhirForm  = reportForm{fhir.MediaType, ".fhir"}
	dicomForm = reportForm{dicomFile, ".dicom"}
	// streamForm is a report that is sent while it is written.
	streamForm = reportForm{"text/event-stream", ""}
)

// reportForms lists the forms, the one for whoever takes any of them first.
var reportForms = []reportForm{jsonForm, pageForm, pdfForm, fhirForm, dicomForm}

// reports serves the routes of reports.
func (s *server) reports(r chi.Router, op *api.ServerInterfaceWrapper) {
	r.Post("/v1/studies/{study_id}/reports", s.negotiated(s.deferrable(op.CreateReport), []reportForm{jsonForm, streamForm}))
	r.Get("/v1/reports/{report_id}", s.negotiated(op.GetReport, reportForms))
	r.Get("/v1/reports/{report_id}/versions/{version}", s.negotiated(op.GetReportVersion, reportForms))
	r.Get("/v1/reports/{report_id}/history", op.GetReportHistory)
	r.Post("/v1/reports/{report_id}/sign", op.SignReport)
	r.Post("/v1/reports/{report_id}/amend", op.AmendReport)
	r.Post("/v1/reports/{report_id}/reject", op.RejectReport)
}

type formKey struct{}

// negotiated has the operation know which of the forms the request wants.
func (s *server) negotiated(next http.HandlerFunc, forms []reportForm) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		form, err := chooseForm(r.Header.Values("Accept"), forms)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), formKey{}, form)))
	}
}

// chooseForm returns the form that Accept headers want most, by RFC 9110 section 12.5.1: of a form the most specific range
// counts, then the greatest quality, then the order of the forms.
func chooseForm(headers []string, forms []reportForm) (reportForm, error) {
	if len(headers) == 0 {
		return forms[0], nil
	}
	quality, precision := make([]float64, len(forms)), make([]int, len(forms))
	for _, header := range headers {
		for _, field := range splitQuoted(header) {
			name, parameters, err := mime.ParseMediaType(field)
			if err != nil {
				continue
			}
			q := 1.0
			if raw, ok := parameters["q"]; ok {
				if q, err = strconv.ParseFloat(raw, 64); err != nil || !(q >= 0 && q <= 1) { // NaN is neither
					continue
				}
			}
			for i, form := range forms {
				kind, _, _ := strings.Cut(form.mediaType, "/")
				at := 0
				switch name {
				case form.mediaType:
					at = 3
				case kind + "/*":
					at = 2
				case "*/*":
					at = 1
				}
				if at > precision[i] || at == precision[i] && at > 0 && q > quality[i] {
					quality[i], precision[i] = q, at
				}
			}
		}
	}
	best := -1
	for i := range forms {
		if quality[i] > 0 && (best < 0 || quality[i] > quality[best]) {
			best = i
		}
	}
	if best < 0 {
		var names []string
		for _, form := range forms {
			names = append(names, form.mediaType)
		}
		return reportForm{}, notAcceptable(names...)
	}
	return forms[best], nil
}

// etag names a form of a report after the last thing that was done with it.
func etag(r *analysis.DiagnosticReport, form reportForm) string {
	return fmt.Sprintf(`"%d%s"`, r.Latest().Revision, form.tag)
}

// written is a report in one form.
type written struct {
	form    reportForm
	etag    string
	content []byte
}

func (d *written) VisitGetReportResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", d.form.mediaType)
	h.Set("ETag", d.etag)
	if d.form == pageForm {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", reportpage.Policy)
	}
	h.Set("Content-Length", strconv.Itoa(len(d.content)))
	_, err := w.Write(d.content)
	return err
}

func (d *written) VisitGetReportVersionResponse(w http.ResponseWriter) error {
	return d.VisitGetReportResponse(w)
}

// GetReport implements GET /v1/reports/{report_id}.
func (s *server) GetReport(ctx context.Context, request api.GetReportRequestObject) (api.GetReportResponseObject, error) {
	report, err := s.Store.Report(ctx, request.ReportId)
	if err != nil {
		return nil, err
	}
	return s.write(ctx, report)
}

// GetReportVersion implements GET /v1/reports/{report_id}/versions/{version}.
func (s *server) GetReportVersion(ctx context.Context, request api.GetReportVersionRequestObject) (api.GetReportVersionResponseObject, error) {
	report, err := s.Reports.ReportVersion(ctx, request.ReportId, request.Version)
	if err != nil {
		return nil, err
	}
	return s.write(ctx, report)
}

// write puts a report into the form that the request wants.
func (s *server) write(ctx context.Context, report *analysis.DiagnosticReport) (*written, error) {
	form, _ := ctx.Value(formKey{}).(reportForm)
	out := &written{form: form, etag: etag(report, form)}
	if form == jsonForm {
		var err error
		out.content, err = json.Marshal(reportOf(report))
		return out, err
	}
	study, err := s.Store.Study(ctx, report.StudyID)
	if err != nil {
		return nil, err
	}
	doc := &reportdoc.Document{Report: report, Study: study}
	switch form {
	case fhirForm:
		out.content, err = fhir.Write(doc)
	case dicomForm:
		out.content, err = s.structured(ctx, doc)
	default:
		if err := s.illustrate(ctx, doc); err != nil {
			return nil, err
		}
		if form == pdfForm {
			out.content, err = reportpdf.Write(doc)
		} else {
			out.content, err = reportpage.Write(doc)
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// image returns the bytes of the image that a report rests on, nil if there is none.
func (s *server) image(ctx context.Context, report *analysis.DiagnosticReport) ([]byte, *analysis.Artefact, error) {
	for i := range report.Artefacts {
		if a := &report.Artefacts[i]; a.Modality == analysis.Image {
			content, err := s.Store.Content(ctx, a)
			return content, a, err
		}
	}
	return nil, nil, nil
}

// illustrate draws the image of a report, and its masks if there are any, once the memory that it takes is free.
func (s *server) illustrate(ctx context.Context, doc *reportdoc.Document) error {
	content, artefact, err := s.image(ctx, doc.Report)
	if err != nil || artefact == nil {
		return err
	}
	header, err := media.CheckImage(content)
	if err != nil {
		return err
	}
	need := header.DecodeBytes()
	if err := s.drawing.Acquire(ctx, need); err != nil {
		return err
	}
	defer s.drawing.Release(need)
	decoded, err := media.DecodeImage(content)
	if err != nil {
		return err
	}
	if doc.Picture, err = reportdoc.PNG(decoded.Image); err != nil {
		return err
	}
	if masks := doc.Report.Result.Segmentation; masks != nil && len(masks.Masks) > 0 {
		doc.Drawing, err = overlay.PNG(decoded.Image, masks)
	}
	return err
}

// structured writes a report as DICOM.
func (s *server) structured(ctx context.Context, doc *reportdoc.Document) ([]byte, error) {
	if doc.Report.Status() == analysis.ReportRejected {
		return nil, &analysis.Error{Code: analysis.Conflict, Field: "status", Message: "a rejected report is not given as DICOM, which has no way to say that it is",
			Value: string(analysis.ReportRejected)}
	}
	content, artefact, err := s.image(ctx, doc.Report)
	if err != nil {
		return nil, err
	}
	if artefact == nil {
		e := notAcceptable(jsonForm.mediaType, pageForm.mediaType, pdfForm.mediaType, fhirForm.mediaType).(*statusError)
		e.cause.Message = "a report that rests on no image cannot be had as DICOM"
		return nil, e
	}
	if artefact.MediaType != analysis.DICOMMediaType {
		content = nil
	}
	return reportsr.Write(doc, content)
}

// GetReportHistory implements GET /v1/reports/{report_id}/history.
func (s *server) GetReportHistory(ctx context.Context, request api.GetReportHistoryRequestObject) (api.GetReportHistoryResponseObject, error) {
	report, err := s.Store.Report(ctx, request.ReportId)
	if err != nil {
		return nil, err
	}
	history := api.GetReportHistory200JSONResponse{Events: []api.ReportEvent{}}
	for i := range report.Events {
		history.Events = append(history.Events, eventOf(&report.Events[i]))
	}
	return history, nil
}

func eventOf(e *analysis.ReportEvent) api.ReportEvent {
	out := api.ReportEvent{
		Revision: e.Revision, Action: api.ReportEventAction(e.Action), Status: api.ReportState(e.Status), Version: e.Version, Sha256: e.SHA256,
		Key: optional(e.Key), Reason: optional(e.Reason), TraceId: e.TraceID, At: e.At,
	}
	if e.By.Name != "" {
		out.By = &api.Person{Name: e.By.Name, Role: e.By.Role}
	}
	return out
}
