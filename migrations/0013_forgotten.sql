-- +goose Up
-- Digests of what was deleted and may still be remembered by the cache. A row goes when the cache has forgotten.
CREATE TABLE forgotten (
    sha256     text        PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE forgotten;
