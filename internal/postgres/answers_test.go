package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

// pause is how long the server has nothing to do between two answers while models run.
const pause = 15 * time.Millisecond

// BenchmarkAnswer stores answers, beside what that cannot do without: a round trip to the server, and a commit on the disk; without a
// pause, and after one, when the server has to be woken and the processor's caches hold something else.
func BenchmarkAnswer(b *testing.B) {
	f := newFixture(b)
	study := &analysis.Study{Artefacts: []analysis.Artefact{{Modality: analysis.Text, MediaType: analysis.TextMediaType}}}
	if err := f.CreateStudy(f.ctx, study, [][]byte{[]byte("note")}); err != nil {
		b.Fatal(err)
	}
	if err := f.exec(b, "CREATE TABLE rows (number integer, name text)"); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(f.ctx, f.url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	row := func() error {
		_, err := conn.Exec(f.ctx, "INSERT INTO rows VALUES ($1, $2)", 1, "a row")
		return err
	}
	for _, c := range []struct {
		name, commit string
		do           func() error
	}{
		{"round trip", "on", func() error { return conn.Ping(f.ctx) }},
		{"row", "off", row},
		{"row on the disk", "on", row},
		{"answer on the disk", "on", func() error { return f.CreateAnswer(f.ctx, answerOf(study)) }},
	} {
		if _, err := conn.Exec(f.ctx, "SET synchronous_commit = "+c.commit); err != nil {
			b.Fatal(err)
		}
		for name, between := range map[string]time.Duration{"": 0, " after a pause": pause} {
			b.Run(c.name+name, func(b *testing.B) {
				for b.Loop() {
					if between > 0 {
						b.StopTimer()
						time.Sleep(between)
						b.StartTimer()
					}
					if err := c.do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
