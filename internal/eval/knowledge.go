package eval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/cache"
	"consilium/internal/childproc"
	"consilium/internal/knowledge"
	"consilium/internal/postgres"
	"consilium/internal/serve"
)

const (
	knowledgeQueries  = 1000 // that no cache helps
	knowledgeFrequent = 400  // terms that are asked for again and again
	knowledgeRounds   = 10
	knowledgeFacts    = 200 // in the dynamic layer
	knowledgeDepth    = 3
)

// knowledgeLatency measures queries of depth 3 on a private Postgres and a private Valkey.
func knowledgeLatency(ctx context.Context, e Env) (figures []Figure, err error) {
	if e.Data == "" {
		return nil, &ErrNoData{"knowledge"}
	}
	start := time.Now()
	release, err := knowledge.ReadFolder(filepath.Join(e.Data, "kg"))
	if err != nil {
		return nil, err
	}
	graph, closeGraph, err := privateGraph(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeGraph()) }()
	ctx = analysis.WithTenant(ctx, analysis.DefaultTenant)
	if err := graph.Load(ctx, release); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(6, 6))
	var diseases, findings []string
	for _, t := range release.Terms {
		if t.Kind == knowledge.Disease {
			diseases = append(diseases, t.ID)
		} else {
			findings = append(findings, t.ID)
		}
	}
	one := func(ids []string) string { return ids[random.IntN(len(ids))] }
	for range knowledgeFacts {
		fact := knowledge.Fact{Subject: one(diseases), Relation: knowledge.MayCause, Object: one(findings), Provenance: &knowledge.Provenance{Source: "eval", Confidence: 0.5}}
		if _, err := graph.Add(ctx, fact, knowledge.Refuse); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(e.Out, "knowledge: %d terms, %d edges and %d added facts\n", len(release.Terms), len(release.Edges), knowledgeFacts)

	ask := func(id string) (float64, error) {
		began := time.Now()
		_, err := graph.Around(ctx, knowledge.Query{Terms: []string{id}, Depth: knowledgeDepth, Limit: knowledge.MaxTerms})
		return time.Since(began).Seconds() * 1000, err
	}
	var uncached, cached []float64
	for range knowledgeQueries {
		graph.Forget()
		ms, err := ask(one(diseases))
		if err != nil {
			return nil, err
		}
		uncached = append(uncached, ms)
	}
	var frequent []string
	for range knowledgeFrequent {
		frequent = append(frequent, one(diseases))
	}
	for round := range knowledgeRounds + 1 {
		for _, id := range frequent {
			ms, err := ask(id)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first round fills the cache
				cached = append(cached, ms)
			}
		}
	}
	return timed(start, []Figure{
		{Name: "knowledge", Metric: "p50-cached-ms", Value: quantile(cached, 0.50), Floor: 5, N: len(cached)},
		{Name: "knowledge", Metric: "p99-cached-ms", Value: quantile(cached, 0.99), Floor: 5, N: len(cached)},
		{Name: "knowledge", Metric: "p50-uncached-ms", Value: quantile(uncached, 0.50), Floor: 50, N: len(uncached)},
		{Name: "knowledge", Metric: "p99-uncached-ms", Value: quantile(uncached, 0.99), Floor: 50, N: len(uncached)},
	}), nil
}

// quantile returns the smallest value that a share q of the values is not above.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// privateGraph starts a database and a Redis in a folder of their own, which closing removes.
func privateGraph(ctx context.Context) (graph *knowledge.Graph, closeAll func() error, err error) {
	dir, err := os.MkdirTemp("", "knowledge")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for the databases: %w", err)
	}
	closers := []func() error{func() error { return os.RemoveAll(dir) }}
	closeAll = func() error {
		var errs []error
		for _, stop := range slices.Backward(closers) {
			errs = append(errs, stop())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // root's servers run as another user
		return nil, nil, fmt.Errorf("open the folder of the databases: %w", err)
	}
	database, err := childproc.StartPostgres(ctx, filepath.Join(dir, "postgres"), nil)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, database.Stop)
	memory, err := childproc.StartValkey(ctx, filepath.Join(dir, "valkey"), nil)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, memory.Stop)
	const name = "consilium"
	if err := database.Create(ctx, name); err != nil {
		return nil, nil, err
	}
	if err := postgres.Migrate(ctx, database.URL(name)); err != nil {
		return nil, nil, err
	}
	blobs, err := blob.Open(filepath.Join(dir, "blobs"), 1)
	if err != nil {
		return nil, nil, err
	}
	store, err := postgres.Open(ctx, database.URL(name), blobs)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() error { store.Close(); return nil })
	client, err := cache.Connect(memory.URL())
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, client.Close)
	log := slog.New(slog.DiscardHandler)
	graph, err = knowledge.New(store.KnowledgeStatic(), store.KnowledgeJournal(), cache.New(client, cache.DefaultOptions, log, serve.NewObserver("eval", log, nil).Registry).Knowledge(), log)
	return graph, closeAll, err
}
