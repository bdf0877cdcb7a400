// Package vectoreval measures the search of vectors on a database of its own.
package vectoreval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/postgres"
)

// Neighbours is how many of the nearest are asked for.
const Neighbours = 10

// The vectors lie in heaps, as embeddings do: perCluster is how many in each, noise their spread in each direction around the
// heap's own, which is of length 1.
const (
	perCluster = 100
	noise      = 0.08
)

// Result is what was measured.
type Result struct {
	Vectors, Queries int
	// Recall is the share of the true nearest that were found, Exact the share of queries that the index was not asked for.
	Recall, Exact float64
	// P50, P99 are of one search, ExactP99 of one that looks at every vector.
	P50, P99, ExactP99 time.Duration
}

// Measure fills the empty migrated database behind url with n vectors, one a study, and searches as the platform does, for queries
// that are none of them.
func Measure(ctx context.Context, url string, n, queries int, out io.Writer) (*Result, error) {
	r := rand.New(rand.NewPCG(64, uint64(n)))
	centres := make([][]float32, max(1, n/perCluster))
	for i := range centres {
		centres[i] = draw(r, nil)
	}
	vectors, asked := make([][]float32, n), make([][]float32, queries)
	for i := range vectors {
		vectors[i] = draw(r, centres[r.IntN(len(centres))])
	}
	for i := range asked {
		asked[i] = draw(r, centres[r.IntN(len(centres))])
	}
	start := time.Now()
	if err := fill(ctx, url, vectors); err != nil {
		return nil, fmt.Errorf("store %d vectors: %w", n, err)
	}
	fmt.Fprintf(out, "search: %d vectors stored and indexed in %.0f s\n", n, time.Since(start).Seconds())
	store, err := postgres.Open(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	ctx = analysis.WithTenant(ctx, analysis.DefaultTenant)
	result := &Result{Vectors: n, Queries: queries}
	var took, exactTook []time.Duration
	var found, wanted, exactly int
	for i, values := range asked {
		begin := time.Now()
		hits, exact, err := store.SearchVectors(ctx, &analysis.VectorQuery{Values: values, Spaces: analysis.Spaces{analysis.Image: space}, Limit: Neighbours})
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		if exact {
			exactly++
		}
		truly := nearest(vectors, values)
		wanted += len(truly)
		for _, hit := range hits {
			if slices.Contains(truly, hit.StudyID) {
				found++
			}
		}
		if i < exactQueries {
			begin := time.Now()
			if err := lookAtAll(ctx, url, values); err != nil {
				return nil, err
			}
			exactTook = append(exactTook, time.Since(begin))
		}
	}
	result.Recall, result.Exact = float64(found)/float64(wanted), float64(exactly)/float64(queries)
	result.P50, result.P99, result.ExactP99 = quantile(took, 0.5), quantile(took, 0.99), quantile(exactTook, 0.99)
	return result, nil
}

const (
	space = "a space of its own"
	// exactQueries is how often every vector is looked at, to know what the index saves.
	exactQueries = 20
)

// draw returns a unit vector near centre, or anywhere for nil.
func draw(r *rand.Rand, centre []float32) []float32 {
	values, sum := make([]float32, analysis.VectorDim), 0.0
	for i := range values {
		v := r.NormFloat64()
		if centre != nil {
			v = float64(centre[i]) + noise*v
		}
		values[i] = float32(v)
		sum += v * v
	}
	for i := range values {
		values[i] /= float32(math.Sqrt(sum))
	}
	return values
}

func idOf(i int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012x", i) }

// fill stores vectors with the studies and artefacts that they belong to. The index is built at the end, as after a restore.
func fill(ctx context.Context, url string, vectors [][]float32) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var index string
	if err := conn.QueryRow(ctx, "SELECT pg_get_indexdef('study_vectors_nearest'::regclass)").Scan(&index); err != nil {
		return fmt.Errorf("find the index: %w", err)
	}
	for _, sql := range []string{
		"DROP INDEX study_vectors_nearest", "ALTER TABLE artefacts DISABLE TRIGGER vector",
		"INSERT INTO blobs (tenant_id, sha256, bytes) VALUES ('default', repeat('0', 64), 1)",
		fmt.Sprintf("INSERT INTO studies (tenant_id, id, title, labels) SELECT 'default', ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, '', '{}' FROM generate_series(0, %d) i", len(vectors)-1),
		"INSERT INTO artefacts (tenant_id, study_id, id, position, modality, media_type, sha256) SELECT tenant_id, id, id, 0, 'image', 'image/png', repeat('0', 64) FROM studies",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"study_vectors"}, []string{"tenant_id", "study_id", "modality", "artefact_id", "space", "embedding"},
		pgx.CopyFromSlice(len(vectors), func(i int) ([]any, error) {
			return []any{analysis.DefaultTenant, idOf(i), string(analysis.Image), idOf(i), space, vectors[i]}, nil
		}))
	if err != nil {
		return err
	}
	for _, sql := range []string{"SET maintenance_work_mem = '256MB'", index, "ALTER TABLE artefacts ENABLE TRIGGER vector", "VACUUM ANALYZE"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// nearest returns the ids of the vectors with the largest cosines.
func nearest(vectors [][]float32, query []float32) []string {
	type scored struct {
		i   int
		dot float64
	}
	var best []scored
	for i, v := range vectors {
		dot := 0.0
		for k := range v {
			dot += float64(v[k]) * float64(query[k])
		}
		if len(best) == Neighbours && dot <= best[len(best)-1].dot {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, dot, func(s scored, dot float64) int {
			if s.dot > dot {
				return -1
			}
			return 1
		})
		best = slices.Insert(best, at, scored{i, dot})
		best = best[:min(len(best), Neighbours)]
	}
	ids := make([]string, len(best))
	for i, s := range best {
		ids[i] = idOf(s.i)
	}
	return ids
}

// lookAtAll searches without the index.
func lookAtAll(ctx context.Context, url string, values []float32) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var ids []string
	return conn.QueryRow(ctx, fmt.Sprintf(`SELECT array_agg(study_id::text) FROM (SELECT study_id FROM study_vectors
		ORDER BY (embedding::vector(%[1]d) <=> $1::real[]::vector(%[1]d)) + 0 LIMIT %[2]d) n`, analysis.VectorDim, Neighbours), values).Scan(&ids)
}

// quantile returns the smallest duration that a share q of all does not exceed.
func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
}
