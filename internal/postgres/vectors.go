package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

var _ analysis.VectorStore = (*Store)(nil)

// indexLock is the advisory lock of the one process that makes vectors.
const indexLock = 0x766563746f72

// WithUnindexed implements analysis.VectorStore.
func (s *Store) WithUnindexed(ctx context.Context, spaces analysis.Spaces, limit int, f func([]analysis.Unindexed) error) error {
	return s.inTx(ctx, "find artefacts without a vector", func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(indexLock)).Scan(&mine); err != nil || !mine {
			return err
		}
		q := &search{}
		rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT v.tenant_id, v.study_id, a.id, a.modality, a.media_type, a.sha256, b.bytes
			FROM (%s LIMIT %s) v
			JOIN artefacts a ON a.tenant_id = v.tenant_id AND a.study_id = v.study_id AND a.id = v.artefact_id
			JOIN blobs b ON b.tenant_id = a.tenant_id AND b.sha256 = a.sha256`, q.stale(spaces, ""), q.arg(limit)), q.args...)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u analysis.Unindexed, err error) {
			a := &u.Artefact
			err = row.Scan(&u.Tenant, &u.StudyID, &a.ID, &a.Modality, &a.MediaType, &a.SHA256, &a.Bytes)
			return u, err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		return f(list)
	})
}

// stale selects the rows that have no vector of spaces, of one tenant or of all for "".
func (s *search) stale(spaces analysis.Spaces, tenant string) string {
	var selects []string
	for _, modality := range analysis.Modalities {
		space, ok := spaces[modality]
		if !ok {
			continue
		}
		m, p := s.arg(modality), s.arg(space)
		for _, side := range []string{"<", ">"} {
			one := fmt.Sprintf("SELECT * FROM study_vectors WHERE modality = %s AND space %s %s", m, side, p)
			if tenant != "" {
				one += " AND tenant_id = " + s.arg(tenant)
			}
			selects = append(selects, one)
		}
	}
	if len(selects) == 0 {
		return "SELECT * FROM study_vectors WHERE false"
	}
	return strings.Join(selects, " UNION ALL ")
}

// SetVector implements analysis.VectorStore.
func (s *Store) SetVector(ctx context.Context, of *analysis.Unindexed, space string, values []float32, problem string) error {
	_, err := s.pool.Exec(ctx, `UPDATE study_vectors SET space = $5, embedding = $6, problem = NULLIF($7, '')
		WHERE tenant_id = $1 AND study_id = $2 AND modality = $3 AND artefact_id = $4`,
		of.Tenant, of.StudyID, of.Artefact.Modality, of.Artefact.ID, space, values, problem)
	return failure("store a vector", err)
}

// Vectors implements analysis.VectorStore.
func (s *Store) Vectors(ctx context.Context, studyID string, spaces analysis.Spaces) ([]analysis.Vector, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, "SELECT modality, embedding FROM study_vectors WHERE tenant_id = $1 AND study_id = $2 AND space = ANY($3) AND embedding IS NOT NULL", tenant, studyID, spaces.List())
	if err != nil {
		return nil, failure("read vectors", err)
	}
	vectors, err := pgx.CollectRows(rows, pgx.RowToStructByPos[analysis.Vector])
	return vectors, failure("read vectors", err)
}

// PendingVectors implements analysis.VectorStore.
func (s *Store) PendingVectors(ctx context.Context, spaces analysis.Spaces, most int) (n int, err error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return 0, err
	}
	q := &search{}
	stale := q.stale(spaces, tenant)
	err = s.pool.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (%s LIMIT %s) v", stale, q.arg(most)), q.args...).Scan(&n)
	return n, failure("count vectors", err)
}
