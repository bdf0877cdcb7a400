package childproc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// TestMain lets the test binary play the parent that is killed in TestChildrenDieWithTheirParent.
func TestMain(m *testing.M) {
	dir := os.Getenv("CHILDPROC_TEST_PARENT")
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	postgres, err := StartPostgres(ctx, filepath.Join(dir, "postgres"), nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	valkey, err := StartValkey(ctx, filepath.Join(dir, "valkey"), nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up", postgres.URL("postgres"), valkey.URL())
	select {}
}

// tempDir is a short folder below one that every user may enter: t.TempDir carries the test's name.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "childproc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPostgresKeepsWhatWasCommitted(t *testing.T) {
	ctx, dir := t.Context(), filepath.Join(tempDir(t), "pg")
	query := func(p *Postgres, sql string) (value int) {
		t.Helper()
		conn, err := pgx.Connect(ctx, p.URL("shop"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if err := conn.QueryRow(ctx, sql).Scan(&value); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatalf("%s: %v", sql, err)
		}
		return value
	}

	first, err := StartPostgres(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second call finds the database
		if err := first.Create(ctx, "shop"); err != nil {
			t.Fatal(err)
		}
	}
	query(first, "CREATE TABLE t AS SELECT 7 AS n")
	if _, err := StartPostgres(ctx, dir, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server in the same folder: %v", err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	second, err := StartPostgres(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()
	if n := query(second, "SELECT n FROM t"); n != 7 {
		t.Errorf("after a restart: found %d, want 7", n)
	}
}

func TestPostgresRefusesAWrongPassword(t *testing.T) {
	p, err := StartPostgres(t.Context(), filepath.Join(tempDir(t), "pg"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	p.password = "guess"
	if conn, err := pgx.Connect(t.Context(), p.URL("postgres")); err == nil {
		conn.Close(t.Context())
		t.Error("a wrong password was accepted")
	}
}

func TestValkeyAnswersAndNeedsItsPassword(t *testing.T) {
	v, err := StartValkey(t.Context(), filepath.Join(tempDir(t), "vk"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Stop()
	ping := func() error {
		options, err := redis.ParseURL(v.URL())
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		defer client.Close()
		return client.Set(t.Context(), "k", "v", 0).Err()
	}
	if err := ping(); err != nil {
		t.Error(err)
	}
	v.password = "guess"
	if err := ping(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestAFailedStartSaysWhy(t *testing.T) {
	long := filepath.Join(tempDir(t), strings.Repeat("x", 100))
	if _, err := StartPostgres(t.Context(), long, nil); err == nil || !strings.Contains(err.Error(), "limit is 107") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := StartValkey(t.Context(), long, nil); err == nil || !strings.Contains(err.Error(), "limit is 107") {
		t.Errorf("a long path: %v", err)
	}

	broken := filepath.Join(tempDir(t), "pg")
	if err := os.MkdirAll(filepath.Join(broken, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := StartPostgres(t.Context(), broken, nil); err == nil || !strings.Contains(err.Error(), "not contain") && !strings.Contains(err.Error(), "not a valid data directory") && !strings.Contains(err.Error(), "postgresql.conf") {
		t.Errorf("a folder that is no database: %v", err)
	}

	t.Setenv("CONSILIUM_POSTGRES_BIN", tempDir(t))
	if _, err := StartPostgres(t.Context(), broken, nil); err == nil || !strings.Contains(err.Error(), "CONSILIUM_POSTGRES_BIN") {
		t.Errorf("an empty binary folder: %v", err)
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	dir := tempDir(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILDPROC_TEST_PARENT="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "up" {
		t.Fatalf("the parent said %q", line)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	options, err := redis.ParseURL(words[2])
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.DialerRetries = -1, 1
	client := redis.NewClient(options)
	defer client.Close()
	if err := poll(ctx, nil, func() bool { return client.Ping(ctx).Err() != nil }); err != nil {
		t.Errorf("Valkey outlived its parent: %v", err)
	}
	// A clean shutdown removes the pid file; a crash leaves it.
	if err := poll(ctx, nil, func() bool {
		_, err := os.Stat(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
		return os.IsNotExist(err)
	}); err != nil {
		t.Errorf("Postgres outlived its parent: %v", err)
	}

	again, err := StartPostgres(t.Context(), filepath.Join(dir, "postgres"), nil)
	if err != nil {
		t.Fatalf("start after the parent was killed: %v", err)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreReadableByTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(tempDir(t), "pg")
	p, err := StartPostgres(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	for _, name := range []string{"", "password", "run", "data"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&fs.FileMode(0o077) != 0 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}
