package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

const (
	// exactBelow is up to how many vectors that a filter leaves are all looked at: that is fast, and what a filter
	// leaves of a large index may be nowhere near.
	exactBelow = 5000
	// searchBreadth is how many candidates a search of the index keeps (ef_search of HNSW, Malkov and Yashunin 2018,
	// https://arxiv.org/abs/1603.09320).
	searchBreadth = 200
	// largeFor is how long a tenant that had many vectors is taken to have them still.
	largeFor = time.Minute
)

// hasIndex says whether the database has pgvector and the index.
func (s *Store) hasIndex(ctx context.Context) (there bool, err error) {
	if known := s.index.Load(); known != nil {
		return *known, nil
	}
	if err := s.pool.QueryRow(ctx, "SELECT to_regclass('study_vectors_nearest') IS NOT NULL").Scan(&there); err != nil {
		return false, failure("look for pgvector", err)
	}
	s.index.Store(&there)
	return there, nil
}

// SearchVectors implements analysis.VectorStore.
func (s *Store) SearchVectors(ctx context.Context, query *analysis.VectorQuery) (hits []analysis.VectorHit, exact bool, err error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, false, err
	}
	index, err := s.hasIndex(ctx)
	if err != nil {
		return nil, false, err
	}
	large, err := s.isLarge(ctx, tenant, query)
	if err != nil {
		return nil, false, err
	}
	if index && large {
		hits, err = s.nearest(ctx, newVectorSearch(tenant, query), query, true, false)
		if err != nil || len(hits) == query.Limit {
			return hits, false, err
		}
	} // else the index is not worth asking, or ran dry before the page was full
	hits, err = s.nearest(ctx, newVectorSearch(tenant, query), query, index, true)
	return hits, true, err
}

// isLarge says that more than exactBelow vectors are to be compared. What a tenant has in all is remembered for a while.
func (s *Store) isLarge(ctx context.Context, tenant string, query *analysis.VectorQuery) (bool, error) {
	q := newVectorSearch(tenant, query)
	all := query.Filter.IDs == nil && len(query.Filter.Labels) == 0 && query.Filter.From == "" && query.Filter.To == "" && query.Filter.Modality == ""
	if at, known := s.large.Load(tenant); all && known && time.Since(at.(time.Time)) < largeFor {
		return true, nil
	}
	var n int
	err := s.pool.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s WHERE %s LIMIT %d) c", q.from, strings.Join(q.where, " AND "), exactBelow+1), q.args...).Scan(&n)
	if err != nil {
		return false, failure("count vectors", err)
	}
	if all && n > exactBelow {
		s.large.Store(tenant, time.Now())
	}
	return n > exactBelow, nil
}

// vectorSearch is the conditions of one query on study_vectors v.
type vectorSearch struct {
	search
	from string
}

func newVectorSearch(tenant string, query *analysis.VectorQuery) *vectorSearch {
	q := &vectorSearch{from: "study_vectors v"}
	q.and("v.tenant_id = %s", q.arg(tenant))
	q.and("v.embedding IS NOT NULL AND v.space = ANY(%s)", q.arg(query.Spaces.List()))
	if query.Without != "" {
		q.and("v.study_id <> %s::uuid", q.arg(query.Without))
	}
	filter := query.Filter
	if filter.Modality != "" {
		q.and("v.modality = %s", q.arg(filter.Modality))
		filter.Modality = ""
	}
	if filter.IDs != nil || len(filter.Labels) > 0 || filter.From != "" || filter.To != "" {
		q.from += " JOIN studies s ON s.tenant_id = v.tenant_id AND s.id = v.study_id"
		q.chosenBy("s", &filter)
	}
	return q
}

// nearest returns one page. pgvector says that the extension is there, all that the index is not to be used.
func (s *Store) nearest(ctx context.Context, q *vectorSearch, query *analysis.VectorQuery, pgvector, all bool) ([]analysis.VectorHit, error) {
	values := q.arg(query.Values)
	distanceOf := func(row string) string {
		if pgvector {
			return fmt.Sprintf("(%s.embedding::vector(%d) <=> %s::real[]::vector(%d))", row, analysis.VectorDim, values, analysis.VectorDim)
		}
		// Both are unit vectors.
		return fmt.Sprintf("(SELECT 1 - sum(x.a::float8 * x.b) FROM unnest(%s.embedding, %s::real[]) x(a, b))", row, values)
	}
	distance := distanceOf("v")
	order := distance
	if all {
		order = "(" + distance + " + 0), v.study_id" // by which no index is sorted
	}
	if query.Filter.Modality == "" { // of a study's vectors the nearest
		q.and("NOT EXISTS (SELECT FROM study_vectors o WHERE o.tenant_id = v.tenant_id AND o.study_id = v.study_id AND o.modality <> v.modality AND o.embedding IS NOT NULL AND o.space = ANY(%s) AND (%s, o.modality) < (%s, v.modality))",
			q.arg(query.Spaces.List()), distanceOf("o"), distance)
	}
	if after := query.After; after != nil {
		q.and("(%s, v.study_id) > (%s::float8, %s::uuid)", distance, q.arg(after.Distance), q.arg(after.StudyID))
	}
	sql := fmt.Sprintf("SELECT v.study_id, v.modality, v.artefact_id, %s FROM %s WHERE %s ORDER BY %s LIMIT %s",
		distance, q.from, strings.Join(q.where, " AND "), order, q.arg(query.Limit))
	var hits []analysis.VectorHit
	batch := &pgx.Batch{} // one way there and back
	batch.Queue("BEGIN READ ONLY")
	batch.Queue("SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'strict_order', true)", strconv.Itoa(searchBreadth))
	batch.Queue(sql, q.args...).Query(func(rows pgx.Rows) (err error) {
		hits, err = pgx.CollectRows(rows, pgx.RowToStructByPos[analysis.VectorHit])
		return err
	})
	batch.Queue("COMMIT")
	return hits, failure("search vectors", s.pool.SendBatch(ctx, batch).Close())
}
