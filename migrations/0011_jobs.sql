-- +goose Up
-- A job has counters of its own, which every change keeps under a lock on its row: a change has the next number of the
-- sequence, and whoever has read the changes up to a number has missed none.
CREATE TABLE jobs (
    tenant_id       text        NOT NULL REFERENCES tenants,
    id              uuid        NOT NULL,
    task            text        NOT NULL CHECK (task IN ('questions', 'report', 'embed', 'evaluate')),
    filter          jsonb       NOT NULL CHECK (jsonb_typeof(filter) = 'object'),
    options         jsonb       NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    control         text        NOT NULL DEFAULT 'active' CHECK (control IN ('active', 'paused', 'cancelled')),
    total           integer     NOT NULL CHECK (total > 0),
    succeeded       integer     NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
    failed          integer     NOT NULL DEFAULT 0 CHECK (failed >= 0),
    cancelled       integer     NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    skipped         integer     NOT NULL CHECK (skipped >= 0),
    sequence        bigint      NOT NULL DEFAULT 0,
    idempotency_key text        CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    request_sha256  text        NOT NULL CHECK (request_sha256 ~ '^[0-9a-f]{64}$'),
    trace_id        text        NOT NULL CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_idempotency_key UNIQUE (tenant_id, idempotency_key),
    CHECK (succeeded + failed + cancelled <= total)
);

-- waiting: nobody has it; queued: the workers' queue has it; running: a worker has it.
CREATE TABLE job_items (
    tenant_id   text        NOT NULL,
    job_id      uuid        NOT NULL,
    position    integer     NOT NULL CHECK (position > 0),
    study_id    uuid        NOT NULL, -- no key: an item outlives its study, without what came of it
    question    smallint    CHECK (question >= 0), -- of the options' questions
    expected    text,
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
    attempts    smallint    NOT NULL DEFAULT 0,
    result      jsonb       CHECK (result IS NULL OR state = 'succeeded'),
    problem     jsonb       CHECK ((problem IS NOT NULL) = (state = 'failed')),
    stages      jsonb,
    sequence    bigint,
    finished_at timestamptz CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))),
    PRIMARY KEY (tenant_id, job_id, position),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs ON DELETE CASCADE
);
CREATE INDEX job_items_waiting ON job_items (tenant_id, job_id, position) WHERE state = 'waiting';
CREATE INDEX job_items_taken ON job_items (tenant_id, job_id, state) WHERE state IN ('queued', 'running');
CREATE INDEX job_items_changes ON job_items (tenant_id, job_id, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX job_items_study ON job_items (tenant_id, study_id);

-- +goose StatementBegin
-- What came of a study is deleted with it; that it was counted stays.
CREATE FUNCTION job_results_go_with_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job_items SET result = NULL, expected = NULL
        WHERE tenant_id = OLD.tenant_id AND study_id = OLD.id AND (result IS NOT NULL OR expected IS NOT NULL);
    RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER job_results_go BEFORE DELETE ON studies FOR EACH ROW EXECUTE FUNCTION job_results_go_with_study();

-- +goose Down
DROP TRIGGER job_results_go ON studies;
DROP FUNCTION job_results_go_with_study;
DROP TABLE job_items, jobs;
