package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/jobs"
)

// ControlJob implements jobs.Store.
func (s *Store) ControlJob(ctx context.Context, id string, action jobs.Action) (*jobs.Job, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, fmt.Sprintf("%s a job", action), func(tx pgx.Tx) error {
		control, err := lockJob(ctx, tx, tenant, id)
		if errors.Is(err, pgx.ErrNoRows) {
			return noJob(id)
		}
		if err != nil {
			return err
		}
		job, err := s.lockedJob(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		return s.control(ctx, tx, tenant, control, job, action)
	})
	if err != nil {
		return nil, err
	}
	return s.Job(ctx, id)
}

// lockedJob reads what decides whether an action is allowed, under the lock.
func (s *Store) lockedJob(ctx context.Context, tx pgx.Tx, tenant, id string) (*jobs.Job, error) {
	job := &jobs.Job{ID: id}
	c := &job.Counts
	return job, tx.QueryRow(ctx, "SELECT total, succeeded, failed, cancelled FROM jobs WHERE tenant_id = $1 AND id = $2", tenant, id).
		Scan(&c.Total, &c.Succeeded, &c.Failed, &c.Cancelled)
}

func (s *Store) control(ctx context.Context, tx pgx.Tx, tenant, control string, job *jobs.Job, action jobs.Action) error {
	set := func(assignments string) error {
		_, err := tx.Exec(ctx, "UPDATE jobs SET sequence = sequence + 1, "+assignments+" WHERE tenant_id = $1 AND id = $2", tenant, job.ID)
		return err
	}
	state := control
	if control != "cancelled" && job.Counts.Succeeded+job.Counts.Failed == job.Counts.Total {
		state = string(jobs.Completed)
	}
	conflict := func(why string) error {
		return &analysis.Error{Code: analysis.Conflict, Field: "state", Message: fmt.Sprintf("the job is %s, which does not allow to %s it%s", state, action, why), Value: state}
	}
	if control == "cancelled" && action != jobs.Cancel || state == string(jobs.Completed) && action != jobs.Retry {
		return conflict("")
	}
	switch action {
	case jobs.Pause:
		if control == "paused" {
			return nil
		}
		return set("control = 'paused'")
	case jobs.Resume:
		if control == "active" {
			return nil
		}
		if err := set("control = 'active'"); err != nil {
			return err
		}
	case jobs.Cancel:
		if control == "cancelled" {
			return nil
		}
		if err := cancelItems(ctx, tx, tenant, job.ID, "state IN ('waiting', 'queued') AND $3 = 0", 0); err != nil {
			return err
		}
		return set("control = 'cancelled'")
	case jobs.Retry:
		if job.Counts.Failed == 0 {
			state = "without failed items"
			return conflict("")
		}
		if _, err := tx.Exec(ctx, `UPDATE job_items SET state = 'waiting', attempts = 0, problem = NULL, sequence = NULL, finished_at = NULL
			WHERE tenant_id = $1 AND job_id = $2 AND state = 'failed'`, tenant, job.ID); err != nil {
			return err
		}
		if err := set("failed = 0, finished_at = NULL"); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown action %q on a job", action)
	}
	return s.refill(ctx, tx, tenant, job.ID)
}

// cancelItems cancels the items that match where, which knows $3, and counts them. The job is locked.
func cancelItems(ctx context.Context, tx pgx.Tx, tenant, id, where string, argument int) error {
	tag, err := tx.Exec(ctx, `UPDATE job_items SET state = 'cancelled', finished_at = clock_timestamp() WHERE tenant_id = $1 AND job_id = $2 AND `+where, tenant, id, argument)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE jobs SET sequence = sequence + 1, cancelled = cancelled + $3,
		finished_at = CASE WHEN succeeded + failed + cancelled + $3 = total THEN clock_timestamp() END WHERE tenant_id = $1 AND id = $2`, tenant, id, tag.RowsAffected())
	return err
}
