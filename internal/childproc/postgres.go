package childproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/weights"
)

// role is the database's owner and the only one who can log in.
const role = "consilium"

// Postgres is a running server that only this user's processes can reach, by a Unix socket and a password.
type Postgres struct {
	process  *process
	lock     *os.File
	dir      string
	password string
}

// StartPostgres starts a server that keeps everything below dir, which it makes at the first start, and returns
// when it answers. ctx bounds the start only; what the server says goes to logw, which may be nil.
func StartPostgres(ctx context.Context, dir string, logw io.Writer) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	account, err := childAccount()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir}
	if err := checkSocket(filepath.Join(p.run(), ".s.PGSQL.5432")); err != nil {
		return nil, err
	}
	if err := account.prepare(dir); err != nil {
		return nil, err
	}
	if p.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	if err := p.start(ctx, bin, account, logw); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Postgres) start(ctx context.Context, bin string, account *account, logw io.Writer) (err error) {
	if p.password, err = password(filepath.Join(p.dir, "password")); err != nil {
		return err
	}
	if err := os.Mkdir(p.run(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := account.prepare(p.dir); err != nil { // the password and the folder are new
		return err
	}
	if err := p.initialise(ctx, bin, account); err != nil {
		return err
	}
	if err := p.awaitPredecessor(ctx); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", p.data(),
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+p.run(), "-c", "unix_socket_permissions=0700",
		"-c", "port=5432", "-c", "timezone=UTC", "-c", "log_timezone=UTC")
	cmd.Dir, cmd.Env = p.dir, childEnv(p.dir)
	if p.process, err = launch("Postgres", cmd, syscall.SIGINT, account, logw); err != nil {
		return err
	}
	return p.awaitAnswer(ctx)
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }
func (p *Postgres) run() string  { return filepath.Join(p.dir, "run") }

// URL returns the connection string of one database.
func (p *Postgres) URL(db string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, p.password), Path: "/" + db}
	u.RawQuery = url.Values{"host": {p.run()}, "port": {"5432"}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Create makes the database unless it exists.
func (p *Postgres) Create(ctx context.Context, db string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", db, err)
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", db).Scan(&exists); err != nil {
		return fmt.Errorf("look up database %s: %w", db, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{db}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", db, err)
	}
	return nil
}

// Stop shuts the server down: open transactions are rolled back, everything committed is on disk.
func (p *Postgres) Stop() error {
	defer p.lock.Close()
	if p.process == nil {
		return nil
	}
	return p.process.stop(syscall.SIGINT)
}

// Done is closed when the server has ended, asked or not.
func (p *Postgres) Done() <-chan struct{} { return p.process.done }

// initialise makes the data folder under another name first: one that has the right name is complete.
func (p *Postgres) initialise(ctx context.Context, bin string, account *account) error {
	if _, err := os.Stat(p.data()); err == nil {
		return nil
	}
	partial := p.data() + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", partial, "-U", role,
		"--pwfile="+filepath.Join(p.dir, "password"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
	cmd.Dir, cmd.Env = p.dir, childEnv(p.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account.credential()}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the database folder %s: %w: %s", p.data(), err, bytes.TrimSpace(said))
	}
	return os.Rename(partial, p.data())
}

// awaitPredecessor waits for a server whose parent was killed a moment ago: it is still writing its last
// checkpoint while the lock of its parent is gone already. A pid that now belongs to another program only costs
// the wait; Postgres itself then decides.
func (p *Postgres) awaitPredecessor(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll(ctx, nil, func() bool {
		content, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
		if err != nil {
			return true
		}
		line, _, _ := bytes.Cut(content, []byte("\n"))
		pid, err := strconv.Atoi(string(line))
		return err != nil || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || ctx.Err() != nil
	})
}

// awaitAnswer returns when the server takes a query.
func (p *Postgres) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // it may have to replay its log
	defer cancel()
	var last error
	err := poll(ctx, p.process.done, func() bool {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if last = err; err != nil {
			return false
		}
		return conn.Close(ctx) == nil
	})
	if err != nil {
		return fmt.Errorf("wait for Postgres in %s: %w: %w: %s", p.dir, err, last, p.process.said)
	}
	return nil
}

// poll calls ready every 20 ms until it says true; an end of ctx or of done is an error.
func poll(ctx context.Context, done <-chan struct{}, ready func() bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return errors.New("it ended")
		case <-ticker.C:
		}
	}
	return nil
}

// postgresBin returns the folder with postgres and initdb: the setting's, the pinned one, or the system's.
func postgresBin() (string, error) {
	complete := func(dir string) bool {
		for _, name := range []string{"postgres", "initdb"} {
			if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
				return false
			}
		}
		return true
	}
	if dir := os.Getenv("CONSILIUM_POSTGRES_BIN"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("CONSILIUM_POSTGRES_BIN: %q holds no postgres and initdb", dir)
		}
		return dir, nil
	}
	pinned, missing := weights.Path("postgres")
	dirs := []string{filepath.Join(pinned, "bin")}
	if missing != nil {
		dirs = nil
	}
	system, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian keeps them off the PATH
	dirs = append(dirs, system...)
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if complete(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find Postgres: set CONSILIUM_POSTGRES_BIN or CONSILIUM_POSTGRES_URL: %w", missing)
}

// childEnv is all that a child gets to see of the environment.
func childEnv(home string) []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "LC_ALL=C", "TZ=UTC"}
}
