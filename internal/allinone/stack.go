package allinone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/childproc"
)

// Stack is a running platform.
type Stack struct {
	// URL is the address of the public interface.
	URL string

	settings *Settings
	getenv   func(string) string
	log      io.Writer
	progress func(string)

	mu       sync.Mutex
	postgres *childproc.Postgres // nil: an own server
	valkey   *childproc.Valkey   // nil: an own server
	models   map[string]*part
	gateway  *part
	own      map[string]string // the gateway's place in the platform, as settings
	failed   chan error
}

// Start starts everything and returns when the platform is ready: the databases and the models side by side, then
// the gateway. log gets what the parts log, one line at a time; progress, if not nil, one sentence a step. getenv
// gives the parts the settings that Settings does not know. On an error nothing stays behind.
func Start(ctx context.Context, settings *Settings, getenv func(string) string, log io.Writer, progress func(string)) (*Stack, error) {
	if progress == nil {
		progress = func(string) {}
	}
	s := &Stack{
		settings: settings, getenv: getenv, log: &lines{w: log}, progress: progress,
		models: map[string]*part{}, failed: make(chan error, 1),
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	if err := probeListen(ctx, s.settings.Listen); err != nil {
		return err
	}
	if err := os.MkdirAll(s.settings.State, 0o755); err != nil {
		return fmt.Errorf("make the state folder (CONSILIUM_STATE): %w", err)
	}
	postgresURL, redisURL := s.settings.PostgresURL, s.settings.RedisURL
	group, groupCtx := errgroup.WithContext(ctx)
	if postgresURL == "" {
		group.Go(func() (err error) {
			postgresURL, err = s.startPostgres(groupCtx)
			return err
		})
	}
	if redisURL == "" {
		group.Go(func() (err error) {
			redisURL, err = s.startValkey(groupCtx)
			return err
		})
	}
	for _, model := range models {
		group.Go(func() error { return s.startModel(groupCtx, model) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.startGateway(ctx, postgresURL, redisURL)
}

func (s *Stack) startPostgres(ctx context.Context) (string, error) {
	defer s.step("Postgres")()
	postgres, err := childproc.StartPostgres(ctx, filepath.Join(s.settings.State, "postgres"), s.log)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.postgres = postgres
	s.mu.Unlock()
	s.watch("Postgres", postgres.Done())
	const database = "consilium"
	return postgres.URL(database), postgres.Create(ctx, database)
}

func (s *Stack) startValkey(ctx context.Context) (string, error) {
	defer s.step("Valkey")()
	valkey, err := childproc.StartValkey(ctx, filepath.Join(s.settings.State, "valkey"), s.log)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.valkey = valkey
	s.mu.Unlock()
	return valkey.URL(), nil // the platform goes on without it, so nobody watches it
}

// step tells that a part is up, with the time that it took, when the returned function is called.
func (s *Stack) step(name string) (done func()) {
	start := time.Now()
	return func() { s.progress(fmt.Sprintf("%-14s up after %.1f s", name, time.Since(start).Seconds())) }
}

// watch reports the end of a part that the platform cannot be without.
func (s *Stack) watch(name string, done <-chan struct{}) {
	go func() {
		<-done
		select {
		case s.failed <- fmt.Errorf("the platform's %s ended", name):
		default: // another one ended before
		}
	}()
}

// Failed gets an error when a part ends that was not asked to.
func (s *Stack) Failed() <-chan error { return s.failed }

// Stop ends everything in the reverse order of the start; requests in flight are answered.
func (s *Stack) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.gateway != nil {
		errs = append(errs, s.gateway.Stop())
		s.gateway = nil
	}
	for name, model := range s.models {
		errs = append(errs, model.Stop())
		delete(s.models, name)
	}
	if s.valkey != nil {
		errs = append(errs, s.valkey.Stop())
		s.valkey = nil
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop())
		s.postgres = nil
	}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// probeListen fails at once, and not after half a minute of starting, where the address is taken.
func probeListen(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w; set CONSILIUM_LISTEN to a free address, such as 127.0.0.1:0 for any free port", err)
	}
	return listener.Close()
}

// lines keeps the lines of parts that log at the same time whole.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
