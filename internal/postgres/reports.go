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
	if report.ID, err = newID(); err != nil {
		return err
	}
	err = s.pool.QueryRow(ctx, `INSERT INTO reports (tenant_id, study_id, id, strict, text_id, image_id, audio_id, narrative, result, stages, trace_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING created_at`,
		tenant, report.StudyID, report.ID, report.Strict,
		used(report.Artefacts, analysis.Text), used(report.Artefacts, analysis.Image), used(report.Artefacts, analysis.Audio),
		report.Narrative, report.Result, report.Stages, report.TraceID).Scan(&report.CreatedAt)
	if violates(err, foreignKeyViolation, "") {
		return noStudy(report.StudyID)
	}
	return failure("store a report", err)
}

// Report implements analysis.Store.
func (s *Store) Report(ctx context.Context, id string) (*analysis.DiagnosticReport, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	report := &analysis.DiagnosticReport{ID: id}
	var ids [3]*string
	err = s.pool.QueryRow(ctx, `SELECT study_id, strict, text_id, image_id, audio_id, narrative, result, stages, trace_id, created_at
		FROM reports WHERE tenant_id = $1 AND id = $2`, tenant, id).
		Scan(&report.StudyID, &report.Strict, &ids[0], &ids[1], &ids[2], &report.Narrative, &report.Result, &report.Stages, &report.TraceID, &report.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "report_id", Message: "no such report", Value: id}
	}
	if err != nil {
		return nil, failure("read a report", err)
	}
	study, err := s.Study(ctx, report.StudyID)
	if err != nil {
		return nil, err
	}
	report.Artefacts = pick(study, ids)
	return report, nil
}
