package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// forgottenAtOnce is how many digests are handed to the cache at a time.
const forgottenAtOnce = 500

// noteForgotten writes down, in the transaction that deletes a study, what of it the cache may remember: the bytes that
// nobody holds any more, and the questions, by their SHA-256. Whoever else asked the same is only slower once.
func noteForgotten(ctx context.Context, tx pgx.Tx, digests, questions []string) error {
	_, err := tx.Exec(ctx, `INSERT INTO forgotten (sha256)
		SELECT d FROM unnest($1::text[]) d WHERE NOT EXISTS (SELECT FROM tenants t JOIN artefacts a ON a.tenant_id = t.tenant_id AND a.sha256 = d)
		UNION SELECT encode(sha256(convert_to(q, 'UTF8')), 'hex') FROM unnest($2::text[]) q
		ON CONFLICT DO NOTHING`, digests, questions)
	return err
}

// EachForgotten calls forget with the digests that were noted, until there are none or it fails.
func (s *Store) EachForgotten(ctx context.Context, forget func(digests []string) error) error {
	for {
		rows, err := s.pool.Query(ctx, "SELECT sha256 FROM forgotten ORDER BY created_at, sha256 LIMIT $1", forgottenAtOnce)
		if err != nil {
			return failure("read what is to be forgotten", err)
		}
		digests, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return failure("read what is to be forgotten", err)
		}
		if len(digests) == 0 {
			return nil
		}
		if err := forget(digests); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, "DELETE FROM forgotten WHERE sha256 = ANY($1)", digests); err != nil {
			return failure("note what was forgotten", err)
		}
	}
}
