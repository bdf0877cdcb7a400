package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"consilium/internal/knowledge"
)

// static implements knowledge.Static.
type static struct{ *Store }

var _ knowledge.Static = static{}

// KnowledgeStatic returns the static layer of the knowledge graph.
func (s *Store) KnowledgeStatic() knowledge.Static { return static{s} }

// knowledgeLock is the advisory lock of who loads a release.
const knowledgeLock = 0x6b6e6f77 // "know"

// Load implements knowledge.Static.
func (s static) Load(ctx context.Context, release *knowledge.Release) error {
	stored := false
	err := s.inTx(ctx, "store a release", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", knowledgeLock); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "INSERT INTO knowledge_static (release) VALUES ($1) ON CONFLICT DO NOTHING", release.Digest)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		stored = true
		return copyRelease(ctx, tx, release)
	})
	if err != nil || !stored {
		return err
	}
	// The planner would take the tables for empty until its statistics are made.
	_, err = s.pool.Exec(ctx, "ANALYZE knowledge_terms, knowledge_names, knowledge_edges")
	return failure("count the rows of a release", err)
}

func copyRelease(ctx context.Context, tx pgx.Tx, release *knowledge.Release) error {
	terms := release.Terms
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"knowledge_terms"}, []string{"release", "id", "kind", "name", "definition", "synonyms", "phrases", "source"},
		pgx.CopyFromSlice(len(terms), func(i int) ([]any, error) {
			t := &terms[i]
			return []any{release.Digest, t.ID, string(t.Kind), t.Name, t.Definition, given(t.Synonyms), given(t.Phrases), t.Source}, nil
		}))
	if err != nil {
		return err
	}
	var names [][]any
	for i := range terms {
		for _, key := range terms[i].Keys() {
			names = append(names, []any{release.Digest, key, terms[i].ID})
		}
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"knowledge_names"}, []string{"release", "key", "id"}, pgx.CopyFromRows(names)); err != nil {
		return err
	}
	edges := release.Edges
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"knowledge_edges"}, []string{"release", "subject", "relation", "object", "source"},
		pgx.CopyFromSlice(len(edges), func(i int) ([]any, error) {
			e := &edges[i]
			return []any{release.Digest, e.Subject, string(e.Relation), e.Object, e.Source}, nil
		}))
	return err
}

// given returns a list that is not NULL.
func given(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Has implements knowledge.Static.
func (s static) Has(ctx context.Context, release string) (has bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM knowledge_static WHERE release = $1)", release).Scan(&has)
	return has, failure("look for a release", err)
}

// Keep implements knowledge.Static.
func (s static) Keep(ctx context.Context, releases []string) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM knowledge_static WHERE release <> ALL ($1)", given(releases))
	return failure("delete old releases", err)
}

const termColumns = "t.id, t.kind, t.name, t.definition, t.synonyms, t.phrases, t.source"

func scanTerm(row pgx.CollectableRow) (t knowledge.Term, err error) {
	err = row.Scan(&t.ID, &t.Kind, &t.Name, &t.Definition, &t.Synonyms, &t.Phrases, &t.Source)
	return t, err
}

// Terms implements knowledge.Static.
func (s static) Terms(ctx context.Context, release string, ids []string) ([]knowledge.Term, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+termColumns+" FROM knowledge_terms t WHERE release = $1 AND id = ANY ($2) ORDER BY id", release, ids)
	if err != nil {
		return nil, failure("read terms", err)
	}
	terms, err := pgx.CollectRows(rows, scanTerm)
	return terms, failure("read terms", err)
}

// Find implements knowledge.Static.
func (s static) Find(ctx context.Context, release, key string, limit int) ([]knowledge.Term, error) {
	// A range of keys in byte order, not LIKE: a prepared LIKE does not use the index.
	rows, err := s.pool.Query(ctx, `SELECT `+termColumns+` FROM (
			SELECT id, min(length(key)) AS matched FROM knowledge_names WHERE release = $1 AND key >= $2 AND key < $2 || chr(1114111)
			GROUP BY id ORDER BY matched, id LIMIT $3
		) found JOIN knowledge_terms t ON t.release = $1 AND t.id = found.id ORDER BY matched, t.id`, release, key, limit)
	if err != nil {
		return nil, failure("look for a term", err)
	}
	terms, err := pgx.CollectRows(rows, scanTerm)
	return terms, failure("look for a term", err)
}

// Edges implements knowledge.Static.
func (s static) Edges(ctx context.Context, release string, ids []string, along knowledge.Direction, relations []knowledge.Relation, limit int) ([]knowledge.Fact, error) {
	names := make([]string, len(relations))
	for i, r := range relations {
		names[i] = string(r)
	}
	// Each direction has an index of its own, so both are asked as two.
	const begin = "SELECT subject, relation, object, source FROM knowledge_edges WHERE release = $1 AND relation = ANY ($3) AND "
	var sql string
	switch along {
	case knowledge.Up:
		sql = begin + "subject = ANY ($2)"
	case knowledge.Down:
		sql = begin + "object = ANY ($2)"
	case knowledge.Both:
		sql = begin + "subject = ANY ($2) UNION " + begin + "object = ANY ($2)"
	default:
		return nil, fmt.Errorf("read edges: there is no direction %d", along)
	}
	rows, err := s.pool.Query(ctx, sql+" ORDER BY subject, relation, object LIMIT $4", release, ids, names, limit)
	if err != nil {
		return nil, failure("read edges", err)
	}
	edges, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f knowledge.Fact, err error) {
		err = row.Scan(&f.Subject, &f.Relation, &f.Object, &f.Source)
		return f, err
	})
	return slices.Clip(edges), failure("read edges", err)
}
