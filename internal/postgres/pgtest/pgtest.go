// Package pgtest gives every test a migrated database of its own on a real Postgres.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"consilium/internal/childproc"
)

// template is the database that every test's own is copied from.
const template = "migrated"

// server is the one Postgres of this test binary.
var server struct {
	migrate func(ctx context.Context, url string) error
	start   sync.Once
	err     error
	dir     string
	running *childproc.Postgres
	mu      sync.Mutex // Postgres copies a template for one session at a time
	count   int
}

// Main runs a package's tests and then removes the server that New may have started. A package that calls New says
//
//	func TestMain(m *testing.M) { pgtest.Main(m, migrations.Up) }
//
// where migrate brings the empty database behind url to its latest schema.
func Main(m *testing.M, migrate func(ctx context.Context, url string) error) {
	server.migrate = migrate
	code := m.Run()
	if server.running != nil {
		if err := server.running.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	if server.dir != "" {
		if err := os.RemoveAll(server.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// New returns the connection string of a fresh migrated database, which is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	if server.migrate == nil {
		t.Fatal("pgtest.New needs a TestMain that calls pgtest.Main")
	}
	server.start.Do(func() { server.err = start() })
	if server.err != nil {
		t.Fatal(server.err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	server.count++
	name := fmt.Sprintf("test_%d", server.count)
	if err := admin(fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin(fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name)); err != nil {
			t.Error(err)
		}
	})
	return server.running.URL(name)
}

// start starts the server and migrates the template.
func start() (err error) {
	ctx := context.Background()
	if server.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return err
	}
	if err := os.Chmod(server.dir, 0o755); err != nil { // root's Postgres runs as another user
		return err
	}
	if server.running, err = childproc.StartPostgres(ctx, filepath.Join(server.dir, "pg"), nil); err != nil {
		return err
	}
	if err := server.running.Create(ctx, template); err != nil {
		return err
	}
	if err := server.migrate(ctx, server.running.URL(template)); err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	return nil
}

func admin(sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server.running.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
