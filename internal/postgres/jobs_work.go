package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/trace"

	"consilium/internal/analysis"
	"consilium/internal/jobs"
)

// itemWorker works on one item at a time, in as many goroutines as there are workers.
type itemWorker struct {
	river.WorkerDefaults[itemArgs]
	store   *Store
	pool    *pgxpool.Pool
	options WorkerOptions
}

// NextRetry implements river.Worker: 1, 2, 4, 8 s after what may pass by itself, such as an encoder that restarts.
func (w *itemWorker) NextRetry(job *river.Job[itemArgs]) time.Time {
	return time.Now().Add(time.Second << min(job.Attempt-1, 3))
}

// Work implements river.Worker. What it returns as an error is tried again.
func (w *itemWorker) Work(ctx context.Context, job *river.Job[itemArgs]) error {
	ctx, err := traced(analysis.WithBulk(analysis.WithTenant(ctx, job.Args.Tenant)))
	if err != nil {
		return err
	}
	work, err := w.begin(ctx, job)
	if err != nil || work == nil {
		return err
	}
	if job.Attempt > itemAttempts {
		return w.finish(ctx, job, nil, analysis.Errorf(analysis.Internal, "the item did not come to an end in %d attempts", itemAttempts))
	}
	outcome, err := w.options.Perform(ctx, work)
	var e *analysis.Error
	switch {
	case err == nil:
		return w.finish(ctx, job, outcome, nil)
	case errors.As(err, &e) && e.Code == analysis.Overloaded:
		w.putBack(ctx, job)
		return river.JobSnooze(max(time.Second, e.RetryAfter)) // not the item's fault, and so no attempt
	case jobs.Passing(analysis.CodeOf(err)) && job.Attempt < itemAttempts:
		w.putBack(ctx, job)
		return err
	}
	w.options.Log.WarnContext(ctx, "an item failed", "job", job.Args.Job, "item", job.Args.Position, "error", err.Error())
	return w.finish(ctx, job, nil, err)
}

// traced begins a trace for the work on one item: its calls of the models and what is logged belong to it.
func traced(ctx context.Context) (context.Context, error) {
	var ids [24]byte
	if _, err := rand.Read(ids[:]); err != nil {
		return nil, fmt.Errorf("make a trace id: %w", err)
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(ids[:16]), SpanID: trace.SpanID(ids[16:]), TraceFlags: trace.FlagsSampled,
	})), nil
}

// putBack says that the item is not being worked on until it is tried again. It is a courtesy to who counts: an item of a
// worker that died is not put back either.
func (w *itemWorker) putBack(ctx context.Context, job *river.Job[itemArgs]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	if _, err := w.pool.Exec(ctx, "UPDATE job_items SET state = 'queued' WHERE tenant_id = $1 AND job_id = $2 AND position = $3 AND state = 'running'",
		job.Args.Tenant, job.Args.Job, job.Args.Position); err != nil {
		w.options.Log.WarnContext(ctx, "an item is still counted as running", "job", job.Args.Job, "item", job.Args.Position, "error", err.Error())
	}
}

// begin marks the item as being worked on and returns what to do; nil if there is nothing to be done any more.
func (w *itemWorker) begin(ctx context.Context, job *river.Job[itemArgs]) (*jobs.Work, error) {
	a := job.Args
	work := &jobs.Work{JobID: a.Job, Position: a.Position}
	take := func(q querier) error {
		return q.QueryRow(ctx, `UPDATE job_items i SET state = 'running', attempts = $4 FROM jobs j
			WHERE i.tenant_id = $1 AND i.job_id = $2 AND i.position = $3 AND i.state IN ('queued', 'running')
				AND j.tenant_id = $1 AND j.id = $2 AND j.control = 'active'
			RETURNING j.task, j.options, i.study_id, coalesce(j.options -> 'questions' ->> i.question, ''), coalesce(i.expected, '')`,
			a.Tenant, a.Job, a.Position, job.Attempt).Scan(&work.Task, &work.Options, &work.StudyID, &work.Question, &work.Expected)
	}
	switch err := take(w.pool); {
	case err == nil:
		return work, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return nil, failure("begin an item", err)
	}
	taken := false
	err := w.store.inTxOf(ctx, w.pool, "begin an item", func(tx pgx.Tx) error {
		control, err := lockJob(ctx, tx, a.Tenant, a.Job)
		if errors.Is(err, pgx.ErrNoRows) {
			return w.forget(ctx, tx, job) // the job was deleted
		}
		if err != nil {
			return err
		}
		switch err := take(tx); { // it may have been resumed meanwhile
		case err == nil:
			taken = true
			return nil
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		if control == "paused" {
			_, err = tx.Exec(ctx, `UPDATE job_items SET state = 'waiting' WHERE tenant_id = $1 AND job_id = $2 AND position = $3
				AND state IN ('queued', 'running')`, a.Tenant, a.Job, a.Position)
		} else { // begun, then its worker died and the job was cancelled
			err = cancelItems(ctx, tx, a.Tenant, a.Job, "position = $3 AND state IN ('queued', 'running')", a.Position)
		}
		if err != nil {
			return err
		}
		return w.forget(ctx, tx, job)
	})
	if err != nil || !taken {
		return nil, err
	}
	return work, nil
}

// finishTime bounds the storing of what came of an item. If another worker was given the item meanwhile, whoever is first counts.
const finishTime = 30 * time.Second

// forget takes an item out of the queue.
func (w *itemWorker) forget(ctx context.Context, tx pgx.Tx, job *river.Job[itemArgs]) error {
	_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
	return err
}

// finish stores what came of an item, takes it out of the queue and puts the job's next one in, all or nothing. An item
// that somebody else has finished stays as it is.
func (w *itemWorker) finish(ctx context.Context, job *river.Job[itemArgs], outcome *jobs.Outcome, cause error) error {
	// What was computed is kept even if its time has just ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	a := job.Args
	err := w.store.inTxOf(ctx, w.pool, "finish an item", func(tx pgx.Tx) error {
		var study string
		// The study is locked first, as its deletion does, and cannot go while this is stored.
		if err := tx.QueryRow(ctx, `SELECT study_id FROM job_items WHERE tenant_id = $1 AND job_id = $2 AND position = $3`, a.Tenant, a.Job, a.Position).Scan(&study); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "SELECT FROM studies WHERE tenant_id = $1 AND id = $2 FOR KEY SHARE", a.Tenant, study)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			outcome, cause = nil, &analysis.Error{Code: analysis.NotFound, Field: "study_id", Message: "the study was deleted", Value: study}
		}
		if _, err := lockJob(ctx, tx, a.Tenant, a.Job); err != nil {
			return err
		}
		if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
			return err
		}
		var state string
		if err := tx.QueryRow(ctx, "SELECT state FROM job_items WHERE tenant_id = $1 AND job_id = $2 AND position = $3 FOR UPDATE", a.Tenant, a.Job, a.Position).Scan(&state); err != nil || state != "running" {
			return err
		}
		return w.store.storeOutcome(ctx, tx, a, outcome, cause)
	})
	if errors.Is(err, rivertype.ErrNotFound) || errors.Is(err, pgx.ErrNoRows) { // another worker has it, or nobody wants it
		return nil
	}
	return err
}

func (s *Store) storeOutcome(ctx context.Context, tx pgx.Tx, a itemArgs, outcome *jobs.Outcome, cause error) error {
	state, counter := "succeeded", "succeeded"
	var result *jobs.Result
	var problem *jobs.Problem
	var stages []analysis.Stage
	if cause != nil {
		state, counter, problem = "failed", "failed", problemOf(ctx, cause)
	} else {
		result, stages = outcome.Result, outcome.Stages
		if outcome.Answer != nil {
			if err := insertAnswer(ctx, tx, a.Tenant, outcome.Answer); err != nil {
				return err
			}
			result.AnswerID = outcome.Answer.ID
		}
		if outcome.Report != nil {
			if err := insertReport(ctx, tx, a.Tenant, outcome.Report); err != nil {
				return err
			}
			result.ReportID = outcome.Report.ID
		}
	}
	var sequence int64
	if err := tx.QueryRow(ctx, `UPDATE jobs SET sequence = sequence + 1, `+counter+` = `+counter+` + 1,
		finished_at = CASE WHEN succeeded + failed + cancelled + 1 = total THEN clock_timestamp() END
		WHERE tenant_id = $1 AND id = $2 RETURNING sequence`, a.Tenant, a.Job).Scan(&sequence); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE job_items SET state = $4, result = $5, problem = $6, stages = $7, sequence = $8, finished_at = clock_timestamp()
		WHERE tenant_id = $1 AND job_id = $2 AND position = $3`, a.Tenant, a.Job, a.Position, state, result, problem, stages, sequence); err != nil {
		return err
	}
	return s.refill(ctx, tx, a.Tenant, a.Job)
}

// problemOf is what the user may know of an error.
func problemOf(ctx context.Context, err error) *jobs.Problem {
	p := &jobs.Problem{Code: analysis.CodeOf(err), Message: "the item failed on our side; the log has the cause under this trace id", TraceID: trace.SpanContextFromContext(ctx).TraceID().String()}
	var e *analysis.Error
	if errors.As(err, &e) {
		p.Message, p.Field, p.Limit, p.Value = e.Message, e.Field, e.Limit, e.Value
	} else if p.Code == analysis.Canceled {
		p.Message = "the item was not finished in time"
	}
	return p
}

// lockJob locks a job's row, which every change of the job holds, and returns what a person has decided about it.
func lockJob(ctx context.Context, tx pgx.Tx, tenant, id string) (control string, err error) {
	err = tx.QueryRow(ctx, "SELECT control FROM jobs WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant, id).Scan(&control)
	return control, err
}

// refill puts items of an active job that wait into the queue until it holds a window of them. The job is locked.
func (s *Store) refill(ctx context.Context, tx pgx.Tx, tenant, id string) error {
	rows, err := tx.Query(ctx, `UPDATE job_items SET state = 'queued' WHERE tenant_id = $1 AND job_id = $2 AND position IN (
			SELECT position FROM job_items WHERE tenant_id = $1 AND job_id = $2 AND state = 'waiting'
				AND (SELECT control FROM jobs WHERE tenant_id = $1 AND id = $2) = 'active'
			ORDER BY position LIMIT (SELECT greatest(0, $3 - count(*)) FROM job_items WHERE tenant_id = $1 AND job_id = $2 AND state IN ('queued', 'running')))
		RETURNING position`, tenant, id, window)
	if err != nil {
		return err
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(positions) == 0 {
		return err
	}
	slices.Sort(positions)
	many := make([]river.InsertManyParams, len(positions))
	for i, position := range positions {
		many[i] = river.InsertManyParams{Args: itemArgs{Tenant: tenant, Job: id, Position: position}, InsertOpts: &river.InsertOpts{Queue: itemQueue, MaxAttempts: 2 * itemAttempts}}
	}
	if _, err := s.queue.InsertManyFastTx(ctx, tx, many); err != nil {
		return fmt.Errorf("queue items: %w", err)
	}
	return nil
}
