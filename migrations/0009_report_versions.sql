-- +goose Up
-- What a report says, once for each version: 1 is the platform's, each later one was written by a person.
CREATE TABLE report_versions (
    tenant_id  text        NOT NULL,
    report_id  uuid        NOT NULL,
    version    integer     NOT NULL CHECK (version > 0),
    narrative  jsonb       NOT NULL CHECK (narrative ->> 'disclaimer' <> '' AND jsonb_typeof(narrative -> 'sections') = 'array' AND NOT narrative ? 'status'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, report_id, version),
    FOREIGN KEY (tenant_id, report_id) REFERENCES reports ON DELETE CASCADE
);

-- Everything that was done with a report, and so the state that it is in. Each row names the state before it, and a foreign
-- key holds it to the row before: the states and the actions that lead from one to another are those of the check below.
-- No key leads to reports, since what was done stays known when the study is deleted.
CREATE TABLE report_events (
    tenant_id   text        NOT NULL REFERENCES tenants,
    report_id   uuid        NOT NULL,
    revision    integer     NOT NULL CHECK (revision > 0),
    action      text        NOT NULL,
    was         text        CHECK ((was IS NULL) = (revision = 1)),
    status      text        NOT NULL,
    version     integer     NOT NULL CHECK (version > 0), -- the one that the action made or was about
    sha256      text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'), -- of the version's narrative, as jsonb prints it
    name        text        NOT NULL CHECK ((name = '') = (action = 'create')),
    role        text        NOT NULL CHECK ((role = '') = (action = 'create')),
    reason      text        NOT NULL CHECK ((reason <> '') = (action IN ('amend', 'reject'))),
    trace_id    text        NOT NULL CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    at          timestamptz NOT NULL DEFAULT now(),
    previous    integer     GENERATED ALWAYS AS (NULLIF(revision - 1, 0)) STORED,
    was_version integer     GENERATED ALWAYS AS (CASE WHEN action = 'amend' THEN version - 1 ELSE version END) STORED,
    PRIMARY KEY (tenant_id, report_id, revision),
    UNIQUE (tenant_id, report_id, revision, status, version),
    FOREIGN KEY (tenant_id, report_id, previous, was, was_version) REFERENCES report_events (tenant_id, report_id, revision, status, version),
    CONSTRAINT report_events_transition CHECK ((coalesce(was, ''), action, status) IN (
        ('', 'create', 'preliminary'),
        ('preliminary', 'sign', 'final'),
        ('preliminary', 'amend', 'preliminary'),
        ('final', 'amend', 'amended'),
        ('amended', 'amend', 'amended'),
        ('preliminary', 'reject', 'rejected'),
        ('final', 'reject', 'rejected'),
        ('amended', 'reject', 'rejected')))
);

INSERT INTO report_versions (tenant_id, report_id, version, narrative, created_at)
    SELECT tenant_id, id, 1, narrative - 'status', created_at FROM reports;
INSERT INTO report_events (tenant_id, report_id, revision, action, status, version, sha256, name, role, reason, trace_id, at)
    SELECT r.tenant_id, r.id, 1, 'create', 'preliminary', 1, encode(sha256(convert_to(v.narrative::text, 'UTF8')), 'hex'), '', '', '', r.trace_id, r.created_at
    FROM reports r JOIN report_versions v ON v.tenant_id = r.tenant_id AND v.report_id = r.id;
ALTER TABLE reports DROP COLUMN narrative;

-- +goose StatementBegin
CREATE FUNCTION report_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: reports and what was done with them never change', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
-- A report goes with its study, a version with its report, and neither for itself: in a cascade the row above is gone already.
CREATE FUNCTION report_goes_with_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM studies WHERE tenant_id = OLD.tenant_id AND id = OLD.study_id) THEN
        RAISE EXCEPTION 'a report is deleted with its study only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION report_version_goes_with_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM reports WHERE tenant_id = OLD.tenant_id AND id = OLD.report_id) THEN
        RAISE EXCEPTION 'a version is deleted with its report only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER stays BEFORE UPDATE ON reports FOR EACH ROW EXECUTE FUNCTION report_never_changes();
CREATE TRIGGER stays BEFORE UPDATE ON report_versions FOR EACH ROW EXECUTE FUNCTION report_never_changes();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON report_events FOR EACH ROW EXECUTE FUNCTION report_never_changes();
CREATE TRIGGER goes BEFORE DELETE ON reports FOR EACH ROW EXECUTE FUNCTION report_goes_with_study();
CREATE TRIGGER goes BEFORE DELETE ON report_versions FOR EACH ROW EXECUTE FUNCTION report_version_goes_with_report();
CREATE TRIGGER not_all BEFORE TRUNCATE ON reports FOR EACH STATEMENT EXECUTE FUNCTION report_never_changes();
CREATE TRIGGER not_all BEFORE TRUNCATE ON report_versions FOR EACH STATEMENT EXECUTE FUNCTION report_never_changes();
CREATE TRIGGER not_all BEFORE TRUNCATE ON report_events FOR EACH STATEMENT EXECUTE FUNCTION report_never_changes();

-- +goose Down
-- Goes back to what the platform wrote; what people made of it is lost.
DROP TRIGGER stays ON reports;
DROP TRIGGER goes ON reports;
DROP TRIGGER not_all ON reports;
ALTER TABLE reports ADD COLUMN narrative jsonb;
UPDATE reports SET narrative = v.narrative || '{"status": "preliminary"}'
    FROM report_versions v WHERE v.tenant_id = reports.tenant_id AND v.report_id = reports.id AND v.version = 1;
ALTER TABLE reports ALTER COLUMN narrative SET NOT NULL,
    ADD CHECK (narrative ->> 'status' = 'preliminary' AND narrative ->> 'disclaimer' <> '');
DROP TABLE report_events, report_versions;
DROP FUNCTION report_never_changes, report_goes_with_study, report_version_goes_with_report;
