-- +goose Up
-- At most one artefact of each modality, and of the same study.
CREATE TABLE answers (
    tenant_id  text        NOT NULL,
    study_id   uuid        NOT NULL,
    id         uuid        NOT NULL,
    question   text        NOT NULL CHECK (question <> '' AND octet_length(question) <= 4096),
    strict     boolean     NOT NULL,
    text_id    uuid,
    image_id   uuid,
    audio_id   uuid,
    result     jsonb       NOT NULL CHECK (jsonb_array_length(result -> 'answers') > 0),
    stages     jsonb       NOT NULL CHECK (jsonb_typeof(stages) = 'array'),
    trace_id   text        NOT NULL CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, study_id, id),
    FOREIGN KEY (tenant_id, study_id) REFERENCES studies ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, text_id) REFERENCES artefacts ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, image_id) REFERENCES artefacts ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, audio_id) REFERENCES artefacts ON DELETE CASCADE
);

CREATE TABLE reports (
    tenant_id  text        NOT NULL,
    study_id   uuid        NOT NULL,
    id         uuid        NOT NULL,
    strict     boolean     NOT NULL,
    text_id    uuid,
    image_id   uuid,
    audio_id   uuid,
    narrative  jsonb       NOT NULL CHECK (narrative ->> 'status' = 'preliminary' AND narrative ->> 'disclaimer' <> ''),
    result     jsonb       NOT NULL CHECK (jsonb_typeof(result) = 'object'),
    stages     jsonb       NOT NULL CHECK (jsonb_typeof(stages) = 'array'),
    trace_id   text        NOT NULL CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CHECK (num_nonnulls(text_id, image_id, audio_id) > 0),
    FOREIGN KEY (tenant_id, study_id) REFERENCES studies ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, text_id) REFERENCES artefacts ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, image_id) REFERENCES artefacts ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, study_id, audio_id) REFERENCES artefacts ON DELETE CASCADE
);
CREATE INDEX reports_study ON reports (tenant_id, study_id);

-- +goose Down
DROP TABLE reports, answers;
