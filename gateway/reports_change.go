package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

// SignReport implements POST /v1/reports/{report_id}/sign.
func (s *server) SignReport(ctx context.Context, request api.SignReportRequestObject) (api.SignReportResponseObject, error) {
	report, err := s.change(ctx, request.ReportId, request.Params.IfMatch, analysis.SignReport, request.Body.By, "", nil)
	if err != nil {
		return nil, err
	}
	return api.SignReport200JSONResponse{Body: reportOf(report), Headers: api.SignReport200ResponseHeaders{ETag: etag(report, jsonForm)}}, nil
}

// AmendReport implements POST /v1/reports/{report_id}/amend.
func (s *server) AmendReport(ctx context.Context, request api.AmendReportRequestObject) (api.AmendReportResponseObject, error) {
	body := request.Body
	report, err := s.change(ctx, request.ReportId, request.Params.IfMatch, analysis.AmendReport, body.By, body.Reason, body.Changes)
	if err != nil {
		return nil, err
	}
	return api.AmendReport200JSONResponse{Body: reportOf(report), Headers: api.AmendReport200ResponseHeaders{ETag: etag(report, jsonForm)}}, nil
}

// RejectReport implements POST /v1/reports/{report_id}/reject.
func (s *server) RejectReport(ctx context.Context, request api.RejectReportRequestObject) (api.RejectReportResponseObject, error) {
	report, err := s.change(ctx, request.ReportId, request.Params.IfMatch, analysis.RejectReport, request.Body.By, request.Body.Reason, nil)
	if err != nil {
		return nil, err
	}
	return api.RejectReport200JSONResponse{Body: reportOf(report), Headers: api.RejectReport200ResponseHeaders{ETag: etag(report, jsonForm)}}, nil
}

// change does one thing with the newest version of a report that the request has read, and returns what came of it.
func (s *server) change(ctx context.Context, id string, ifMatch *string, action analysis.ReportAction, by api.Person, reason string, changes []api.SentenceChange) (*analysis.DiagnosticReport, error) {
	if err := allowed(ctx, maySign, "sign, amend or reject reports"); err != nil {
		return nil, err
	}
	texts := []struct{ field, text string }{{"by.name", by.Name}, {"by.role", by.Role}}
	if action != analysis.SignReport {
		texts = append(texts, struct{ field, text string }{"reason", reason})
	}
	for i, c := range changes {
		if c.Text != nil {
			texts = append(texts, struct{ field, text string }{fmt.Sprintf("changes.%d.text", i), *c.Text})
		}
	}
	for _, t := range texts {
		if err := checkWords(t.field, t.text); err != nil {
			return nil, err
		}
	}
	report, err := s.Store.Report(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := checkRevision(report, ifMatch); err != nil {
		return nil, err
	}
	latest := report.Latest()
	status, err := latest.Status.After(action)
	if err != nil {
		return nil, err
	}
	event := &analysis.ReportEvent{
		Revision: latest.Revision + 1, Action: action, Status: status, Version: latest.Version,
		By: analysis.Person{Name: by.Name, Role: by.Role}, Reason: reason, TraceID: traceID(ctx),
	}
	if key := keyOf(ctx); key != nil {
		event.Key = key.Name
	}
	var narrative *analysis.Narrative
	if action == analysis.AmendReport {
		if event.Version++; event.Version > analysis.MaxReportVersions {
			return nil, &analysis.Error{Code: analysis.Conflict, Field: "version", Message: "the report has too many versions; reject it and write another one",
				Limit: fmt.Sprintf("%d versions", analysis.MaxReportVersions), Value: fmt.Sprintf("%d versions and one more", latest.Version)}
		}
		if narrative, err = amended(&report.Narrative, changes); err != nil {
			return nil, err
		}
	}
	err = s.Reports.ChangeReport(ctx, id, event, narrative)
	var e *analysis.Error
	if errors.As(err, &e) && e.Code == analysis.Conflict && e.Field == analysis.OtherRevision {
		return nil, stale(*ifMatch, "")
	}
	if err != nil {
		return nil, err
	}
	if report.Events = append(report.Events, *event); narrative != nil {
		report.Narrative, report.Version, report.VersionAt = *narrative, event.Version, event.At
	}
	return report, nil
}

// checkWords refuses a text that is blank or holds what would break the lines that it is shown in.
func checkWords(field, text string) error {
	if strings.TrimSpace(text) == "" {
		return analysis.Invalid(field, "the text is blank")
	}
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		e := analysis.Invalid(field, "the text holds a control character")
		e.Value = fmt.Sprintf("%U at byte %d", []rune(text[i:])[0], i)
		return e
	}
	return nil
}

// checkRevision refuses a change of a report that the request has not read as it is now.
func checkRevision(report *analysis.DiagnosticReport, ifMatch *string) error {
	now := etag(report, jsonForm)
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" { // which would not say what was read
		e := analysis.Invalid("If-Match", "say which state of the report you have read: the ETag that came with it")
		e.Limit = now
		return &statusError{cause: e, status: http.StatusPreconditionRequired, name: "precondition_required"}
	}
	for _, tag := range strings.Split(*ifMatch, ",") {
		tag = strings.Trim(strings.TrimSpace(tag), `"`)
		revision, _, _ := strings.Cut(tag, ".") // any form of the report is the report
		if revision == strconv.Itoa(report.Latest().Revision) {
			return nil
		}
	}
	return stale(*ifMatch, now)
}

func stale(found, now string) error {
	e := analysis.Invalid("If-Match", "the report was changed since; read it again")
	e.Limit, e.Value = now, clip(found)
	return &statusError{cause: e, status: http.StatusPreconditionFailed, name: "precondition_failed"}
}

// amended returns what a report says after changes. What a person writes in place of a sentence keeps the evidence of it, so
// that a reader sees what the models had said.
func amended(was *analysis.Narrative, changes []api.SentenceChange) (*analysis.Narrative, error) {
	out := *was
	out.Sections = slices.Clone(was.Sections)
	for i := range out.Sections {
		out.Sections[i].Sentences = slices.Clone(out.Sections[i].Sentences)
	}
	removed, seen := map[*analysis.Section]map[int]bool{}, map[string]bool{}
	for i, c := range changes {
		field := fmt.Sprintf("changes.%d.", i)
		at := slices.IndexFunc(out.Sections, func(s analysis.Section) bool { return s.Name == string(c.Section) })
		if at < 0 {
			e := analysis.Invalid(field+"section", "the report has no such section")
			e.Value = string(c.Section)
			return nil, e
		}
		section := &out.Sections[at]
		if c.Sentence == nil {
			if c.Text == nil {
				return nil, analysis.Invalid(field+"text", "the change has neither a sentence nor a text")
			}
			section.Sentences = append(section.Sentences, analysis.Sentence{Text: *c.Text, Evidence: []analysis.Finding{}, WrittenBy: analysis.ByPerson})
			continue
		}
		n, key := len(was.Sections[at].Sentences), fmt.Sprintf("%s.%d", c.Section, *c.Sentence)
		if *c.Sentence >= n || seen[key] {
			e := analysis.Invalid(field+"sentence", "the section has no such sentence")
			e.Limit, e.Value = fmt.Sprintf("less than %d", n), strconv.Itoa(*c.Sentence)
			if seen[key] {
				e.Message, e.Limit = "the sentence is changed twice", "one change"
			}
			return nil, e
		}
		seen[key] = true
		if c.Text != nil {
			section.Sentences[*c.Sentence].Text, section.Sentences[*c.Sentence].WrittenBy = *c.Text, analysis.ByPerson
			continue
		}
		if removed[section] == nil {
			removed[section] = map[int]bool{}
		}
		removed[section][*c.Sentence] = true
	}
	left := 0
	for i := range out.Sections {
		section, kept := &out.Sections[i], []analysis.Sentence{}
		for j, sentence := range section.Sentences {
			if !removed[section][j] {
				kept = append(kept, sentence)
			}
		}
		section.Sentences = kept
		if left += len(kept); len(kept) > maxSentences {
			return nil, &analysis.Error{Code: analysis.TooLarge, Field: "changes", Message: "the section " + section.Name + " would be too long",
				Limit: fmt.Sprintf("%d sentences", maxSentences), Value: fmt.Sprintf("%d sentences", len(kept))}
		}
	}
	if left == 0 {
		return nil, analysis.Invalid("changes", "nothing would be left of the report; reject it instead")
	}
	return &out, nil
}

// maxSentences bounds a section that a person has added to.
const maxSentences = 1000
