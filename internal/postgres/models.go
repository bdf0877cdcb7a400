package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

var _ analysis.ModelStore = (*Store)(nil)

// weights implements analysis.Weights.
type weights struct {
	*blob.Staged
	id string
}

func (w *weights) ID() string { return w.id }

// StageWeights implements analysis.ModelStore.
func (s *Store) StageWeights(_ context.Context, content io.Reader) (analysis.Weights, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	staged, err := s.blobs.Stage(content, analysis.MaxModelBytes)
	var e *analysis.Error
	if errors.As(err, &e) && e.Code == analysis.TooLarge {
		return nil, &analysis.Error{Code: e.Code, Field: "weights", Message: "the weights are too large", Limit: e.Limit, Value: e.Value}
	}
	if err != nil {
		return nil, err
	}
	return &weights{staged, id}, nil
}

// CreateModel implements analysis.ModelStore.
func (s *Store) CreateModel(ctx context.Context, card *analysis.ModelCard, content analysis.Weights) (*analysis.ModelVersion, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	w, ok := content.(*weights)
	if !ok {
		return nil, fmt.Errorf("store a model: the weights are a %T, which another store staged", content)
	}
	version := &analysis.ModelVersion{ID: w.id, Card: *card, Bytes: w.Bytes()}
	for range uploadAttempts {
		if err = s.createModel(ctx, tenant, version, w); !errors.Is(err, errReclaimed) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.reclaim(ctx, tenant, []string{w.SHA256()}))
	}
	return version, nil
}

func (s *Store) createModel(ctx context.Context, tenant string, version *analysis.ModelVersion, w *weights) error {
	_, err := s.pool.Exec(ctx, "INSERT INTO blobs (tenant_id, sha256, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", tenant, w.SHA256(), w.Bytes())
	if err != nil {
		return failure("announce weights", err)
	}
	return s.inTx(ctx, "store a model", func(tx pgx.Tx) error {
		// One at a time for each tenant, or two could pass the limit together.
		if _, err := tx.Exec(ctx, "SELECT FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE", tenant); err != nil {
			return err
		}
		kept := 0
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM model_versions WHERE tenant_id = $1", tenant).Scan(&kept); err != nil {
			return err
		}
		if kept >= analysis.MaxModelVersions {
			return &analysis.Error{Code: analysis.Conflict, Field: "card.name", Message: "there are too many versions of models; delete some",
				Limit: fmt.Sprintf("%d versions", analysis.MaxModelVersions), Value: fmt.Sprintf("%d versions and one more", kept)}
		}
		tag, err := tx.Exec(ctx, "SELECT FROM blobs WHERE tenant_id = $1 AND sha256 = $2 FOR UPDATE", tenant, w.SHA256())
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &analysis.Error{Code: analysis.Unavailable, Message: "the same bytes are being deleted", Err: errReclaimed}
		}
		if err := s.blobs.Adopt(tenant, w.Staged); err != nil {
			return fatal(err)
		}
		err = tx.QueryRow(ctx, `INSERT INTO models (tenant_id, name, last_version) VALUES ($1, $2, 1)
			ON CONFLICT (tenant_id, name) DO UPDATE SET last_version = models.last_version + 1 RETURNING last_version`,
			tenant, version.Card.Name).Scan(&version.Version)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO model_versions (tenant_id, name, version, id, card, sha256)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING created_at`,
			tenant, version.Card.Name, version.Version, version.ID, version.Card, w.SHA256()).Scan(&version.CreatedAt)
	})
}

// Models implements analysis.ModelStore.
func (s *Store) Models(ctx context.Context) ([]analysis.ModelVersion, error) {
	return s.models(ctx, "", 0)
}

// Model implements analysis.ModelStore.
func (s *Store) Model(ctx context.Context, name string, version int) (*analysis.ModelVersion, error) {
	found, err := s.models(ctx, name, version)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noModel(name, version)
	}
	return &found[0], nil
}

func noModel(name string, version int) error {
	e := &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "no such model", Value: name}
	if version > 0 {
		e.Message, e.Value = "no such version of a model", fmt.Sprintf("%s@%d", name, version)
	}
	return e
}

// models returns the tenant's versions of that name and number, of any for "" and 0.
func (s *Store) models(ctx context.Context, name string, version int) ([]analysis.ModelVersion, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT id, version, card, bytes, m.created_at FROM model_versions m JOIN blobs USING (tenant_id, sha256)
		WHERE tenant_id = $1 AND ($2 = '' OR name = $2) AND ($3 = 0 OR version = $3) ORDER BY name, version DESC`, tenant, name, version)
	if err != nil {
		return nil, failure("read models", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v analysis.ModelVersion, err error) {
		err = row.Scan(&v.ID, &v.Version, &v.Card, &v.Bytes, &v.CreatedAt)
		return v, err
	})
	return found, failure("read models", err)
}

// DeleteModel implements analysis.ModelStore.
func (s *Store) DeleteModel(ctx context.Context, name string, version int) ([]string, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, "DELETE FROM model_versions WHERE tenant_id = $1 AND name = $2 AND ($3 = 0 OR version = $3) RETURNING id, sha256", tenant, name, version)
	if err != nil {
		return nil, failure("delete a model", err)
	}
	var ids, digests []string
	var id, digest string
	_, err = pgx.ForEachRow(rows, []any{&id, &digest}, func() error {
		ids, digests = append(ids, id), append(digests, digest)
		return nil
	})
	if err != nil {
		return nil, failure("delete a model", err)
	}
	if len(ids) == 0 {
		return nil, noModel(name, version)
	}
	return ids, s.reclaim(ctx, tenant, digests)
}

// OpenModel implements analysis.ModelStore.
func (s *Store) OpenModel(ctx context.Context, version *analysis.ModelVersion) (io.ReadCloser, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	content, err := s.blobs.Reader(tenant, version.Card.SHA256)
	if err != nil {
		return nil, fmt.Errorf("read the weights of %s@%d: %w", version.Card.Name, version.Version, err)
	}
	return content, nil
}
