package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

// uploadAttempts is how often an upload starts over because a deletion took bytes that it has in common.
const uploadAttempts = 5

// CreateStudy implements analysis.Store.
func (s *Store) CreateStudy(ctx context.Context, study *analysis.Study, contents [][]byte) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	if len(contents) != len(study.Artefacts) {
		return fmt.Errorf("store a study: %d contents for %d artefacts", len(contents), len(study.Artefacts))
	}
	if study.ID, err = newID(); err != nil {
		return err
	}
	for i := range study.Artefacts {
		a := &study.Artefacts[i]
		if a.ID, err = newID(); err != nil {
			return err
		}
		a.SHA256, a.Bytes = blob.Digest(contents[i]), int64(len(contents[i]))
	}
	unique := distinct(contents)
	for range uploadAttempts {
		if err = s.createStudy(ctx, tenant, study, unique); !errors.Is(err, errReclaimed) {
			break
		}
	}
	if err == nil {
		return nil
	}
	digests := make([]string, len(unique))
	for i, c := range unique {
		digests[i] = c.digest
	}
	return errors.Join(err, s.reclaim(ctx, tenant, digests))
}

func (s *Store) createStudy(ctx context.Context, tenant string, study *analysis.Study, contents []content) error {
	if err := s.announce(ctx, tenant, contents); err != nil {
		return err
	}
	return s.inTx(ctx, "store a study", func(tx pgx.Tx) error {
		if err := s.hold(ctx, tx, tenant, contents); err != nil {
			return err
		}
		labels := study.Labels
		if labels == nil {
			labels = map[string]string{}
		}
		err := tx.QueryRow(ctx, `INSERT INTO studies (tenant_id, id, title, accession, labels, study_date, import_sha256)
			VALUES ($1, $2, $3, NULLIF($4, ''), $5, NULLIF($6, '')::date, NULLIF($7, '')) RETURNING created_at`,
			tenant, study.ID, study.Title, study.Accession, labels, study.Date, study.ImportSHA256).Scan(&study.CreatedAt)
		if violates(err, uniqueViolation, "studies_import") {
			return &analysis.Error{Code: analysis.Conflict, Field: analysis.SameImport, Message: "the study was imported before"}
		}
		if violates(err, uniqueViolation, "studies_accession") {
			return &analysis.Error{Code: analysis.Conflict, Field: "metadata.accession", Message: "another study has this accession", Value: study.Accession}
		}
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for i, a := range study.Artefacts {
			batch.Queue(insertArtefact, tenant, study.ID, a.ID, i, a.Modality, a.MediaType, a.SHA256)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// Study implements analysis.Store.
func (s *Store) Study(ctx context.Context, id string) (*analysis.Study, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	// One statement, since most requests begin with it: a row for each artefact, or one without.
	rows, err := s.pool.Query(ctx, `SELECT `+studyColumns+`, a.id, coalesce(a.modality, ''), coalesce(a.media_type, ''), coalesce(b.bytes, 0), coalesce(a.sha256, '')
		FROM studies s LEFT JOIN (artefacts a JOIN blobs b USING (tenant_id, sha256)) ON a.tenant_id = s.tenant_id AND a.study_id = s.id
		WHERE s.tenant_id = $1 AND s.id = $2 ORDER BY a.position`, tenant, id)
	if err != nil {
		return nil, failure("read a study", err)
	}
	var study *analysis.Study
	var found analysis.Study
	var a analysis.Artefact
	var artefactID *string
	_, err = pgx.ForEachRow(rows, append(studyFields(&found), &artefactID, &a.Modality, &a.MediaType, &a.Bytes, &a.SHA256), func() error {
		if study == nil {
			study = &found
			study.Artefacts = []analysis.Artefact{}
		}
		if artefactID != nil {
			a.ID = *artefactID
			study.Artefacts = append(study.Artefacts, a)
		}
		return nil
	})
	if err != nil {
		return nil, failure("read a study", err)
	}
	if study == nil {
		return nil, noStudy(id)
	}
	return study, nil
}

// studyColumns are the columns of a study s, and studyFields where they go.
const studyColumns = `s.id, s.title, coalesce(s.accession, ''), s.labels, coalesce(s.study_date::text, ''), coalesce(s.import_sha256, ''), s.created_at,
	coalesce((SELECT d.uid FROM dicom_studies d WHERE d.tenant_id = s.tenant_id AND d.study_id = s.id), '')`

func studyFields(study *analysis.Study) []any {
	return []any{&study.ID, &study.Title, &study.Accession, &study.Labels, &study.Date, &study.ImportSHA256, &study.CreatedAt, &study.InstanceUID}
}

func noStudy(id string) error {
	return &analysis.Error{Code: analysis.NotFound, Field: "study_id", Message: "no such study", Value: id}
}

// Studies implements analysis.Store.
func (s *Store) Studies(ctx context.Context, filter *analysis.StudyFilter, page analysis.Page) ([]analysis.Study, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	q := &search{}
	q.and("s.tenant_id = %s", q.arg(tenant))
	q.chosenBy("s", filter)
	if page.After != "" {
		q.and("s.id < %s::uuid", q.arg(page.After))
	}
	return s.readStudies(ctx, tenant, q, page.Limit)
}

// ImportedStudies implements analysis.Store.
func (s *Store) ImportedStudies(ctx context.Context, keys []string) ([]analysis.Study, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	q := &search{}
	q.and("s.tenant_id = %s", q.arg(tenant))
	q.and("s.import_sha256 = ANY(%s)", q.arg(keys))
	return s.readStudies(ctx, tenant, q, len(keys))
}

// readStudies returns the studies s that q chooses, the newest first, with their artefacts.
func (s *Store) readStudies(ctx context.Context, tenant string, q *search, limit int) ([]analysis.Study, error) {
	rows, err := s.pool.Query(ctx, fmt.Sprintf(`SELECT `+studyColumns+`
		FROM studies s WHERE %s ORDER BY s.id DESC LIMIT %s`, strings.Join(q.where, " AND "), q.arg(limit)), q.args...)
	if err != nil {
		return nil, failure("read studies", err)
	}
	studies, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (study analysis.Study, err error) {
		study.Artefacts = []analysis.Artefact{}
		err = row.Scan(studyFields(&study)...)
		return study, err
	})
	if err != nil {
		return nil, failure("read studies", err)
	}
	ids, positions := make([]string, len(studies)), map[string]int{}
	for i := range studies {
		ids[i], positions[studies[i].ID] = studies[i].ID, i
	}
	return studies, s.eachArtefact(ctx, tenant, "study_id = ANY($2)", ids, func(studyID string, a analysis.Artefact) {
		study := &studies[positions[studyID]]
		study.Artefacts = append(study.Artefacts, a)
	})
}

// eachArtefact calls f with the artefacts that match where, which knows $2, in their order within a study.
func (s *Store) eachArtefact(ctx context.Context, tenant, where string, ids []string, f func(studyID string, a analysis.Artefact)) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.pool.Query(ctx, `SELECT study_id, id, modality, media_type, bytes, sha256
		FROM artefacts JOIN blobs USING (tenant_id, sha256) WHERE tenant_id = $1 AND `+where+` ORDER BY study_id, position`, tenant, ids)
	if err != nil {
		return failure("read artefacts", err)
	}
	var studyID string
	var a analysis.Artefact
	_, err = pgx.ForEachRow(rows, []any{&studyID, &a.ID, &a.Modality, &a.MediaType, &a.Bytes, &a.SHA256}, func() error {
		f(studyID, a)
		return nil
	})
	return failure("read artefacts", err)
}

// DeleteStudy implements analysis.Store.
func (s *Store) DeleteStudy(ctx context.Context, id string) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	deleted, err := s.deleteStudies(ctx, tenant, []string{id})
	if err == nil && deleted == 0 {
		return noStudy(id)
	}
	return err
}

// deleteStudies deletes those of the studies that there are, in one transaction, and then the bytes that nobody holds any more.
func (s *Store) deleteStudies(ctx context.Context, tenant string, ids []string) (deleted int64, err error) {
	var digests []string
	err = s.inTx(ctx, "delete a study", func(tx pgx.Tx) error {
		// From here on nobody adds an instance, whose bytes would be forgotten.
		if _, err := tx.Exec(ctx, "SELECT FROM studies WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE", tenant, ids); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT DISTINCT sha256 FROM artefacts WHERE tenant_id = $1 AND study_id = ANY($2) ORDER BY sha256", tenant, ids)
		if err != nil {
			return err
		}
		if digests, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, "SELECT DISTINCT question FROM answers WHERE tenant_id = $1 AND study_id = ANY($2)", tenant, ids)
		if err != nil {
			return err
		}
		questions, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "DELETE FROM studies WHERE tenant_id = $1 AND id = ANY($2)", tenant, ids)
		if err != nil {
			return err
		}
		deleted = tag.RowsAffected()
		return noteForgotten(ctx, tx, digests, questions)
	})
	if err != nil {
		return 0, err
	}
	return deleted, s.reclaim(ctx, tenant, digests)
}
