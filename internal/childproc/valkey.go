package childproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"consilium/internal/weights"
)

// Valkey is a running Redis-compatible server, reached by a Unix socket and a password. It keeps nothing on disk.
type Valkey struct {
	process  *process
	lock     *os.File
	socket   string
	password string
}

// valkeyMemory bounds the cache; the least recently used entries go first.
const valkeyMemory = "256mb"

// StartValkey starts a server with its socket in dir and returns when it answers. ctx bounds the start only;
// what the server says goes to logw, which may be nil.
func StartValkey(ctx context.Context, dir string, logw io.Writer) (*Valkey, error) {
	program, err := valkeyProgram()
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
	v := &Valkey{socket: filepath.Join(dir, "valkey.sock")}
	if err := checkSocket(v.socket); err != nil {
		return nil, err
	}
	if err := account.prepare(dir); err != nil {
		return nil, err
	}
	if v.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	if err := v.start(ctx, program, dir, account, logw); err != nil {
		return nil, errors.Join(err, v.Stop())
	}
	return v, nil
}

func (v *Valkey) start(ctx context.Context, program, dir string, account *account, logw io.Writer) (err error) {
	if v.password, err = password(filepath.Join(dir, "password")); err != nil {
		return err
	}
	cmd := exec.Command(program, "-") // the settings come by standard input: arguments can be read by everyone
	cmd.Stdin = strings.NewReader(strings.Join([]string{
		"port 0", "unixsocket " + v.socket, "unixsocketperm 700", "requirepass " + v.password,
		"save \"\"", "appendonly no", "maxmemory " + valkeyMemory, "maxmemory-policy allkeys-lru", "daemonize no",
	}, "\n"))
	cmd.Dir, cmd.Env = dir, childEnv(dir)
	if v.process, err = launch("Valkey", cmd, syscall.SIGKILL, account, logw); err != nil {
		return err
	}

	options, err := redis.ParseURL(v.URL())
	if err != nil {
		return err
	}
	options.MaxRetries, options.DialerRetries = -1, 1 // the poll below repeats
	client := redis.NewClient(options)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = poll(ctx, v.process.done, func() bool {
		_, missing := os.Stat(v.socket) // go-redis complains on standard error about every failed dial
		return missing == nil && client.Ping(ctx).Err() == nil
	})
	if err != nil {
		return fmt.Errorf("wait for Valkey in %s: %w: %s", dir, err, v.process.said)
	}
	return nil
}

// URL returns the address as go-redis reads it.
func (v *Valkey) URL() string {
	u := url.URL{Scheme: "unix", User: url.UserPassword("default", v.password), Path: v.socket}
	return u.String()
}

// Stop ends the server and everything it remembers.
func (v *Valkey) Stop() error {
	defer v.lock.Close()
	if v.process == nil {
		return nil
	}
	return v.process.stop(syscall.SIGTERM)
}

// Done is closed when the server has ended, asked or not.
func (v *Valkey) Done() <-chan struct{} { return v.process.done }

// valkeyProgram returns the pinned server or the system's.
func valkeyProgram() (string, error) {
	pinned, missing := weights.Path("valkey-server")
	if missing == nil {
		return pinned, nil
	}
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find Valkey: set CONSILIUM_REDIS_URL: %w", missing)
}
