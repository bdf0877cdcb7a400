package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

var _ analysis.InstanceStore = (*Store)(nil)

// secretBytes is the length of a secret; a constraint of the database says the same.
const secretBytes = 32

// Secret implements analysis.InstanceStore.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, secretBytes)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	// Of several processes the first one's stays.
	if _, err := s.pool.Exec(ctx, "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, fresh); err != nil {
		return nil, failure("store a secret", err)
	}
	var secret []byte
	err := s.pool.QueryRow(ctx, "SELECT value FROM secrets WHERE name = $1", name).Scan(&secret)
	return secret, failure("read a secret", err)
}

// StoreInstance implements analysis.InstanceStore.
func (s *Store) StoreInstance(ctx context.Context, instance *analysis.Instance, raw []byte) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	a := &instance.Artefact
	a.SHA256, a.Bytes = blob.Digest(raw), int64(len(raw))
	var contents []content
	for range uploadAttempts {
		// The note is for the first instance of a study only.
		contents = distinct([][]byte{raw, []byte(instance.Note)})
		if known, err := s.knowsStudy(ctx, tenant, instance.StudyUID); err != nil {
			return err
		} else if known || instance.Note == "" {
			contents = distinct([][]byte{raw})
		}
		err = s.storeInstance(ctx, tenant, instance, contents)
		// Also anew if the study came or went in the meantime.
		if !errors.Is(err, errReclaimed) && !violates(err, foreignKeyViolation, "") {
			break
		}
	}
	if err == nil {
		return nil
	}
	digests := make([]string, len(contents))
	for i, c := range contents {
		digests[i] = c.digest
	}
	return errors.Join(err, s.reclaim(ctx, tenant, digests))
}

func (s *Store) knowsStudy(ctx context.Context, tenant, uid string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM dicom_studies WHERE tenant_id = $1 AND uid = $2)", tenant, uid).Scan(&known)
	return known, failure("look for a study", err)
}

func conflict(field, message string) error {
	return &analysis.Error{Code: analysis.Conflict, Field: field, Message: message}
}

func (s *Store) storeInstance(ctx context.Context, tenant string, instance *analysis.Instance, contents []content) error {
	if err := s.announce(ctx, tenant, contents); err != nil {
		return err
	}
	err := s.inTx(ctx, "store an instance", func(tx pgx.Tx) error {
		// One instance of a study at a time: the first one makes the study, and each takes the next position.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))", tenant, instance.StudyUID); err != nil {
			return err
		}
		if err := s.hold(ctx, tx, tenant, contents); err != nil {
			return err
		}
		studyID, position, err := s.studyOf(ctx, tx, tenant, instance, len(contents) > 1)
		if err != nil {
			return err
		}
		if there, err := s.isThere(ctx, tx, tenant, instance); there || err != nil {
			return err
		}
		return s.addInstance(ctx, tx, tenant, studyID, position, instance)
	})
	if violates(err, uniqueViolation, "dicom_instances_pkey") || violates(err, uniqueViolation, "dicom_series_pkey") {
		return conflict("study", "the series or the instance belongs to another study")
	}
	return err
}

// studyOf returns the id of the instance's study, which is made if it is not there, and the position that is free in it.
// noted says that the bytes of the note are held.
func (s *Store) studyOf(ctx context.Context, tx pgx.Tx, tenant string, instance *analysis.Instance, noted bool) (id string, position int, err error) {
	var patient []byte
	err = tx.QueryRow(ctx, `SELECT d.study_id, d.patient, (SELECT max(position) + 1 FROM artefacts a WHERE a.tenant_id = $1 AND a.study_id = d.study_id)
		FROM dicom_studies d JOIN studies s ON s.tenant_id = d.tenant_id AND s.id = d.study_id
		WHERE d.tenant_id = $1 AND d.uid = $2 FOR KEY SHARE OF s`, tenant, instance.StudyUID).Scan(&id, &patient, &position)
	if err == nil {
		if !bytes.Equal(patient, instance.Patient) {
			return "", 0, conflict("patient", "the study that is stored under this UID is of another patient")
		}
		if position > math.MaxInt16 {
			return "", 0, &analysis.Error{Code: analysis.TooLarge, Field: "study", Message: "the study has too many artefacts", Limit: fmt.Sprintf("%d artefacts", math.MaxInt16+1), Value: "more"}
		}
		return id, position, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return "", 0, err
	}
	if instance.Note != "" && !noted {
		return "", 0, &analysis.Error{Code: analysis.Unavailable, Message: "the study is being deleted", Err: errReclaimed}
	}
	if id, err = newID(); err != nil {
		return "", 0, err
	}
	if _, err = tx.Exec(ctx, "INSERT INTO studies (tenant_id, id, title, labels) VALUES ($1, $2, $3, '{}')", tenant, id, instance.Title); err != nil {
		return "", 0, err
	}
	if _, err = tx.Exec(ctx, "INSERT INTO dicom_studies (tenant_id, study_id, uid, patient, attributes) VALUES ($1, $2, $3, $4, $5)",
		tenant, id, instance.StudyUID, instance.Patient, instance.StudyAttributes); err != nil {
		return "", 0, err
	}
	if instance.Note == "" {
		return id, 0, nil
	}
	note, err := newID()
	if err != nil {
		return "", 0, err
	}
	_, err = tx.Exec(ctx, insertArtefact, tenant, id, note, 0, analysis.Text, analysis.TextMediaType, blob.Digest([]byte(instance.Note)))
	return id, 1, err
}

const insertArtefact = "INSERT INTO artefacts (tenant_id, study_id, id, position, modality, media_type, sha256) VALUES ($1, $2, $3, $4, $5, $6, $7)"

// isThere says that the very instance is stored, and sets its artefact. One that only has the same UID is a Conflict.
func (s *Store) isThere(ctx context.Context, tx pgx.Tx, tenant string, instance *analysis.Instance) (bool, error) {
	var studyUID, seriesUID string
	stored := *instance
	err := tx.QueryRow(ctx, `SELECT i.study_uid, i.series_uid, i.position, a.id, a.sha256
		FROM dicom_instances i JOIN artefacts a ON a.tenant_id = i.tenant_id AND a.study_id = i.study_id AND a.id = i.artefact_id
		WHERE i.tenant_id = $1 AND i.uid = $2`, tenant, instance.UID).Scan(&studyUID, &seriesUID, &stored.Position, &stored.Artefact.ID, &stored.Artefact.SHA256)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case studyUID != instance.StudyUID || seriesUID != instance.SeriesUID:
		return false, conflict("study", "the instance is stored in another study or series")
	case stored.Artefact.SHA256 != instance.Artefact.SHA256:
		return false, conflict(analysis.OtherBytes, "another instance is stored under this UID")
	}
	*instance = stored
	return true, nil
}

func (s *Store) addInstance(ctx context.Context, tx pgx.Tx, tenant, studyID string, position int, instance *analysis.Instance) (err error) {
	a := &instance.Artefact
	if a.ID, err = newID(); err != nil {
		return err
	}
	a.Modality, a.MediaType, instance.Position = analysis.Image, analysis.DICOMMediaType, position
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO dicom_series (tenant_id, study_uid, uid, attributes) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, study_uid, uid) DO NOTHING`, tenant, instance.StudyUID, instance.SeriesUID, instance.SeriesAttributes)
	batch.Queue(insertArtefact, tenant, studyID, a.ID, position, a.Modality, a.MediaType, a.SHA256)
	batch.Queue(`INSERT INTO dicom_instances (tenant_id, study_uid, series_uid, uid, study_id, artefact_id, position, transfer_syntax, metadata)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		tenant, instance.StudyUID, instance.SeriesUID, instance.UID, studyID, a.ID, position, instance.TransferSyntax, instance.Metadata)
	return tx.SendBatch(ctx, batch).Close()
}

// Instances implements analysis.InstanceStore.
func (s *Store) Instances(ctx context.Context, page analysis.InstancePage) ([]analysis.Instance, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT i.study_uid, i.series_uid, i.uid, i.transfer_syntax, i.position, CASE WHEN $7 THEN i.metadata END,
			a.id, a.modality, a.media_type, a.sha256, b.bytes
		FROM dicom_instances i
		JOIN artefacts a ON a.tenant_id = i.tenant_id AND a.study_id = i.study_id AND a.id = i.artefact_id
		JOIN blobs b ON b.tenant_id = a.tenant_id AND b.sha256 = a.sha256
		WHERE i.tenant_id = $1 AND i.study_uid = $2 AND ($3 = '' OR i.series_uid = $3) AND ($4 = '' OR i.uid = $4) AND i.position > $5
		ORDER BY i.position LIMIT $6`, tenant, page.StudyUID, page.SeriesUID, page.UID, page.After, page.Limit, page.Metadata)
	if err != nil {
		return nil, failure("read instances", err)
	}
	instances, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i analysis.Instance, err error) {
		a := &i.Artefact
		err = row.Scan(&i.StudyUID, &i.SeriesUID, &i.UID, &i.TransferSyntax, &i.Position, &i.Metadata, &a.ID, &a.Modality, &a.MediaType, &a.SHA256, &a.Bytes)
		return i, err
	})
	return instances, failure("read instances", err)
}
