-- +goose Up
CREATE TABLE tenants (
    tenant_id  text        PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (tenant_id) VALUES ('default');

-- A row stands here before its file is written and until after its file is removed, so no file is unknown.
CREATE TABLE blobs (
    tenant_id  text        NOT NULL REFERENCES tenants,
    sha256     text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    bytes      bigint      NOT NULL CHECK (bytes > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256)
);

-- Ids are UUID version 7: their order is the order of creation, and lists are read by it.
CREATE TABLE studies (
    tenant_id  text        NOT NULL REFERENCES tenants,
    id         uuid        NOT NULL,
    title      text        NOT NULL CHECK (char_length(title) <= 200),
    accession  text        CHECK (char_length(accession) BETWEEN 1 AND 64),
    labels     jsonb       NOT NULL CHECK (jsonb_typeof(labels) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT studies_accession UNIQUE (tenant_id, accession)
);

CREATE TABLE artefacts (
    tenant_id  text     NOT NULL,
    study_id   uuid     NOT NULL,
    id         uuid     NOT NULL,
    position   smallint NOT NULL CHECK (position >= 0),
    modality   text     NOT NULL CHECK (modality IN ('text', 'image', 'audio')),
    media_type text     NOT NULL CHECK (media_type <> ''),
    sha256     text     NOT NULL,
    PRIMARY KEY (tenant_id, study_id, id),
    UNIQUE (tenant_id, study_id, position),
    FOREIGN KEY (tenant_id, study_id) REFERENCES studies ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, sha256) REFERENCES blobs
);
CREATE INDEX artefacts_blob ON artefacts (tenant_id, sha256);

-- +goose Down
DROP TABLE artefacts, studies, blobs, tenants;
