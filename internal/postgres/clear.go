package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// clearAtOnce is how many studies are deleted in one transaction.
const clearAtOnce = 100

// Clear implements analysis.Exporter. What was done with reports stays known, as it does when a study is deleted.
func (s *Store) Clear(ctx context.Context, until time.Time) (left int, err error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return 0, err
	}
	// The jobs first, so that their items make nothing more.
	err = s.inTx(ctx, "delete everything", func(tx pgx.Tx) error {
		for _, statement := range []string{
			"DELETE FROM jobs WHERE tenant_id = $1",
			"DELETE FROM river_job WHERE kind = 'job_item' AND args ->> 'tenant' = $1 AND state <> 'running'",
			"DELETE FROM knowledge_heads WHERE tenant_id = $1",
			"DELETE FROM knowledge_versions WHERE tenant_id = $1",
			"DELETE FROM models m WHERE tenant_id = $1 AND NOT EXISTS (SELECT FROM model_versions v WHERE v.tenant_id = m.tenant_id AND v.name = m.name)",
		} {
			if _, err := tx.Exec(ctx, statement, tenant); err != nil {
				return err
			}
		}
		return nil
	})
	for err == nil && time.Now().Before(until) {
		var ids []string
		rows, err := s.pool.Query(ctx, "SELECT id FROM studies WHERE tenant_id = $1 ORDER BY id LIMIT $2", tenant, clearAtOnce)
		if err == nil {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return 0, failure("delete everything", err)
		}
		if len(ids) == 0 {
			return 0, nil
		}
		if _, err := s.deleteStudies(ctx, tenant, ids); err != nil {
			return 0, err
		}
	}
	if err == nil {
		err = failure("delete everything", s.pool.QueryRow(ctx, "SELECT count(*) FROM studies WHERE tenant_id = $1", tenant).Scan(&left))
	}
	return left, err
}
