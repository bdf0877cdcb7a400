package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/analysis"
	"consilium/internal/batch"
)

// CreateAnswer implements analysis.Store. Answers that come at the same time are committed together.
func (s *Store) CreateAnswer(ctx context.Context, answer *analysis.Answer) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	if answer.ID, err = newID(); err != nil {
		return err
	}
	answer.CreatedAt, err = s.answers.Do(ctx, newAnswer{tenant, answer})
	return failure("store an answer", err)
}

// newAnswer is an answer that waits to be stored.
type newAnswer struct {
	tenant string
	*analysis.Answer
}

const (
	// maxNewAnswers is how many answers are stored at once, and how many may wait for that.
	maxNewAnswers, maxWaitingAnswers = 64, 4096
	// storeTime bounds the storing of answers, which several requests wait for.
	storeTime = 30 * time.Second
)

// recorders is how many store answers: one makes its rows while what the other made goes to the disk.
const recorders = 2

// newRecorder returns connections that plan a statement once. The planner takes an array that it does not know for ten rows, so it
// would plan the insertion of one answer anew each time, which takes a sixth of the time of storing it.
func newRecorder(ctx context.Context, of *pgxpool.Config) (*pgxpool.Pool, error) {
	config := of.Copy()
	config.MinConns, config.MinIdleConns, config.MaxConns = 0, 0, recorders
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan")
		return err
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// insertAnswers stores answers in one statement and returns their times. If one of them cannot be stored, each is tried by itself.
func (s *Store) insertAnswers(answers []newAnswer) ([]batch.Result[time.Time], error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	stored, err := insertTogether(ctx, s.recorder, answers)
	if err != nil && len(answers) == 1 {
		if violates(err, foreignKeyViolation, "") {
			err = noStudy(answers[0].StudyID)
		}
		return nil, err
	}
	results := make([]batch.Result[time.Time], len(answers))
	for i, a := range answers {
		if err != nil {
			if one, err := s.insertAnswers(answers[i : i+1]); err != nil {
				results[i].Err = err
			} else {
				results[i] = one[0]
			}
			continue
		}
		var ok bool
		if results[i].Value, ok = stored[a.ID]; !ok {
			results[i].Err = changed(a.StudyID)
		}
	}
	return results, nil
}

// insertTogether returns the time of each answer that was stored; the others' studies have changed.
func insertTogether(ctx context.Context, q querier, answers []newAnswer) (map[string]time.Time, error) {
	columns := make([][]any, 14)
	for _, a := range answers {
		for i, value := range []any{
			a.tenant, a.StudyID, a.ID, a.Question, a.Strict,
			used(a.Artefacts, analysis.Text), used(a.Artefacts, analysis.Image), used(a.Artefacts, analysis.Audio),
			a.Result, a.ReviewBelow, a.Status, a.Stages, a.TraceID, a.OfArtefacts,
		} {
			columns[i] = append(columns[i], value)
		}
	}
	rows, err := q.Query(ctx, `INSERT INTO answers (tenant_id, study_id, id, question, strict, text_id, image_id, audio_id, result, review_below, status, stages, trace_id)
		SELECT tenant_id, study_id, id, question, strict, text_id, image_id, audio_id, result, review_below, status, stages, trace_id
		FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bool[], $6::uuid[], $7::uuid[], $8::uuid[], $9::jsonb[], $10::float8[], $11::text[], $12::jsonb[], $13::text[], $14::int[])
			AS n (tenant_id, study_id, id, question, strict, text_id, image_id, audio_id, result, review_below, status, stages, trace_id, of_artefacts)
		WHERE of_artefacts = 0 OR of_artefacts = (SELECT count(*) FROM artefacts a WHERE a.tenant_id = n.tenant_id AND a.study_id = n.study_id)
		RETURNING id, created_at`, many(columns)...)
	if err != nil {
		return nil, err
	}
	stored := map[string]time.Time{}
	var id string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		stored[id] = at
		return nil
	})
	return stored, err
}

// changed is the error of an answer whose study is no longer what it was asked about.
func changed(studyID string) error {
	return &analysis.Error{Code: analysis.Conflict, Field: "study_id", Message: "the study has changed", Value: studyID}
}

// many returns columns as arguments of a statement.
func many(columns [][]any) []any {
	arguments := make([]any, len(columns))
	for i, column := range columns {
		arguments[i] = column
	}
	return arguments
}

// insertAnswer stores an answer and sets its id and time.
func insertAnswer(ctx context.Context, q querier, tenant string, answer *analysis.Answer) (err error) {
	if answer.ID, err = newID(); err != nil {
		return err
	}
	stored, err := insertTogether(ctx, q, []newAnswer{{tenant, answer}})
	if violates(err, foreignKeyViolation, "") {
		return noStudy(answer.StudyID)
	}
	if err != nil {
		return err
	}
	var ok bool
	if answer.CreatedAt, ok = stored[answer.ID]; !ok {
		return changed(answer.StudyID)
	}
	return nil
}

// used returns the id of the artefact of one modality, nil if there is none.
func used(artefacts []analysis.Artefact, modality analysis.Modality) *string {
	for i := range artefacts {
		if artefacts[i].Modality == modality {
			return &artefacts[i].ID
		}
	}
	return nil
}

// Answers implements analysis.Store.
func (s *Store) Answers(ctx context.Context, studyID string, page analysis.Page) ([]analysis.Answer, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	study, err := s.Study(ctx, studyID)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT id, question, strict, text_id, image_id, audio_id, result, review_below, status, stages, trace_id, created_at
		FROM answers WHERE tenant_id = $1 AND study_id = $2 AND ($3 = '' OR id < NULLIF($3, '')::uuid) ORDER BY id DESC LIMIT $4`,
		tenant, studyID, page.After, page.Limit)
	if err != nil {
		return nil, failure("read answers", err)
	}
	answers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (analysis.Answer, error) {
		answer := analysis.Answer{StudyID: studyID}
		var ids [3]*string
		err := row.Scan(&answer.ID, &answer.Question, &answer.Strict, &ids[0], &ids[1], &ids[2], &answer.Result, &answer.ReviewBelow, &answer.Status,
			&answer.Stages, &answer.TraceID, &answer.CreatedAt)
		answer.Artefacts = pick(study, ids)
		return answer, err
	})
	return answers, failure("read answers", err)
}

// pick returns the study's artefacts with these ids; nil is none.
func pick(study *analysis.Study, ids [3]*string) []analysis.Artefact {
	picked := []analysis.Artefact{}
	for _, id := range ids {
		if id == nil {
			continue
		}
		if a := study.Artefact(*id); a != nil {
			picked = append(picked, *a)
		}
	}
	return picked
}
