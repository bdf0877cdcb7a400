package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

// CreateReport implements analysis.Store.
func (s *Store) CreateReport(ctx context.Context, report *analysis.DiagnosticReport) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	return s.inTx(ctx, "store a report", func(tx pgx.Tx) error { return insertReport(ctx, tx, tenant, report) })
}

// insertReport stores a report with its first version and sets its id and time.
func insertReport(ctx context.Context, tx pgx.Tx, tenant string, report *analysis.DiagnosticReport) (err error) {
	if report.ID, err = newID(); err != nil {
		return err
	}
	event := analysis.ReportEvent{Revision: 1, Action: analysis.CreateReport, Status: analysis.ReportPreliminary, Version: 1, TraceID: report.TraceID}
	err = tx.QueryRow(ctx, `INSERT INTO reports (tenant_id, study_id, id, strict, text_id, image_id, audio_id, result, stages, trace_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING created_at`,
		tenant, report.StudyID, report.ID, report.Strict,
		used(report.Artefacts, analysis.Text), used(report.Artefacts, analysis.Image), used(report.Artefacts, analysis.Audio),
		report.Result, report.Stages, report.TraceID).Scan(&report.CreatedAt)
	if violates(err, foreignKeyViolation, "") {
		return noStudy(report.StudyID)
	}
	if err != nil {
		return err
	}
	if err := writeVersion(ctx, tx, tenant, report.ID, 1, &report.Narrative); err != nil {
		return err
	}
	if err := writeEvent(ctx, tx, tenant, report.ID, "", &event); err != nil {
		return err
	}
	report.Version, report.VersionAt, report.Events = 1, report.CreatedAt, []analysis.ReportEvent{event}
	report.Narrative.Status = ""
	return nil
}

// writeVersion stores what a version of a report says.
func writeVersion(ctx context.Context, tx pgx.Tx, tenant, id string, version int, narrative *analysis.Narrative) error {
	stated := *narrative
	stated.Status = "" // the events say it
	_, err := tx.Exec(ctx, "INSERT INTO report_versions (tenant_id, report_id, version, narrative) VALUES ($1, $2, $3, $4)", tenant, id, version, stated)
	return err
}

// writeEvent stores what was done with a report that was in the state was, and sets the digest and the time.
func writeEvent(ctx context.Context, tx pgx.Tx, tenant, id string, was analysis.ReportStatus, event *analysis.ReportEvent) error {
	return tx.QueryRow(ctx, `INSERT INTO report_events (tenant_id, report_id, revision, action, was, status, version, name, role, reason, trace_id, api_key, sha256)
		SELECT $1, $2, $3, $4, NULLIF($5, ''), $6, $7, $8, $9, $10, $11, $12, encode(sha256(convert_to(narrative::text, 'UTF8')), 'hex')
		FROM report_versions WHERE tenant_id = $1 AND report_id = $2 AND version = $7 RETURNING sha256, at`,
		tenant, id, event.Revision, event.Action, was, event.Status, event.Version, event.By.Name, event.By.Role, event.Reason, event.TraceID, event.Key).
		Scan(&event.SHA256, &event.At)
}

// Report implements analysis.Store: the newest version.
func (s *Store) Report(ctx context.Context, id string) (*analysis.DiagnosticReport, error) {
	return s.reportVersion(ctx, id, 0)
}

func noReport(id string) error {
	return &analysis.Error{Code: analysis.NotFound, Field: "report_id", Message: "no such report", Value: id}
}

// reportVersion returns one version of a report, the newest for 0.
func (s *Store) reportVersion(ctx context.Context, id string, version int) (*analysis.DiagnosticReport, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	report := &analysis.DiagnosticReport{ID: id}
	var ids [3]*string
	err = s.inTx(ctx, "read a report", func(tx pgx.Tx) error {
		// The events first: a version that is written meanwhile is not yet among them, and is not read either.
		if report.Events, err = events(ctx, tx, tenant, id); err != nil {
			return err
		}
		if len(report.Events) == 0 {
			return noReport(id)
		}
		if version == 0 {
			version = report.Latest().Version
		}
		err := tx.QueryRow(ctx, `SELECT study_id, strict, text_id, image_id, audio_id, result, stages, trace_id, r.created_at
			FROM reports r WHERE tenant_id = $1 AND id = $2`, tenant, id).
			Scan(&report.StudyID, &report.Strict, &ids[0], &ids[1], &ids[2], &report.Result, &report.Stages, &report.TraceID, &report.CreatedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return noReport(id)
		}
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, "SELECT version, narrative, created_at FROM report_versions WHERE tenant_id = $1 AND report_id = $2 AND version = $3", tenant, id, version).
			Scan(&report.Version, &report.Narrative, &report.VersionAt)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && report.Version > report.Latest().Version {
			return noVersion(id, version)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	study, err := s.Study(ctx, report.StudyID)
	if err != nil {
		return nil, err
	}
	report.Artefacts = pick(study, ids)
	return report, nil
}

// events returns everything that was done with a report, oldest first.
func events(ctx context.Context, tx pgx.Tx, tenant, id string) ([]analysis.ReportEvent, error) {
	rows, err := tx.Query(ctx, `SELECT revision, action, status, version, sha256, name, role, reason, trace_id, api_key, at
		FROM report_events WHERE tenant_id = $1 AND report_id = $2 ORDER BY revision`, tenant, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e analysis.ReportEvent, err error) {
		err = row.Scan(&e.Revision, &e.Action, &e.Status, &e.Version, &e.SHA256, &e.By.Name, &e.By.Role, &e.Reason, &e.TraceID, &e.Key, &e.At)
		return e, err
	})
}
