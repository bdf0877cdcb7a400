package gateway

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/cache"
	"consilium/internal/pipeline"
	"consilium/internal/postgres"
)

// query runs SQL behind the store's back and returns the first column.
func (f *fixture) query(sql string, args ...any) []string {
	f.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, f.database)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

// tables returns the tables that have a column, all of them for "".
func (f *fixture) tables(column string) []string {
	return f.query(`SELECT DISTINCT table_name::text FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND ($1 = '' OR column_name = $1) ORDER BY 1`, column)
}

// remembered is a Redis and the cache that writes to it.
type remembered struct {
	*redis.Client
	memory *cache.Cache
}

func connect(t *testing.T, url string) *remembered {
	t.Helper()
	client, err := cache.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &remembered{Client: client}
}

// remembering puts a cache on an own Redis in front of the models and lets deletions reach it.
func remembering(r *remembered) func(*Deps) {
	return func(d *Deps) {
		memory := cache.New(r.Client, cache.DefaultOptions, d.Log, prometheus.NewRegistry())
		r.memory = memory
		path := d.Analyzer.(*pipeline.Pipeline)
		digest := func(of string) cache.Digest {
			return func(context.Context) (string, error) { return of + "-digest", nil }
		}
		path.Text, path.Vision, path.Audio = memory.TextEncoder(path.Text, digest("text")), memory.VisionEncoder(path.Vision, digest("image")), memory.AudioEncoder(path.Audio, digest("audio"))
		path.Radiographs, path.Fusion = memory.VisionEncoder(path.Radiographs, digest("image")), memory.Fuser(path.Fusion, digest("fusion"))
		d.Answers = memory.Answers(map[analysis.Modality]Digest{analysis.Text: digest("text"), analysis.Image: digest("image"), analysis.Audio: digest("audio")}, digest("fusion"))
		d.Forget = (&Forgetter{Store: d.Store.(*postgres.Store), Cache: memory}).Forget
	}
}

// entries returns the keys of the cache without the marks of what was deleted, which hold nothing.
func entries(t *testing.T, r *remembered) []string {
	t.Helper()
	r.memory.Flush()
	keys, err := r.Keys(context.Background(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return strings.HasPrefix(key, "consilium:gone:") })
	slices.Sort(keys)
	return keys
}

// TestADeletedStudyIsGone looks everywhere: in every table, every file and every key.
func TestADeletedStudyIsGone(t *testing.T) {
	redis := connect(t, startValkey(t))
	f := newFixture(t, remembering(redis))
	work := func(study *client.Study, question string) (report string) {
		t.Helper()
		answer, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: question})
		if err != nil || answer.JSON200 == nil {
			t.Fatal(err, string(answer.Body))
		}
		written, err := f.client.CreateReportWithResponse(context.Background(), study.Id, client.ReportRequest{})
		if err != nil || written.JSON201 == nil {
			t.Fatal(err, string(written.Body))
		}
		f.indexed()
		return written.JSON201.Id
	}
	kept := f.create(item{"text", []byte("Kept.")}, item{"image", picture(1)}, item{"audio", sound()})
	work(kept, "Is it kept?")
	before, files := entries(t, redis), f.files()

	doomed := f.create(item{"metadata", []byte(`{"title":"Doomed film","accession":"D-1","study_date":"2026-01-01","labels":{"ward":"doomed ward"}}`)},
		item{"text", []byte("Doomed note.")}, item{"image", picture(2)}, item{"audio", sound()})
	traces := []string{doomed.Id, "Doomed film", "D-1", "doomed ward", "Doomed note.", "Is it doomed?", work(doomed, "Is it doomed?")}
	for _, a := range doomed.Artefacts {
		traces = append(traces, a.Id)
		if string(a.Modality) != "audio" { // which the other study holds too
			traces = append(traces, a.Sha256)
		}
	}
	if grown := entries(t, redis); len(grown) <= len(before) {
		t.Fatalf("the cache holds %d entries, as before", len(grown))
	}
	found := map[string]bool{}
	look := func(where, content string, allowed ...string) {
		for _, trace := range traces {
			if strings.Contains(content, trace) && !slices.Contains(allowed, trace) {
				found[trace] = true
				t.Logf("%s holds %q", where, trace)
			}
		}
	}
	lookEverywhere := func(allowed ...string) {
		for _, table := range f.tables("") {
			for _, row := range f.query("SELECT row_to_json(t)::text FROM " + pgx.Identifier{table}.Sanitize() + " t") {
				if table == "report_events" { // what was done with a report stays known, by the report's id
					look(table, row, append(allowed, traces[6])...)
				} else {
					look(table, row, allowed...)
				}
			}
		}
		if err := filepath.WalkDir(f.blobs, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			look(path, path+" "+string(content), allowed...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	lookEverywhere()
	if len(found) != len(traces) {
		t.Fatalf("before the deletion only %d of %d traces are found: the test looks in the wrong places", len(found), len(traces))
	}

	clear(found)
	deleted, err := f.client.DeleteStudyWithResponse(context.Background(), doomed.Id)
	if err != nil || deleted.StatusCode() != 204 {
		t.Fatal(err, string(deleted.Body))
	}
	lookEverywhere()
	if len(found) > 0 {
		t.Errorf("after the deletion there are still %v", found)
	}
	if got := entries(t, redis); !slices.Equal(got, before) {
		t.Errorf("the cache holds\n%v\nwant\n%v", got, before)
	}
	if got := f.files(); got != files {
		t.Errorf("%d files, want %d", got, files)
	}
	if got, err := f.client.GetStudyWithResponse(context.Background(), kept.Id); err != nil || got.JSON200 == nil {
		t.Errorf("the other study: %v", err)
	}
}

func TestACacheThatWasAwayForgetsLater(t *testing.T) {
	url := startValkey(t)
	redis := connect(t, url)
	var later func(context.Context) error
	f := newFixture(t, func(d *Deps) {
		remembering(redis)(d)
		later = d.Forget
		away, err := cache.Connect("redis://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { away.Close() })
		d.Forget = (&Forgetter{Store: d.Store.(*postgres.Store), Cache: cache.New(away, cache.DefaultOptions, d.Log, prometheus.NewRegistry())}).Forget
	})
	study := f.create()
	if answer, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "Is it red?"}); err != nil || answer.JSON200 == nil {
		t.Fatal(err)
	}
	remembered := entries(t, redis)
	if deleted, err := f.client.DeleteStudyWithResponse(context.Background(), study.Id); err != nil || deleted.StatusCode() != 204 {
		t.Fatal(err)
	}
	if got := entries(t, redis); len(remembered) == 0 || !slices.Equal(got, remembered) || len(f.query("SELECT sha256 FROM forgotten")) == 0 {
		t.Errorf("the cache was away and holds %d of %d entries", len(got), len(remembered))
	}
	if err := later(context.Background()); err != nil {
		t.Fatal(err)
	}
	index := fmt.Sprintf("%q", entries(t, redis))
	for _, a := range study.Artefacts {
		if strings.Contains(index, a.Sha256) {
			t.Errorf("the cache still remembers %s", a.Modality)
		}
	}
	if left := f.query("SELECT sha256 FROM forgotten"); len(left) > 0 {
		t.Errorf("still noted: %v", left)
	}
}
