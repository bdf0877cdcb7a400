package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/knowledge"
)

// journal implements knowledge.Journal.
type journal struct{ *Store }

var _ knowledge.Journal = journal{}

// KnowledgeJournal returns the journal of what tenants add to the knowledge graph.
func (s *Store) KnowledgeJournal() knowledge.Journal { return journal{s} }

// Head implements knowledge.Journal. A tenant without a version is at version 1 of the current release, without facts.
func (j journal) Head(ctx context.Context, version int) (knowledge.Head, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return knowledge.Head{}, err
	}
	var head knowledge.Head
	// One statement, so one snapshot: of two, the second may see the first fact that the first did not.
	err = j.pool.QueryRow(ctx, `SELECT id::text, version, seq, release FROM knowledge_versions WHERE tenant_id = $1
			AND version = CASE $2::integer WHEN 0 THEN (SELECT version FROM knowledge_heads WHERE tenant_id = $1) ELSE $2::integer END
		UNION ALL SELECT '', 1, 0, release FROM knowledge_releases WHERE current AND $2::integer <= 1
			AND NOT EXISTS (SELECT FROM knowledge_heads WHERE tenant_id = $1)`,
		tenant, version).Scan(&head.ID, &head.Version, &head.Seq, &head.Release)
	if !errors.Is(err, pgx.ErrNoRows) {
		return head, failure("read the head of the knowledge graph", err)
	}
	if version == 0 {
		return head, nil // nothing is loaded
	}
	return head, &analysis.Error{Code: analysis.NotFound, Field: "version", Message: "no such version of the knowledge graph is kept", Value: strconv.Itoa(version)}
}

// Facts implements knowledge.Journal.
func (j journal) Facts(ctx context.Context, version, after int) ([]knowledge.Fact, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx, `SELECT id, subject, relation, object, negated, provenance, seq, created_at FROM knowledge_facts
		WHERE tenant_id = $1 AND version = $2 AND seq > $3 ORDER BY seq`, tenant, version, after)
	if err != nil {
		return nil, failure("read facts", err)
	}
	facts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f knowledge.Fact, err error) {
		err = row.Scan(&f.ID, &f.Subject, &f.Relation, &f.Object, &f.Negated, &f.Provenance, &f.Seq, &f.CreatedAt)
		f.CreatedAt = f.CreatedAt.UTC()
		return f, err
	})
	return facts, failure("read facts", err)
}

// errMoved says that a head is not current any more.
var errMoved = errors.New("another writer was faster")

// holdHead makes sure that head is current and stays so until the transaction ends. The first write of a tenant makes
// its first version and sets head.ID.
func holdHead(ctx context.Context, tx pgx.Tx, tenant string, head *knowledge.Head) error {
	// Serialises the writers of a tenant, also where there is no head to lock yet.
	if _, err := tx.Exec(ctx, "SELECT FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE", tenant); err != nil {
		return err
	}
	var now knowledge.Head
	err := tx.QueryRow(ctx, `SELECT id, version, seq, release FROM knowledge_heads JOIN knowledge_versions USING (tenant_id, version) WHERE tenant_id = $1`,
		tenant).Scan(&now.ID, &now.Version, &now.Seq, &now.Release)
	if errors.Is(err, pgx.ErrNoRows) {
		if head.ID != "" {
			return errMoved
		}
		err := tx.QueryRow(ctx, `INSERT INTO knowledge_versions (tenant_id, version, id, release, seq, reason, removed)
			SELECT $1, 1, gen_random_uuid(), release, 0, 'the first fact', '[]' FROM knowledge_releases WHERE current AND release = $2 RETURNING id`,
			tenant, head.Release).Scan(&head.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			return errMoved
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO knowledge_heads (tenant_id, version) VALUES ($1, 1)", tenant)
		return err
	}
	if err == nil && now != *head {
		return errMoved
	}
	return err
}

// moved tells a head that is not current any more from what went wrong.
func moved(err error) (ok bool, _ error) {
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return err == nil, err
}

// Append implements knowledge.Journal.
func (j journal) Append(ctx context.Context, head knowledge.Head, fact *knowledge.Fact) (knowledge.Head, bool, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return head, false, err
	}
	id, err := newID()
	if err != nil {
		return head, false, err
	}
	stored := *fact
	stored.ID, stored.Seq, stored.CreatedAt = id, head.Seq+1, now()
	ok, err := moved(pgx.BeginFunc(ctx, j.pool, func(tx pgx.Tx) error {
		if err := holdHead(ctx, tx, tenant, &head); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE knowledge_versions SET seq = seq + 1 WHERE tenant_id = $1 AND version = $2", tenant, head.Version); err != nil {
			return err
		}
		return insertFacts(ctx, tx, tenant, head.Version, []knowledge.Fact{stored})
	}))
	if ok {
		*fact, head.Seq = stored, stored.Seq
	}
	return head, ok, failure("store a fact", err)
}

// now is the time to the microsecond, which is what the database keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Swap implements knowledge.Journal. The version appears when the transaction ends; until then readers see the old one.
func (j journal) Swap(ctx context.Context, head knowledge.Head, release, reason string, facts, removed []knowledge.Fact) (knowledge.Head, bool, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return head, false, err
	}
	for i := range facts {
		facts[i].Seq = i + 1
		if facts[i].ID == "" {
			if facts[i].ID, err = newID(); err != nil {
				return head, false, err
			}
			facts[i].CreatedAt = now()
		}
	}
	if removed == nil {
		removed = []knowledge.Fact{}
	}
	next := knowledge.Head{Version: head.Version + 1, Seq: len(facts), Release: release}
	ok, err := moved(pgx.BeginFunc(ctx, j.pool, func(tx pgx.Tx) error {
		if err := holdHead(ctx, tx, tenant, &head); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `INSERT INTO knowledge_versions (tenant_id, version, id, release, seq, reason, removed)
			VALUES ($1, $2, gen_random_uuid(), $3, $4, $5, $6) RETURNING id`, tenant, next.Version, release, len(facts), reason, removed).Scan(&next.ID)
		if err != nil {
			return err
		}
		if err := insertFacts(ctx, tx, tenant, next.Version, facts); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE knowledge_heads SET version = $2 WHERE tenant_id = $1", tenant, next.Version); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM knowledge_versions WHERE tenant_id = $1 AND version <= $2", tenant, next.Version-knowledge.MaxVersions)
		return err
	}))
	return next, ok, failure("store a version of the knowledge graph", err)
}

func insertFacts(ctx context.Context, tx pgx.Tx, tenant string, version int, facts []knowledge.Fact) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"knowledge_facts"},
		[]string{"tenant_id", "version", "seq", "id", "subject", "relation", "object", "negated", "provenance", "created_at"},
		pgx.CopyFromSlice(len(facts), func(i int) ([]any, error) {
			f := &facts[i]
			return []any{tenant, version, f.Seq, f.ID, f.Subject, string(f.Relation), f.Object, f.Negated, f.Provenance, f.CreatedAt}, nil
		}))
	return err
}

// Versions implements knowledge.Journal.
func (j journal) Versions(ctx context.Context) ([]knowledge.Version, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx, `SELECT v.version, release, seq, v.version = h.version, reason, removed, created_at
		FROM knowledge_versions v JOIN knowledge_heads h USING (tenant_id) WHERE tenant_id = $1 ORDER BY v.version DESC`, tenant)
	if err != nil {
		return nil, failure("read versions", err)
	}
	versions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v knowledge.Version, err error) {
		err = row.Scan(&v.Number, &v.Release, &v.Facts, &v.Current, &v.Reason, &v.Removed, &v.CreatedAt)
		v.CreatedAt = v.CreatedAt.UTC()
		return v, err
	})
	return versions, failure("read versions", err)
}

// SetRelease implements knowledge.Journal.
func (j journal) SetRelease(ctx context.Context, release *knowledge.Release) error {
	return j.inTx(ctx, "make a release current", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", knowledgeLock); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE knowledge_releases SET current = false WHERE current AND release <> $1", release.Digest); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO knowledge_releases (release, title, current) VALUES ($1, $2, true)
			ON CONFLICT (release) DO UPDATE SET current = true`, release.Digest, release.Title)
		return err
	})
}

// Release implements knowledge.Journal.
func (j journal) Release(ctx context.Context) (release string, err error) {
	err = j.pool.QueryRow(ctx, "SELECT coalesce(max(release), '') FROM knowledge_releases WHERE current").Scan(&release)
	return release, failure("read the current release", err)
}

// Behind implements knowledge.Journal.
func (j journal) Behind(ctx context.Context, release string) ([]string, error) {
	return j.column(ctx, "SELECT tenant_id FROM knowledge_heads JOIN knowledge_versions USING (tenant_id, version) WHERE release <> $1 ORDER BY tenant_id", release)
}

// Used implements knowledge.Journal.
func (j journal) Used(ctx context.Context) ([]string, error) {
	return j.column(ctx, "SELECT release FROM knowledge_releases WHERE current UNION SELECT release FROM knowledge_versions")
}

// column reads one column of texts.
func (j journal) column(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := j.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, failure("read what is loaded", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, failure("read what is loaded", err)
}
