package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/childproc"
	"consilium/internal/postgres"
	"consilium/internal/postgres/vectoreval"
)

// storedSizes are the studies, each with one vector, of the stores that are compared.
var storedSizes = []float64{1000, 4000, 16000, 32000}

const (
	storedQueries = 200
	listedPage    = 50
)

// growStore times what a reader asks of a store of ever more studies: a page of the list, and the nearest of a vector. Each size
// is a database of a private Postgres.
func (b *bench) growStore(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "consilium-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // root's server runs as another user
		return err
	}
	server, err := childproc.StartPostgres(ctx, filepath.Join(dir, "postgres"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	before, err := readUsage()
	if err != nil {
		return err
	}
	var listed, found []Size
	for _, size := range storedSizes {
		list, search, err := storeOf(ctx, b, server, int(size))
		if err != nil {
			return fmt.Errorf("a store of %.0f studies: %w", size, err)
		}
		listed, found = append(listed, Size{Size: size, Seconds: list}), append(found, Size{Size: size, Seconds: search})
	}
	after, err := readUsage()
	if err != nil {
		return err
	}
	others := after.others(before)
	b.add(grown(growing{name: "growth-studies", about: fmt.Sprintf("a page of %d of so many studies", listedPage), unit: "studies"}, listed, others),
		grown(growing{name: "growth-vectors", about: "the 10 nearest of so many stored vectors", unit: "vectors"}, found, others))
	return nil
}

// storeOf returns the seconds of a page and of a search in a store of n studies.
func storeOf(ctx context.Context, b *bench, server *childproc.Postgres, n int) (list, search float64, err error) {
	database := fmt.Sprintf("growth%d", n)
	if err := server.Create(ctx, database); err != nil {
		return 0, 0, err
	}
	url := server.URL(database)
	if err := postgres.Migrate(ctx, url); err != nil {
		return 0, 0, err
	}
	r, err := vectoreval.Measure(ctx, url, n, storedQueries, b.Out)
	if err != nil {
		return 0, 0, err
	}
	store, err := postgres.Open(ctx, url, nil)
	if err != nil {
		return 0, 0, err
	}
	defer store.Close()
	ctx = analysis.WithTenant(ctx, analysis.DefaultTenant)
	var seconds []float64
	for range storedQueries {
		start := time.Now()
		studies, err := store.Studies(ctx, &analysis.StudyFilter{}, analysis.Page{Limit: listedPage})
		if err != nil {
			return 0, 0, err
		}
		if len(studies) != listedPage {
			return 0, 0, fmt.Errorf("a page holds %d studies, want %d", len(studies), listedPage)
		}
		seconds = append(seconds, since(start))
	}
	return median(seconds), r.P50.Seconds(), nil
}
