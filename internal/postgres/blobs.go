package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

// reclaimTimeout bounds the removal of bytes after the request that caused it may have ended.
const reclaimTimeout = 30 * time.Second

// abandoned is the age from which a blob that nothing holds belongs to an upload that died.
const abandoned = "1 hour"

// unheld is true of a blob b that neither an artefact nor a model of the tenant holds.
const unheld = `NOT EXISTS (SELECT FROM artefacts a WHERE a.tenant_id = b.tenant_id AND a.sha256 = b.sha256)
	AND NOT EXISTS (SELECT FROM model_versions m WHERE m.tenant_id = b.tenant_id AND m.sha256 = b.sha256)`

// content is one artefact's bytes with their digest.
type content struct {
	digest string
	bytes  []byte
}

// distinct returns the contents without repetition, sorted by digest: everybody locks in this order.
func distinct(contents [][]byte) []content {
	var list []content
	for _, bytes := range contents {
		list = append(list, content{blob.Digest(bytes), bytes})
	}
	slices.SortFunc(list, func(a, b content) int {
		if a.digest < b.digest {
			return -1
		}
		return 1
	})
	return slices.CompactFunc(list, func(a, b content) bool { return a.digest == b.digest })
}

// announce commits a row for each content before any file is written.
func (s *Store) announce(ctx context.Context, tenant string, contents []content) error {
	batch := &pgx.Batch{}
	for _, c := range contents {
		batch.Queue("INSERT INTO blobs (tenant_id, sha256, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", tenant, c.digest, len(c.bytes))
	}
	return failure("announce uploads", s.pool.SendBatch(ctx, batch).Close())
}

// errReclaimed says that a blob's row went away between announce and hold.
var errReclaimed = errors.New("blob was reclaimed")

// hold locks the rows of the contents until the transaction ends, so that nobody reclaims them, and writes
// their files.
func (s *Store) hold(ctx context.Context, tx pgx.Tx, tenant string, contents []content) error {
	for _, c := range contents {
		tag, err := tx.Exec(ctx, "SELECT FROM blobs WHERE tenant_id = $1 AND sha256 = $2 FOR UPDATE", tenant, c.digest)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &analysis.Error{Code: analysis.Unavailable, Message: "the same bytes are being deleted", Err: errReclaimed}
		}
		if err := s.blobs.Put(tenant, c.digest, c.bytes); err != nil {
			return fatal(err)
		}
	}
	return nil
}

// fatal keeps an error of the blob store from looking like one of the database.
func fatal(err error) error {
	if analysis.CodeOf(err) != analysis.Internal {
		return err
	}
	return &analysis.Error{Code: analysis.Internal, Message: "the bytes could not be stored", Err: err}
}

// reclaim removes the files of the digests that nothing of the tenant holds. It goes on when the caller's
// request ends, and it waits for uploads of the same bytes.
func (s *Store) reclaim(ctx context.Context, tenant string, digests []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reclaimTimeout)
	defer cancel()
	var failures []error
	for _, digest := range digests {
		failures = append(failures, s.inTx(ctx, "reclaim bytes", func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "SELECT FROM blobs WHERE tenant_id = $1 AND sha256 = $2 FOR UPDATE", tenant, digest)
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			tag, err = tx.Exec(ctx, "DELETE FROM blobs b WHERE tenant_id = $1 AND sha256 = $2 AND "+unheld, tenant, digest)
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			if err := s.blobs.Remove(tenant, digest); err != nil {
				return fatal(err)
			}
			return nil
		}))
	}
	return errors.Join(failures...)
}

// ReclaimAbandoned removes the bytes that uploads and deletions left behind when their process died. Call it
// at the start.
func (s *Store) ReclaimAbandoned(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, "SELECT tenant_id, sha256 FROM blobs b WHERE created_at < now() - $1::interval AND "+unheld, abandoned)
	if err != nil {
		return failure("find abandoned bytes", err)
	}
	type row struct{ Tenant, Digest string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return failure("find abandoned bytes", err)
	}
	for _, r := range found {
		if err := s.reclaim(ctx, r.Tenant, []string{r.Digest}); err != nil {
			return err
		}
	}
	return nil
}

// Content implements analysis.Store.
func (s *Store) Content(ctx context.Context, artefact *analysis.Artefact) ([]byte, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	bytes, err := s.blobs.Get(tenant, artefact.SHA256)
	if err != nil {
		return nil, fmt.Errorf("read artefact %s: %w", artefact.ID, err)
	}
	return bytes, nil
}
