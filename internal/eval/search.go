package eval

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/childproc"
	"consilium/internal/postgres"
	"consilium/internal/postgres/vectoreval"
)

const (
	searchVectors = 100_000
	searchQueries = 1000
)

// vectorSearch measures the search of studies by their vectors on a private Postgres.
func vectorSearch(ctx context.Context, e Env) (figures []Figure, err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "consilium-eval")
	if err != nil {
		return nil, fmt.Errorf("measure the search: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // root's server runs as another user
		return nil, fmt.Errorf("measure the search: %w", err)
	}
	server, err := childproc.StartPostgres(ctx, filepath.Join(dir, "postgres"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	const database = "search"
	if err := server.Create(ctx, database); err != nil {
		return nil, err
	}
	if err := postgres.Migrate(ctx, server.URL(database)); err != nil {
		return nil, err
	}
	r, err := vectoreval.Measure(ctx, server.URL(database), searchVectors, searchQueries, e.Out)
	if err != nil {
		return nil, err
	}
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	figure := func(metric string, value, floor float64) Figure {
		return Figure{Name: "search", Metric: metric, Value: value, Floor: floor, N: r.Queries}
	}
	return timed(start, []Figure{
		figure("recall-at-10", r.Recall, float64(vectoreval.Neighbours)/float64(r.Vectors)),
		figure("p99-ms", milliseconds(r.P99), milliseconds(r.ExactP99)),
		figure("p50-ms", milliseconds(r.P50), milliseconds(r.ExactP99)),
	}), nil
}
