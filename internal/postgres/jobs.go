package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/jobs"
)

var _ jobs.Store = (*Store)(nil)

// CreateJob implements jobs.Store.
func (s *Store) CreateJob(ctx context.Context, request *jobs.Request, traceID string) (job *jobs.Job, replayed bool, err error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, false, err
	}
	canonical, err := request.Canonical()
	if err != nil {
		return nil, false, fmt.Errorf("compare a job: %w", err)
	}
	sum := sha256.Sum256(canonical)
	digest := hex.EncodeToString(sum[:])
	if job, err := s.sameJob(ctx, tenant, request.Key, digest); job != nil || err != nil {
		return job, true, err
	}
	id, err := newID()
	if err != nil {
		return nil, false, err
	}
	err = s.inTx(ctx, "store a job", func(tx pgx.Tx) error { return s.createJob(ctx, tx, tenant, id, digest, traceID, request) })
	if violates(err, uniqueViolation, "jobs_idempotency_key") { // the same request, a moment before
		job, err = s.sameJob(ctx, tenant, request.Key, digest)
		return job, true, err
	}
	if err != nil {
		return nil, false, err
	}
	job, err = s.Job(ctx, id)
	return job, false, err
}

// sameJob returns the job that has the key, nil if none has; InvalidArgument if it was asked for by another request.
func (s *Store) sameJob(ctx context.Context, tenant, key, digest string) (*jobs.Job, error) {
	if key == "" {
		return nil, nil
	}
	var id, stored string
	err := s.pool.QueryRow(ctx, "SELECT id, request_sha256 FROM jobs WHERE tenant_id = $1 AND idempotency_key = $2", tenant, key).Scan(&id, &stored)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, failure("look for a job", err)
	case stored != digest:
		return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: "Idempotency-Key", Message: "the key belongs to another request", Value: key}
	}
	return s.Job(ctx, id)
}

// createJob stores a job and its items and puts the first of them into the queue.
func (s *Store) createJob(ctx context.Context, tx pgx.Tx, tenant, id, digest, traceID string, request *jobs.Request) error {
	f, o := request.Filter, request.Options
	if err := checkStudies(ctx, tx, tenant, f.IDs); err != nil {
		return err
	}
	// What an item needs of the request stands in the item: a job is read often, and lists of studies are long.
	expected := o.Expected
	f.IDs, o.Expected = nil, nil
	if expected == nil {
		expected = map[string]string{}
	}
	q := &search{}
	q.and("s.tenant_id = %s", q.arg(tenant))
	q.chosenBy("s", &request.Filter)
	known := fmt.Sprintf("CASE WHEN %s THEN coalesce(%s::jsonb ->> s.id::text, s.labels ->> %s) ELSE '' END", q.arg(request.Task == jobs.Evaluate), q.arg(expected), q.arg(o.Label))
	fits := fmt.Sprintf("(SELECT s.id, %s AS known FROM studies s WHERE %s) s", known, strings.Join(q.where, " AND "))
	var skipped, matched int
	if err := tx.QueryRow(ctx, "SELECT count(*), count(*) FILTER (WHERE known IS NULL) FROM "+fits, q.args...).Scan(&matched, &skipped); err != nil {
		return err
	}
	questions := max(1, len(o.Questions))
	total := (matched - skipped) * questions
	if total == 0 {
		e := analysis.Invalid("filter", "no study fits the filter")
		if matched > 0 {
			e = analysis.Invalid("options.label", "no study that fits the filter has anything to be compared with")
			e.Value = fmt.Sprintf("%d studies", matched)
		}
		return e
	}
	if total > jobs.MaxItems {
		return &analysis.Error{Code: analysis.TooLarge, Field: "filter", Message: "the job has too many items",
			Limit: fmt.Sprintf("%d items", jobs.MaxItems), Value: fmt.Sprintf("%d items", total)}
	}
	var key *string
	if request.Key != "" {
		key = &request.Key
	}
	if _, err := tx.Exec(ctx, `INSERT INTO jobs (tenant_id, id, task, filter, options, total, skipped, idempotency_key, request_sha256, trace_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, tenant, id, request.Task, f, o, total, skipped, key, digest, traceID); err != nil {
		return err
	}
	jobID, asked, last := q.arg(id), q.arg(len(o.Questions) > 0), q.arg(questions-1)
	tag, err := tx.Exec(ctx, fmt.Sprintf(`INSERT INTO job_items (tenant_id, job_id, position, study_id, question, expected)
		SELECT $1, %s, row_number() OVER (ORDER BY s.id, n), s.id, CASE WHEN %s THEN n END, NULLIF(known, '')
		FROM %s CROSS JOIN generate_series(0, %s::int) n WHERE known IS NOT NULL`, jobID, asked, fits, last), q.args...)
	if err != nil {
		return err
	}
	if n := int(tag.RowsAffected()); n != total { // a study came or went between the two statements
		if _, err := tx.Exec(ctx, "UPDATE jobs SET total = $3 WHERE tenant_id = $1 AND id = $2", tenant, id, n); err != nil {
			return err
		}
	}
	return s.refill(ctx, tx, tenant, id)
}

// checkStudies names the first study that the tenant does not have.
func checkStudies(ctx context.Context, tx pgx.Tx, tenant string, ids []string) error {
	var position int64
	err := tx.QueryRow(ctx, `SELECT n - 1 FROM unnest($2::uuid[]) WITH ORDINALITY AS ids (id, n)
		WHERE NOT EXISTS (SELECT FROM studies s WHERE s.tenant_id = $1 AND s.id = ids.id) ORDER BY n LIMIT 1`, tenant, ids).Scan(&position)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	e := analysis.Invalid(fmt.Sprintf("filter.ids.%d", position), "no such study")
	e.Value = ids[position]
	return e
}

func noJob(id string) error {
	return &analysis.Error{Code: analysis.NotFound, Field: "job_id", Message: "no such job", Value: id}
}

// Job implements jobs.Store.
func (s *Store) Job(ctx context.Context, id string) (*jobs.Job, error) {
	list, err := s.jobs(ctx, "id = $2 AND $3 = 1", id, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, noJob(id)
	}
	return &list[0], nil
}

// Jobs implements jobs.Store.
func (s *Store) Jobs(ctx context.Context, page analysis.Page) ([]jobs.Job, error) {
	return s.jobs(ctx, "($2 = '' OR id < NULLIF($2, '')::uuid) ORDER BY id DESC LIMIT $3", page.After, page.Limit)
}

// jobs returns the tenant's jobs that match where, which knows $2 and $3.
func (s *Store) jobs(ctx context.Context, where, id string, limit int) ([]jobs.Job, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT id, task, filter, options, control, total, succeeded, failed, cancelled, skipped, sequence, trace_id, created_at, finished_at,
			(SELECT count(*) FROM job_items i WHERE i.tenant_id = j.tenant_id AND i.job_id = j.id AND i.state = 'running'),
			CASE WHEN finished_at IS NULL THEN recent.rate ELSE (succeeded + failed) / greatest(0.001, extract(epoch FROM finished_at - created_at)) END::float8
		FROM (SELECT * FROM jobs WHERE tenant_id = $1 AND `+where+`) j
		CROSS JOIN LATERAL (SELECT coalesce(count(*) / greatest(0.1, extract(epoch FROM clock_timestamp() - min(r.at))), 0) AS rate FROM (
			SELECT finished_at AS at FROM job_items i WHERE i.tenant_id = j.tenant_id AND i.job_id = j.id AND i.sequence IS NOT NULL AND j.finished_at IS NULL
			ORDER BY sequence DESC LIMIT 1000) r WHERE r.at > clock_timestamp() - interval '30 seconds') recent ORDER BY id DESC`, tenant, id, limit)
	if err != nil {
		return nil, failure("read jobs", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j jobs.Job, err error) {
		var control string
		c := &j.Counts
		err = row.Scan(&j.ID, &j.Task, &j.Filter, &j.Options, &control, &c.Total, &c.Succeeded, &c.Failed, &c.Cancelled, &j.Skipped, &j.Sequence,
			&j.TraceID, &j.CreatedAt, &j.FinishedAt, &c.Running, &j.Rate)
		c.Queued = c.Total - c.Succeeded - c.Failed - c.Cancelled - c.Running
		switch {
		case control == "cancelled":
			j.State = jobs.Cancelled
		case c.Succeeded+c.Failed == c.Total:
			j.State = jobs.Completed
		case control == "paused":
			j.State = jobs.Paused
		case c.Queued == c.Total:
			j.State = jobs.Queued
		default:
			j.State = jobs.Running
		}
		return j, err
	})
	return list, failure("read jobs", err)
}

const itemColumns = `i.position, i.study_id, coalesce(j.options -> 'questions' ->> i.question, ''),
	CASE i.state WHEN 'waiting' THEN 'queued' ELSE i.state END, i.attempts, i.result, i.problem, coalesce(i.stages, '[]'), coalesce(i.sequence, 0), i.finished_at
	FROM job_items i JOIN jobs j ON j.tenant_id = i.tenant_id AND j.id = i.job_id WHERE i.tenant_id = $1 AND i.job_id = $2 AND `

// JobItems implements jobs.Store.
func (s *Store) JobItems(ctx context.Context, id string, state jobs.ItemState, after, limit int) ([]jobs.Item, error) {
	return s.items(ctx, id, `i.position > $3 AND ($5 = '' OR i.state = $5 OR $5 = 'queued' AND i.state = 'waiting') ORDER BY i.position LIMIT $4`, int64(after), limit, state)
}

// JobChanges implements jobs.Store.
func (s *Store) JobChanges(ctx context.Context, id string, after int64, limit int) ([]jobs.Item, error) {
	return s.items(ctx, id, `i.sequence > $3 AND $5 = '' ORDER BY i.sequence LIMIT $4`, after, limit, "")
}

func (s *Store) items(ctx context.Context, id, where string, after int64, limit int, state jobs.ItemState) ([]jobs.Item, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, "SELECT "+itemColumns+where, tenant, id, after, limit, state)
	if err != nil {
		return nil, failure("read a job's items", err)
	}
	items, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i jobs.Item, err error) {
		err = row.Scan(&i.Position, &i.StudyID, &i.Question, &i.State, &i.Attempts, &i.Result, &i.Problem, &i.Stages, &i.Sequence, &i.FinishedAt)
		return i, err
	})
	return items, failure("read a job's items", err)
}

// JobEvaluation implements jobs.Store.
func (s *Store) JobEvaluation(ctx context.Context, id string) (*jobs.Evaluation, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT result ->> 'expected', count(*), count(*) FILTER (WHERE (result ->> 'correct')::boolean)
		FROM job_items WHERE tenant_id = $1 AND job_id = $2 AND result ? 'correct' GROUP BY 1`, tenant, id)
	if err != nil {
		return nil, failure("read an evaluation", err)
	}
	scores, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l jobs.LabelScore, err error) {
		err = row.Scan(&l.Label, &l.Cases, &l.Correct)
		return l, err
	})
	if err != nil {
		return nil, failure("read an evaluation", err)
	}
	return jobs.Summarise(scores), nil
}
