package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"consilium/internal/jobs"
)

// riverSchema is the version of River's own tables. A newer one is a migration with a number of its own.
const riverSchema = 8

// riverMigration makes River's tables in the database behind url as the step of that number. River commits each of its
// steps by itself and leaves out those that were done.
func riverMigration(number int64, url string) *goose.Migration {
	migrate := func(direction rivermigrate.Direction, target int) *goose.GoFunc {
		return &goose.GoFunc{RunDB: func(ctx context.Context, _ *sql.DB) error {
			pool, err := pgxpool.New(ctx, url)
			if err != nil {
				return err
			}
			defer pool.Close()
			migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return err
			}
			_, err = migrator.Migrate(ctx, direction, &rivermigrate.MigrateOpts{TargetVersion: target})
			return err
		}}
	}
	return goose.NewGoMigration(number, migrate(rivermigrate.DirectionUp, riverSchema), migrate(rivermigrate.DirectionDown, -1))
}

// itemArgs name one item of a job in the workers' queue.
type itemArgs struct {
	Tenant   string `json:"tenant"`
	Job      string `json:"job"`
	Position int    `json:"position"`
}

// Kind implements river.JobArgs.
func (itemArgs) Kind() string { return "job_item" }

const (
	itemQueue = "items"
	// window is how many items of one job the queue holds: the job that came first does not fill it, and a pause has
	// little to take back.
	window = 128
	// itemAttempts is how often an item is tried. One that kills its worker counts as tried.
	itemAttempts = 5
	// fetchCooldown is the least time between two looks into the queue.
	fetchCooldown = 5 * time.Millisecond
	// keepFinished is how long the queue remembers what is done; the jobs themselves are kept elsewhere.
	keepFinished = 10 * time.Minute
)

// Workers are this process's share of the work on jobs.
type Workers struct {
	client *river.Client[pgx.Tx]
	pool   *pgxpool.Pool
}

// WorkerOptions tune the workers of a process.
type WorkerOptions struct {
	// Count is how many items are worked on at once.
	Count int
	// ItemTime bounds the work on one item. An item whose worker died is given to another one when a little more has passed.
	ItemTime time.Duration
	// DrainTime is how long items that were begun may go on after the order to stop; then they are left to others.
	DrainTime time.Duration
	Perform   jobs.Perform
	Log       *slog.Logger
}

// rescueMargin is how much longer than ItemTime an item may be unfinished before its worker counts as dead.
const rescueMargin = 5 * time.Second

// StartWorkers works on the jobs of all tenants until ctx ends or Close is called. The workers have connections of their own to the database
// behind url, so that they take none from the requests.
func (s *Store) StartWorkers(ctx context.Context, url string, options WorkerOptions) (*Workers, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("read the database's address: it is not a PostgreSQL connection string")
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.MaxConns = int32(options.Count + 4) // the queue itself listens, fetches and tidies up
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, fmt.Errorf("open the database for workers: %w", err)
	}
	all := river.NewWorkers()
	river.AddWorker(all, &itemWorker{store: s, pool: pool, options: options})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:               map[string]river.QueueConfig{itemQueue: {MaxWorkers: options.Count, FetchCooldown: fetchCooldown}},
		Workers:              all,
		JobTimeout:           options.ItemTime,
		SoftStopTimeout:      options.DrainTime,
		RescueStuckJobsAfter: options.ItemTime + rescueMargin,
		MaxAttempts:          2 * itemAttempts, // ours ends it first, with a result that says so

		CompletedJobRetentionPeriod: keepFinished,
		CancelledJobRetentionPeriod: keepFinished,
		DiscardedJobRetentionPeriod: keepFinished,
		Logger:                      options.Log,
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("make the workers: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("start the workers: %w", err)
	}
	return &Workers{client: client, pool: pool}, nil
}

// Close begins no more items and waits for those that were begun.
func (w *Workers) Close() error {
	defer w.pool.Close()
	if err := w.client.Stop(context.Background()); err != nil {
		return fmt.Errorf("stop the workers: %w", err)
	}
	return nil
}
