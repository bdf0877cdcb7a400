// Package postgres stores studies, answers, reports, models and jobs in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/blob"
)

// Blobs keeps the bytes of artefacts by tenant and digest. Put is durable when it returns and no error for what
// is there already; Remove is no error for what is not.
type Blobs interface {
	Put(tenant, digest string, content []byte) error
	Get(tenant, digest string) ([]byte, error)
	Remove(tenant, digest string) error
	// Stage, Adopt and Reader do the same for content that is too large for memory.
	Stage(content io.Reader, limit int64) (*blob.Staged, error)
	Adopt(tenant string, content *blob.Staged) error
	Reader(tenant, digest string) (io.ReadCloser, error)
}

// Store implements analysis.Store.
type Store struct {
	pool  *pgxpool.Pool
	blobs Blobs
	queue *river.Client[pgx.Tx] // takes the items of jobs; works on none
	// answers stores those that come at the same time together, by the connections of recorder.
	answers  *batch.Batcher[newAnswer, time.Time]
	recorder *pgxpool.Pool
	index    atomic.Pointer[bool] // whether there is an index of vectors; nil until somebody asked
	large    sync.Map             // tenants with many vectors, and when that was found
}

var _ analysis.Store = (*Store)(nil)

// connectTimeout bounds the making of one connection: a database that is down costs a request this much.
const connectTimeout = 3 * time.Second

// Open returns a store on a database whose schema is migrated. Connections are made when they are needed.
func Open(ctx context.Context, url string, blobs Blobs) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("read the database's address: it is not a PostgreSQL connection string") // the cause may quote the password
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the queue of jobs: %w", err)
	}
	recorder, err := newRecorder(ctx, config)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the database for answers: %w", err)
	}
	s := &Store{pool: pool, blobs: blobs, queue: queue, recorder: recorder}
	s.answers = batch.New(batch.Config{MaxCost: maxNewAnswers, Queue: maxWaitingAnswers, Workers: recorders}, func(newAnswer) int { return 1 }, s.insertAnswers)
	return s, nil
}

// Close waits for the calls in progress and closes every connection.
func (s *Store) Close() {
	s.answers.Close()
	s.recorder.Close()
	s.pool.Close()
}

// Ready returns an error unless the database answers.
func (s *Store) Ready(ctx context.Context) error {
	return failure("reach the database", s.pool.Ping(ctx))
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// inTx runs f in a transaction that is committed if f returns nil and rolled back otherwise.
func (s *Store) inTx(ctx context.Context, doing string, f func(pgx.Tx) error) error {
	return s.inTxOf(ctx, s.pool, doing, f)
}

// inTxOf is inTx with a connection of that pool.
func (s *Store) inTxOf(ctx context.Context, pool *pgxpool.Pool, doing string, f func(pgx.Tx) error) error {
	return failure(doing, pgx.BeginFunc(ctx, pool, f))
}

// tenantOf returns the context's tenant. A call without one is a bug of ours, never a look at everything.
func tenantOf(ctx context.Context) (string, error) {
	if tenant := analysis.Tenant(ctx); tenant != "" {
		return tenant, nil
	}
	return "", errors.New("storage was called without a tenant")
}

// newID returns a UUID of version 7, which sorts by time.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}

// The names that SQLSTATE has for what callers must tell apart.
const (
	foreignKeyViolation = "23503"
	uniqueViolation     = "23505"
)

// violates reports whether err is a violation of the kind state, of the named constraint if one is named.
func violates(err error, state, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == state && (constraint == "" || pg.ConstraintName == constraint)
}

// failure gives err a code: what already has one keeps it, a database that cannot be reached is Unavailable.
func failure(doing string, err error) error {
	var coded *analysis.Error
	var pg *pgconn.PgError
	var scan pgx.ScanArgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &pg):
		switch pg.Code[:2] {
		case "08", "53", "57": // connection, resources, operator intervention
		default:
			return fmt.Errorf("%s: %w", doing, err)
		}
	case errors.Is(err, pgx.ErrNoRows), errors.As(err, &scan):
		return fmt.Errorf("%s: %w", doing, err)
	}
	// What is neither from the server nor from the caller happened on the way to the server.
	return &analysis.Error{Code: analysis.Unavailable, Message: "the database is not available", Err: fmt.Errorf("%s: %w", doing, err)}
}
