-- +goose Up
-- Models that users brought. A name keeps its row when its versions are deleted, so that no number is given twice and a
-- report that names one stays unambiguous.
CREATE TABLE models (
    tenant_id    text    NOT NULL REFERENCES tenants,
    name         text    NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$'),
    last_version integer NOT NULL CHECK (last_version > 0),
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE model_versions (
    tenant_id  text        NOT NULL,
    name       text        NOT NULL,
    version    integer     NOT NULL CHECK (version > 0),
    id         uuid        NOT NULL UNIQUE, -- what the model is called where it runs
    card       jsonb       NOT NULL CHECK (card ->> 'name' = name AND card ->> 'sha256' = sha256 AND card ->> 'licence' <> ''),
    sha256     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, name, version),
    FOREIGN KEY (tenant_id, name) REFERENCES models,
    FOREIGN KEY (tenant_id, sha256) REFERENCES blobs
);
CREATE INDEX model_versions_blob ON model_versions (tenant_id, sha256);

-- +goose Down
DROP TABLE model_versions, models;
