package postgres_test

import (
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"consilium/internal/analysis"
	"consilium/internal/postgres"
)

// stored returns a study with a report on it.
func stored(t *testing.T, f *fixture) (*analysis.Study, *analysis.DiagnosticReport) {
	t.Helper()
	study := f.create(t, f.ctx, "note", "image")
	report := reportOf(study)
	if err := f.CreateReport(f.ctx, report); err != nil {
		t.Fatal(err)
	}
	return study, report
}

var doctor = analysis.Person{Name: "Ada Vogt", Role: "radiologist"}

// change does one thing with a report as the gateway does.
func (f *fixture) change(report *analysis.DiagnosticReport, action analysis.ReportAction, narrative *analysis.Narrative) (*analysis.ReportEvent, error) {
	latest := report.Latest()
	status, err := report.Status().After(action)
	if err != nil {
		return nil, err
	}
	event := &analysis.ReportEvent{Revision: latest.Revision + 1, Action: action, Status: status, Version: latest.Version, By: doctor, TraceID: report.TraceID}
	if action != analysis.SignReport {
		event.Reason = "because"
	}
	if action == analysis.AmendReport {
		event.Version++
	}
	return event, f.ChangeReport(f.ctx, report.ID, event, narrative)
}

func TestReportsHaveVersions(t *testing.T) {
	f := newFixture(t)
	_, report := stored(t, f)
	want := report.Narrative
	second := analysis.Narrative{Disclaimer: "Research software", Sections: []analysis.Section{{Name: "findings", Sentences: []analysis.Sentence{
		{Text: "No pneumonia.", Evidence: []analysis.Finding{}, WrittenBy: analysis.ByPerson}}}}, NotAssessed: []analysis.Omission{}}
	for i, step := range []struct {
		action    analysis.ReportAction
		narrative *analysis.Narrative
		status    analysis.ReportStatus
		version   int
	}{
		{analysis.AmendReport, &second, analysis.ReportPreliminary, 2}, {analysis.SignReport, nil, analysis.ReportFinal, 2},
		{analysis.AmendReport, &second, analysis.ReportAmended, 3}, {analysis.RejectReport, nil, analysis.ReportRejected, 3},
	} {
		now, err := f.Report(f.ctx, report.ID)
		if err != nil {
			t.Fatal(err)
		}
		event, err := f.change(now, step.action, step.narrative)
		if err != nil {
			t.Fatalf("%s: %v", step.action, err)
		}
		after, err := f.Report(f.ctx, report.ID)
		if err != nil {
			t.Fatal(err)
		}
		if after.Status() != step.status || after.Version != step.version || len(after.Events) != i+2 || !reflect.DeepEqual(*after.Latest(), *event) || event.SHA256 == "" {
			t.Errorf("after %s: %s, version %d, %+v, want %+v", step.action, after.Status(), after.Version, after.Latest(), event)
		}
	}
	for version, narrative := range map[int]analysis.Narrative{1: want, 2: second, 3: second} {
		got, err := f.ReportVersion(f.ctx, report.ID, version)
		if err != nil || !reflect.DeepEqual(got.Narrative, narrative) || got.Status() != analysis.ReportRejected {
			t.Errorf("version %d: %+v, %v, want %+v", version, got, err, narrative)
		}
	}
	for _, version := range []int{-1, 0, 4} {
		if _, err := f.ReportVersion(f.ctx, report.ID, version); analysis.CodeOf(err) != analysis.NotFound {
			t.Errorf("version %d: %v", version, err)
		}
	}
	other := analysis.WithTenant(f.ctx, "other")
	if _, err := f.ReportVersion(other, report.ID, 1); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("another tenant reads a version: %v", err)
	}
	if err := f.ChangeReport(other, report.ID, &analysis.ReportEvent{Revision: 6, Action: analysis.SignReport, Status: analysis.ReportFinal, Version: 3, By: doctor, TraceID: report.TraceID}, nil); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("another tenant signs: %v", err)
	}
}

func TestOneOfTwoWhoSignIsRefused(t *testing.T) {
	f := newFixture(t)
	_, report := stored(t, f)
	errs := make([]error, 8)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			action, narrative := analysis.SignReport, (*analysis.Narrative)(nil)
			if i%2 == 1 {
				action, narrative = analysis.AmendReport, &report.Narrative
			}
			_, errs[i] = f.change(report, action, narrative)
		})
	}
	group.Wait()
	through := 0
	for _, err := range errs {
		var e *analysis.Error
		if err == nil {
			through++
		} else if !errors.As(err, &e) || e.Code != analysis.Conflict || e.Field != analysis.OtherRevision {
			t.Errorf("refused with %v", err)
		}
	}
	if n := f.count(t, "report_events"); through != 1 || n != 2 {
		t.Errorf("%d of %d came through, %d events", through, len(errs), n)
	}
}

// TestTheDatabaseKeepsReportsAsTheyAre goes behind the store's back, as the owner of the tables.
func TestTheDatabaseKeepsReportsAsTheyAre(t *testing.T) {
	f := newFixture(t)
	study, report := stored(t, f)
	if _, err := f.change(report, analysis.SignReport, nil); err != nil {
		t.Fatal(err)
	}
	const event = "INSERT INTO report_events (tenant_id, report_id, revision, action, was, status, version, sha256, name, role, reason, trace_id) SELECT tenant_id, report_id, "
	const rest = " FROM report_events WHERE revision = 2"
	for name, statement := range map[string]string{
		"change what was signed":       `UPDATE report_versions SET narrative = jsonb_set(narrative, '{sections,0,sentences,0,text}', '"Healthy."')`,
		"change when it was written":   "UPDATE report_versions SET created_at = now()",
		"delete a version":             "DELETE FROM report_versions",
		"change the result":            "UPDATE reports SET result = '{}'",
		"delete a report":              "DELETE FROM reports",
		"change who signed":            "UPDATE report_events SET name = 'Mallory'",
		"take back a signature":        "DELETE FROM report_events WHERE revision = 2",
		"empty the audit":              "TRUNCATE report_events",
		"empty the versions":           "TRUNCATE report_versions",
		"empty the reports":            "TRUNCATE reports CASCADE",
		"sign twice":                   event + "3, 'sign', 'final', 'final', 1, sha256, name, role, reason, trace_id" + rest,
		"pretend another state before": event + "3, 'sign', 'preliminary', 'final', 1, sha256, name, role, reason, trace_id" + rest,
		"another end of a transition":  event + "3, 'amend', 'final', 'final', 2, sha256, name, role, 'why', trace_id" + rest,
		"leave a revision out":         event + "4, 'reject', 'final', 'rejected', 1, sha256, name, role, 'why', trace_id" + rest,
		"a version out of order":       event + "3, 'amend', 'final', 'amended', 3, sha256, name, role, 'why', trace_id" + rest,
		"reject without a reason":      event + "3, 'reject', 'final', 'rejected', 1, sha256, name, role, '', trace_id" + rest,
		"reject without a name":        event + "3, 'reject', 'final', 'rejected', 1, sha256, '', '', 'why', trace_id" + rest,
		"begin twice":                  event + "3, 'create', NULL, 'preliminary', 1, sha256, '', '', '', trace_id" + rest,
	} {
		var pg *pgconn.PgError
		if err := f.exec(t, statement); !errors.As(err, &pg) || !strings.HasPrefix(pg.Code, "23") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.exec(t, event+"3, 'reject', 'final', 'rejected', 1, sha256, name, role, 'why', trace_id"+rest); err != nil {
		t.Errorf("what is allowed: %v", err)
	}
	if err := f.DeleteStudy(f.ctx, study.ID); err != nil {
		t.Fatal(err)
	}
	if reports, versions, events := f.count(t, "reports"), f.count(t, "report_versions"), f.count(t, "report_events"); reports+versions != 0 || events != 3 {
		t.Errorf("after the study is deleted: %d reports, %d versions, %d events", reports, versions, events)
	}
	if _, err := f.Report(f.ctx, report.ID); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("a deleted report: %v", err)
	}
}

// TestReportsFromBeforeVersionsAreServed takes the schema back and forth.
func TestReportsFromBeforeVersionsAreServed(t *testing.T) {
	f := newFixture(t)
	_, report := stored(t, f)
	db, err := sql.Open("pgx", f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := postgres.Migrator(db, f.url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(f.ctx, 8); err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, `reports WHERE narrative ->> 'status' = 'preliminary'`); n != 1 {
		t.Errorf("%d reports after the way back", n)
	}
	if err := postgres.Migrate(f.ctx, f.url); err != nil {
		t.Fatal(err)
	}
	got, err := f.Report(f.ctx, report.ID)
	if err != nil || got.Status() != analysis.ReportPreliminary || got.Version != 1 || !reflect.DeepEqual(got.Narrative, report.Narrative) {
		t.Errorf("%+v, %v", got, err)
	}
}
