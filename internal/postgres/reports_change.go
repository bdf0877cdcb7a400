package postgres

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

var _ analysis.ReportStore = (*Store)(nil)

func noVersion(id string, version int) error {
	return &analysis.Error{Code: analysis.NotFound, Field: "version", Message: "the report " + id + " has no such version", Value: strconv.Itoa(version)}
}

// ReportVersion implements analysis.ReportStore.
func (s *Store) ReportVersion(ctx context.Context, id string, version int) (*analysis.DiagnosticReport, error) {
	if version < 1 {
		return nil, noVersion(id, version)
	}
	return s.reportVersion(ctx, id, version)
}

// ChangeReport implements analysis.ReportStore. Of two changes to one revision the table's key lets one through.
func (s *Store) ChangeReport(ctx context.Context, id string, event *analysis.ReportEvent, narrative *analysis.Narrative) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	changed := *event
	err = s.inTx(ctx, "change a report", func(tx pgx.Tx) error {
		// While this row is held nobody deletes the study.
		tag, err := tx.Exec(ctx, "SELECT FROM reports WHERE tenant_id = $1 AND id = $2 FOR KEY SHARE", tenant, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return noReport(id)
		}
		var was analysis.ReportStatus
		err = tx.QueryRow(ctx, `SELECT status FROM report_events e WHERE tenant_id = $1 AND report_id = $2 AND revision = $3
			AND NOT EXISTS (SELECT FROM report_events WHERE tenant_id = $1 AND report_id = $2 AND revision > $3)`, tenant, id, event.Revision-1).Scan(&was)
		if errors.Is(err, pgx.ErrNoRows) {
			return otherRevision(event.Revision - 1)
		}
		if err != nil {
			return err
		}
		if narrative != nil {
			if err := writeVersion(ctx, tx, tenant, id, event.Version, narrative); err != nil {
				return err
			}
		}
		return writeEvent(ctx, tx, tenant, id, was, &changed)
	})
	if violates(err, uniqueViolation, "") {
		return otherRevision(event.Revision - 1)
	}
	if err != nil {
		return err
	}
	*event = changed
	return nil
}

func otherRevision(revision int) error {
	return &analysis.Error{Code: analysis.Conflict, Field: analysis.OtherRevision, Message: "the report was changed by somebody else meanwhile", Value: strconv.Itoa(revision)}
}
