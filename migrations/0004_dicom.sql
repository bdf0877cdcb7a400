-- +goose Up
-- What this installation alone knows. UIDs of DICOM are mapped with dicom_uid, so losing it breaks the mapping.
CREATE TABLE secrets (
    name  text  PRIMARY KEY,
    value bytea NOT NULL CHECK (octet_length(value) = 32)
);

-- A DICOM study is a study; its instances are artefacts of it. UIDs are those that are stored, after mapping; attributes
-- and metadata are in the DICOM JSON model (PS3.18 annex F), without pixels.
CREATE TABLE dicom_studies (
    tenant_id  text  NOT NULL,
    study_id   uuid  NOT NULL,
    uid        text  NOT NULL CHECK (uid ~ '^[0-9.]{1,64}$'),
    patient    bytea NOT NULL, -- a keyed hash that tells two patients apart
    attributes jsonb NOT NULL CHECK (jsonb_typeof(attributes) = 'object'),
    PRIMARY KEY (tenant_id, uid),
    UNIQUE (tenant_id, study_id),
    FOREIGN KEY (tenant_id, study_id) REFERENCES studies ON DELETE CASCADE
);

CREATE TABLE dicom_series (
    tenant_id  text  NOT NULL,
    study_uid  text  NOT NULL,
    uid        text  NOT NULL CHECK (uid ~ '^[0-9.]{1,64}$'),
    attributes jsonb NOT NULL CHECK (jsonb_typeof(attributes) = 'object'),
    PRIMARY KEY (tenant_id, uid),
    UNIQUE (tenant_id, study_uid, uid),
    FOREIGN KEY (tenant_id, study_uid) REFERENCES dicom_studies ON DELETE CASCADE
);

CREATE TABLE dicom_instances (
    tenant_id       text     NOT NULL,
    study_uid       text     NOT NULL,
    series_uid      text     NOT NULL,
    uid             text     NOT NULL CHECK (uid ~ '^[0-9.]{1,64}$'),
    study_id        uuid     NOT NULL,
    artefact_id     uuid     NOT NULL,
    position        smallint NOT NULL, -- of the artefact
    transfer_syntax text     NOT NULL CHECK (transfer_syntax ~ '^[0-9.]{1,64}$'),
    metadata        jsonb    NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    PRIMARY KEY (tenant_id, uid),
    UNIQUE (tenant_id, study_uid, position),
    FOREIGN KEY (tenant_id, study_uid, series_uid) REFERENCES dicom_series (tenant_id, study_uid, uid) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, artefact_id) REFERENCES artefacts ON DELETE CASCADE
);
CREATE INDEX dicom_instances_series ON dicom_instances (tenant_id, series_uid);

-- +goose Down
DROP TABLE dicom_instances, dicom_series, dicom_studies, secrets;
