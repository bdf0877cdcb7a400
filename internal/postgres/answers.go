package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

// CreateAnswer implements analysis.Store.
func (s *Store) CreateAnswer(ctx context.Context, answer *analysis.Answer) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	return failure("store an answer", insertAnswer(ctx, s.pool, tenant, answer))
}

// insertAnswer stores an answer and sets its id and time.
func insertAnswer(ctx context.Context, q querier, tenant string, answer *analysis.Answer) (err error) {
	if answer.ID, err = newID(); err != nil {
		return err
	}
	err = q.QueryRow(ctx, `INSERT INTO answers (tenant_id, study_id, id, question, strict, text_id, image_id, audio_id, result, review_below, status, stages, trace_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING created_at`,
		tenant, answer.StudyID, answer.ID, answer.Question, answer.Strict,
		used(answer.Artefacts, analysis.Text), used(answer.Artefacts, analysis.Image), used(answer.Artefacts, analysis.Audio),
		answer.Result, answer.ReviewBelow, answer.Status, answer.Stages, answer.TraceID).Scan(&answer.CreatedAt)
	if violates(err, foreignKeyViolation, "") {
		return noStudy(answer.StudyID)
	}
	return err
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
