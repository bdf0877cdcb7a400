package knowledge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/cache"
	"consilium/internal/childproc"
	"consilium/internal/knowledge"
	"consilium/internal/knowledge/knowledgetest"
	"consilium/internal/postgres"
	"consilium/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, postgres.Migrate) }

// fixture is a graph on a database and a Redis of its own.
type fixture struct {
	*knowledge.Graph
	t       *testing.T
	ctx     context.Context
	url     string
	store   *postgres.Store
	redis   *redis.Client
	release *knowledge.Release
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, ctx: analysis.WithTenant(t.Context(), analysis.DefaultTenant), url: pgtest.New(t), release: knowledgetest.Release(t)}
	blobs, err := blob.Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if f.store, err = postgres.Open(t.Context(), f.url, blobs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.Close)
	f.redis = valkey(t)
	f.Graph = f.another()
	if err := f.Load(t.Context(), f.release); err != nil {
		t.Fatal(err)
	}
	return f
}

// valkey starts a server and returns a client of it.
func valkey(t *testing.T) *redis.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "kgtest")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755) // root's server runs as another user
	}
	if err != nil {
		t.Fatal(err)
	}
	server, err := childproc.StartValkey(context.Background(), filepath.Join(dir, "valkey"), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := cache.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), server.Stop()); err != nil {
			t.Error(err)
		}
	})
	return client
}

// another returns a graph of another process on the same database and Redis.
func (f *fixture) another() *knowledge.Graph {
	f.t.Helper()
	memory := cache.New(f.redis, cache.DefaultOptions, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Knowledge()
	g, err := knowledge.New(f.store.KnowledgeStatic(), f.store.KnowledgeJournal(), memory, slog.New(slog.DiscardHandler))
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func (f *fixture) exec(sql string) {
	f.t.Helper()
	conn, err := pgx.Connect(f.ctx, f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.ctx)
	if _, err := conn.Exec(f.ctx, sql); err != nil {
		f.t.Fatal(err)
	}
}

// fact reads "not SUBJECT RELATION OBJECT", where a number is a disease and a word a finding.
func fact(line string) knowledge.Fact {
	rest, negated := strings.CutPrefix(line, "not ")
	words := strings.Fields(rest)
	return knowledge.Fact{Subject: id(words[0]), Relation: knowledge.Relation(words[1]), Object: id(words[2]), Negated: negated,
		Provenance: &knowledge.Provenance{Source: "a test", Confidence: 0.5}}
}

func id(word string) string {
	if word[0] >= '0' && word[0] <= '9' {
		return "DOID:" + word
	}
	return "FINDING:" + word
}

// add adds facts that must be taken.
func (f *fixture) add(lines ...string) (last *knowledge.Added) {
	f.t.Helper()
	for _, line := range lines {
		var err error
		if last, err = f.Add(f.ctx, fact(line), knowledge.Refuse); err != nil {
			f.t.Fatalf("add %s: %v", line, err)
		}
	}
	return last
}

// list writes the facts of a graph's current version.
func list(t *testing.T, ctx context.Context, g *knowledge.Graph) string {
	t.Helper()
	_, facts, err := g.Facts(ctx, 0, 0, knowledge.MaxFacts)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(facts))
	for i := range facts {
		line, _, _ := strings.Cut(facts[i].String(), " (")
		lines[i] = strings.NewReplacer("DOID:", "", "FINDING:", "").Replace(line)
	}
	return strings.Join(lines, ", ")
}

func around(t *testing.T, ctx context.Context, g *knowledge.Graph, q knowledge.Query) string {
	t.Helper()
	if q.Depth == 0 {
		q.Depth = 1
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	found, err := g.Around(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	var terms []string
	for _, r := range found.Terms {
		terms = append(terms, fmt.Sprintf("%s@%d", strings.NewReplacer("DOID:", "", "FINDING:", "").Replace(r.ID), r.Depth))
	}
	if found.Truncated {
		terms = append(terms, "…")
	}
	return strings.Join(terms, " ")
}

func TestQueries(t *testing.T) {
	f := newFixture(t)
	isA := []knowledge.Relation{knowledge.IsA}
	for _, test := range []struct {
		q    knowledge.Query
		want string
	}{
		{knowledge.Query{Terms: []string{"DOID:874"}, Along: knowledge.Up, Relations: isA, Depth: 1}, "874@0 0050117@1 552@1"},
		{knowledge.Query{Terms: []string{"DOID:874"}, Along: knowledge.Up, Relations: isA, Depth: 6}, "874@0 0050117@1 552@1 4@2 850@2 7@3"},
		{knowledge.Query{Terms: []string{"DOID:850"}, Along: knowledge.Down, Relations: isA, Depth: 3}, "850@0 1673@1 552@1 874@2 0040084@3"},
		{knowledge.Query{Terms: []string{"DOID:850"}, Along: knowledge.Down, Relations: isA, Depth: 3, Limit: 3}, "850@0 1673@1 552@1 …"},
		{knowledge.Query{Terms: []string{"DOID:552"}, Relations: []knowledge.Relation{knowledge.SameAs}}, "552@0 pneumonia@1"},
		{knowledge.Query{Terms: []string{"DOID:162", "DOID:1673"}, Along: knowledge.Up, Depth: 1}, "162@0 1673@0 4@1 850@1"},
	} {
		for range 2 { // the second time from the cache
			if got := around(t, f.ctx, f.Graph, test.q); got != test.want {
				t.Errorf("around %+v: %s, want %s", test.q, got, test.want)
			}
		}
	}
	path, err := f.Path(f.ctx, "FINDING:pneumonia", "DOID:1673", 6, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, term := range path.Terms {
		ids = append(ids, term.ID)
	}
	if got := fmt.Sprint(ids); !path.Found || got != "[FINDING:pneumonia DOID:552 DOID:850 DOID:1673]" || len(path.Facts) != 3 {
		t.Errorf("the path is %s with %d facts", got, len(path.Facts))
	}
	if path, err := f.Path(f.ctx, "FINDING:pneumonia", "DOID:1673", 2, 0); err != nil || path.Found || !path.Complete {
		t.Errorf("a path of 2 edges: %+v, %v", path, err)
	}
	if path, err := f.Path(f.ctx, "DOID:552", "DOID:552", 1, 0); err != nil || !path.Found || len(path.Terms) != 1 {
		t.Errorf("a path to itself: %+v, %v", path, err)
	}
	term, err := f.Term(f.ctx, "DOID:552")
	if err != nil || term.Name != "pneumonia" {
		t.Errorf("the term is %+v, %v", term, err)
	}
	terms, err := f.Find(f.ctx, "  ACUTE pneumonia ", 5)
	if err != nil || len(terms) != 1 || terms[0].ID != "DOID:552" {
		t.Errorf("the synonym finds %+v, %v", terms, err)
	}
}

func TestBadQueries(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		call        func() error
		code, field string
	}{
		"no term": {func() error { _, err := f.Term(f.ctx, "DOID:999"); return err }, "not_found", "term_id"},
		"start": {func() error {
			_, err := f.Around(f.ctx, knowledge.Query{Terms: []string{"DOID:999"}, Depth: 1, Limit: 1})
			return err
		}, "not_found", "term"},
		"depth": {func() error {
			_, err := f.Around(f.ctx, knowledge.Query{Terms: []string{"DOID:4"}, Depth: 7, Limit: 1})
			return err
		}, "invalid_argument", "depth"},
		"limit": {func() error {
			_, err := f.Around(f.ctx, knowledge.Query{Terms: []string{"DOID:4"}, Depth: 1, Limit: 501})
			return err
		}, "invalid_argument", "limit"},
		"starts":      {func() error { _, err := f.Around(f.ctx, knowledge.Query{Depth: 1, Limit: 1}); return err }, "invalid_argument", "terms"},
		"path from":   {func() error { _, err := f.Path(f.ctx, "DOID:999", "DOID:4", 1, 0); return err }, "not_found", "from"},
		"path depth":  {func() error { _, err := f.Path(f.ctx, "DOID:4", "DOID:4", 13, 0); return err }, "invalid_argument", "depth"},
		"nothing":     {func() error { _, err := f.Find(f.ctx, " ", 1); return err }, "invalid_argument", "q"},
		"long":        {func() error { _, err := f.Find(f.ctx, strings.Repeat("x", 201), 1); return err }, "invalid_argument", "q"},
		"version":     {func() error { _, err := f.Path(f.ctx, "DOID:4", "DOID:4", 1, 9); return err }, "not_found", "version"},
		"fact":        {func() error { _, err := f.Fact(f.ctx, "x"); return err }, "not_found", "fact_id"},
		"remove fact": {func() error { return f.Remove(f.ctx, "x") }, "not_found", "fact_id"},
	} {
		err := test.call()
		var e *analysis.Error
		if !errors.As(err, &e) || string(e.Code) != test.code || e.Field != test.field {
			t.Errorf("%s: %v, want %s of %s", name, err, test.code, test.field)
		}
	}
}

func TestNothingIsLostWithRedis(t *testing.T) {
	f := newFixture(t)
	const want = "1673 is_a 0050117, pneumothorax suggests 114, not 114 is_a 162"
	f.add(strings.Split(want, ", ")...)
	lost := func(name string) {
		t.Helper()
		if got := list(t, f.ctx, f.another()); got != want {
			t.Errorf("%s: the facts are %q", name, got)
		}
		if got := around(t, f.ctx, f.another(), knowledge.Query{Terms: []string{"DOID:1673"}, Along: knowledge.Up}); got != "1673@0 0050117@1 850@1" {
			t.Errorf("%s: pneumothorax is %s", name, got)
		}
	}
	lost("as it is")
	keys := f.redis.Keys(f.ctx, "consilium:*").Val()
	if len(keys) != 1 || f.redis.ZCard(f.ctx, keys[0]).Val() != 3 {
		t.Fatalf("Redis holds %v", keys)
	}
	f.redis.ZRemRangeByRank(f.ctx, keys[0], 1, 1)
	lost("without one fact")
	if n := f.redis.ZCard(f.ctx, keys[0]).Val(); n != 3 {
		t.Errorf("Redis has %d facts again, want 3", n)
	}
	f.redis.ZRemRangeByRank(f.ctx, keys[0], -1, -1)
	lost("without the last fact")
	f.redis.ZAdd(f.ctx, keys[0], redis.Z{Score: 4, Member: "{"})
	lost("with what is not a fact")
	f.redis.FlushAll(f.ctx)
	lost("empty")
	if err := f.redis.Shutdown(f.ctx).Err(); err != nil {
		t.Log(err)
	}
	lost("stopped")
	f.add("pneumothorax suggests 850")
	if got := list(t, f.ctx, f.another()); got != want+", pneumothorax suggests 850" {
		t.Errorf("a fact that was added without Redis: %q", got)
	}
}

func TestRebuild(t *testing.T) {
	f := newFixture(t)
	f.add("874 is_a 162", "0040084 is_a 162", "pneumothorax suggests 114")
	other := f.another()
	if got := list(t, f.ctx, other); !strings.HasPrefix(got, "874") {
		t.Fatal(got)
	}
	// Both facts are in the way of what follows.
	added, err := f.Add(f.ctx, fact("552 is_a 0060072"), knowledge.Rebuild)
	if err != nil {
		t.Fatal(err)
	}
	if len(added.Removed) != 2 || added.Head.Version != 2 || added.Head.Seq != 2 || added.Fact.ID == "" {
		t.Errorf("added %+v", added)
	}
	const want = "pneumothorax suggests 114, 552 is_a 0060072"
	for _, g := range []*knowledge.Graph{f.Graph, other, f.another()} {
		if got := list(t, f.ctx, g); got != want {
			t.Errorf("the facts are %q, want %q", got, want)
		}
	}
	// The version before can still be read.
	before := knowledge.Query{Terms: []string{"DOID:874"}, Along: knowledge.Up, Version: 1}
	if got := around(t, f.ctx, other, before); got != "874@0 0050117@1 162@1 552@1" {
		t.Errorf("version 1 says %s", got)
	}
	versions, err := f.Versions(f.ctx)
	if err != nil || len(versions) != 2 || !versions[0].Current || versions[0].Number != 2 || len(versions[0].Removed) != 2 || versions[1].Facts != 3 {
		t.Errorf("the versions are %+v, %v", versions, err)
	}
	// What the static layer says is never given up.
	if _, err := f.Add(f.ctx, fact("850 is_a 0040084"), knowledge.Rebuild); analysis.CodeOf(err) != analysis.Conflict {
		t.Errorf("a cycle of the static layer: %v", err)
	}
	if err := f.Remove(f.ctx, added.Fact.ID); err != nil {
		t.Fatal(err)
	}
	if got := list(t, f.ctx, other); got != "pneumothorax suggests 114" {
		t.Errorf("after a removal: %q", got)
	}
	for range knowledge.MaxVersions {
		if err := f.Remove(f.ctx, f.add("552 is_a 162").Fact.ID); err != nil {
			t.Fatal(err)
		}
	}
	versions, err = f.Versions(f.ctx)
	if err != nil || len(versions) != knowledge.MaxVersions {
		t.Errorf("%d versions are kept, %v", len(versions), err)
	}
	if _, err := other.Around(f.ctx, knowledge.Query{Terms: []string{"DOID:4"}, Depth: 1, Limit: 9, Version: 1}); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("an old version: %v", err)
	}
}

// TestCachedAnswersAreCurrent asks one process before and after another adds a fact.
func TestCachedAnswersAreCurrent(t *testing.T) {
	f := newFixture(t)
	other := f.another()
	q := knowledge.Query{Terms: []string{"DOID:1673"}, Along: knowledge.Up}
	for _, want := range []string{"1673@0 850@1", "1673@0 0050117@1 850@1"} {
		for range 3 {
			if got := around(t, f.ctx, other, q); got != want {
				t.Errorf("it sees %s, want %s", got, want)
			}
		}
		f.add("1673 is_a 0050117")
	}
	f.store.Close()
	if _, err := other.Around(f.ctx, knowledge.Query{Terms: q.Terms, Along: q.Along, Depth: 1, Limit: 100}); err == nil {
		t.Error("an answer was given without knowing that it is current")
	}
}

func TestTenantsAreApart(t *testing.T) {
	f := newFixture(t)
	f.exec("INSERT INTO tenants (tenant_id) VALUES ('other')")
	other := analysis.WithTenant(t.Context(), "other")
	mine := f.add("1673 is_a 0050117")
	q := knowledge.Query{Terms: []string{"DOID:1673"}, Along: knowledge.Up}
	if got := around(t, other, f.Graph, q); got != "1673@0 850@1" {
		t.Errorf("another tenant sees %s", got)
	}
	if _, err := f.Fact(other, mine.Fact.ID); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("another tenant reads the fact: %v", err)
	}
	if err := f.Remove(other, mine.Fact.ID); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("another tenant removes the fact: %v", err)
	}
	if _, err := f.Add(other, fact("0050117 is_a 1673"), knowledge.Refuse); err != nil {
		t.Errorf("another tenant's facts are in the way: %v", err)
	}
	if got := around(t, f.ctx, f.Graph, q); got != "1673@0 0050117@1 850@1" {
		t.Errorf("the tenant sees %s", got)
	}
	if _, err := f.Term(context.Background(), "DOID:4"); err == nil {
		t.Error("a call without a tenant was answered")
	}
}

// TestWritersRace adds facts from many goroutines of two processes; two of them contradict each other.
func TestWritersRace(t *testing.T) {
	f := newFixture(t)
	graphs := []*knowledge.Graph{f.Graph, f.another()}
	lines := []string{"552 is_a 162", "162 is_a 552", "114 is_a 0050117", "1673 is_a 0050117", "pneumothorax suggests 114", "mass suggests 162", "nodule suggests 162"}
	var group sync.WaitGroup
	errs := make([]error, len(lines))
	for i, line := range lines {
		group.Go(func() { _, errs[i] = graphs[i%2].Add(f.ctx, fact(line), knowledge.Refuse) })
	}
	group.Wait()
	refused := 0
	for i, err := range errs {
		if analysis.CodeOf(err) == analysis.Conflict && i < 2 {
			refused++
		} else if err != nil {
			t.Errorf("add %s: %v", lines[i], err)
		}
	}
	if refused != 1 {
		t.Errorf("%d of two facts that make a circle were refused, want 1", refused)
	}
	_, facts, err := f.another().Facts(f.ctx, 0, 0, 100)
	if err != nil || len(facts) != len(lines)-1 {
		t.Fatalf("%d facts, %v", len(facts), err)
	}
	for i, x := range facts {
		if x.Seq != i+1 {
			t.Errorf("fact %d has the number %d", i+1, x.Seq)
		}
	}
}

func TestNewRelease(t *testing.T) {
	f := newFixture(t)
	f.add("1673 is_a 0050117", "pneumothorax suggests 162")
	next := knowledgetest.Release(t, "DOID:0050117\tdisease by infectious agent\tpneumothorax", "DOID:60\tnew disease\tdisease")
	if err := f.Load(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := list(t, f.ctx, f.another()); got != "pneumothorax suggests 162" {
		t.Errorf("the facts on the new release are %q", got)
	}
	versions, err := f.Versions(f.ctx)
	if err != nil || len(versions) != 2 || versions[0].Release != next.Digest || len(versions[0].Removed) != 1 {
		t.Errorf("the versions are %+v, %v", versions, err)
	}
	if _, err := f.Term(f.ctx, "DOID:60"); err != nil {
		t.Error(err)
	}
	if got := around(t, f.ctx, f.Graph, knowledge.Query{Terms: []string{"DOID:1673"}, Along: knowledge.Up, Version: 1}); got != "1673@0 0050117@1 850@1" {
		t.Errorf("the version before says %s", got)
	}
	if err := f.LoadIfNone(t.Context(), f.release); err != nil {
		t.Fatal(err)
	}
	if err := f.store.KnowledgeStatic().Keep(t.Context(), nil); err != nil { // as in a store that is new
		t.Fatal(err)
	}
	if err := f.LoadIfNone(t.Context(), f.release); err == nil || !strings.Contains(err.Error(), next.Digest) {
		t.Errorf("a store without the release: %v", err)
	}
	if current, err := f.store.KnowledgeJournal().Release(t.Context()); err != nil || current != next.Digest {
		t.Errorf("the release is %s, %v", current, err)
	}
}

func TestOwn(t *testing.T) {
	own, err := knowledge.Own()
	if err != nil {
		t.Fatal(err)
	}
	if len(own.LeftOut) == 0 || !slices.ContainsFunc(own.Terms, func(t knowledge.Term) bool { return slices.Contains(t.Synonyms, "Pleural_Thickening") }) {
		t.Errorf("the findings alone are %+v", own)
	}
}
