package vectoreval

import (
	"context"
	"testing"

	"consilium/internal/postgres"
	"consilium/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, postgres.Migrate) }

// TestTheIndexFindsTheNearest measures few vectors, so that it is quick; `consilium eval search` measures 100,000.
func TestTheIndexFindsTheNearest(t *testing.T) {
	const n = 6000 // more than are all looked at
	r, err := Measure(context.Background(), pgtest.New(t), n, 50, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *r)
	if r.Recall < 0.98 || r.Exact > 0 {
		t.Errorf("recall %v, %v of the queries without the index", r.Recall, r.Exact)
	}
}
