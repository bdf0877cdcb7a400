package postgres

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

// keyPrefix begins every key, so that one that got somewhere is known for what it is.
const keyPrefix = "consilium_"

// CreateKey stores a key, and its tenant if there is none of that name, and returns what the caller sends.
func (s *Store) CreateKey(ctx context.Context, key *analysis.Key) (secret string, err error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	secret = keyPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return secret, s.inTx(ctx, "store a key", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING", key.Tenant); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `INSERT INTO api_keys (tenant_id, name, sha256, may_sign, may_manage) VALUES ($1, $2, $3, $4, $5) RETURNING created_at`,
			key.Tenant, key.Name, blob.Digest([]byte(secret)), key.Sign, key.Manage).Scan(&key.CreatedAt)
		if violates(err, uniqueViolation, "api_keys_pkey") {
			return &analysis.Error{Code: analysis.Conflict, Field: "name", Message: "the tenant has, or had, a key of this name", Value: key.Name}
		}
		return err
	})
}

const keyColumns = "SELECT tenant_id, name, may_sign, may_manage, created_at, revoked_at FROM api_keys "

func scanKey(row pgx.CollectableRow) (k analysis.Key, err error) {
	err = row.Scan(&k.Tenant, &k.Name, &k.Sign, &k.Manage, &k.CreatedAt, &k.RevokedAt)
	return k, err
}

// Key returns the key that the caller sent, nil if it is none or was revoked.
func (s *Store) Key(ctx context.Context, secret string) (*analysis.Key, error) {
	rows, err := s.pool.Query(ctx, keyColumns+"WHERE sha256 = $1 AND revoked_at IS NULL", blob.Digest([]byte(secret)))
	if err != nil {
		return nil, failure("look for a key", err)
	}
	key, err := pgx.CollectExactlyOneRow(rows, scanKey)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &key, failure("look for a key", err)
}

// Keys returns the keys of every tenant.
func (s *Store) Keys(ctx context.Context) ([]analysis.Key, error) {
	rows, err := s.pool.Query(ctx, keyColumns+"ORDER BY tenant_id, created_at, name")
	if err != nil {
		return nil, failure("read keys", err)
	}
	keys, err := pgx.CollectRows(rows, scanKey)
	return keys, failure("read keys", err)
}

// RevokeKey makes a key cease to work: the next request with it is refused.
func (s *Store) RevokeKey(ctx context.Context, tenant, name string) error {
	tag, err := s.pool.Exec(ctx, "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = $1 AND name = $2 AND revoked_at IS NULL", tenant, name)
	if err == nil && tag.RowsAffected() == 0 {
		return &analysis.Error{Code: analysis.NotFound, Field: "name", Message: "the tenant has no such key that works", Value: name}
	}
	return failure("revoke a key", err)
}
