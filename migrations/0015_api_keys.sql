-- +goose Up
-- Keys that name the tenant of a request. A key is 32 random bytes, of which only the digest is stored. A revoked key keeps its
-- row, so that its name in what was done with a report stays unambiguous.
CREATE TABLE api_keys (
    tenant_id  text        NOT NULL REFERENCES tenants,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    sha256     text        NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    may_sign   boolean     NOT NULL,
    may_manage boolean     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, name)
);

-- The name of the key by which it was done, '' where nobody needs one.
ALTER TABLE report_events ADD COLUMN api_key text NOT NULL DEFAULT '' CHECK (char_length(api_key) <= 100);

-- +goose Down
ALTER TABLE report_events DROP COLUMN api_key;
DROP TABLE api_keys;
