-- +goose Up
-- +goose StatementBegin
-- The values of each label: one that holds several divides them by |.
CREATE FUNCTION label_values(labels jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(jsonb_object_agg(l.key, (SELECT coalesce(jsonb_agg(DISTINCT btrim(v)), '[""]') FROM string_to_table(l.value, '|') v)), '{}')
    FROM jsonb_each_text(labels) l);
-- +goose StatementEnd

-- study_date is when the examination was, NULL if nobody said. import_sha256 is of everything that an imported study was
-- made of, as it came, so that an import that is run again knows what is there.
ALTER TABLE studies
    ADD COLUMN study_date date,
    ADD COLUMN import_sha256 text CHECK (import_sha256 ~ '^[0-9a-f]{64}$'),
    ADD COLUMN label_values jsonb GENERATED ALWAYS AS (label_values(labels)) STORED,
    ADD CONSTRAINT studies_import UNIQUE (tenant_id, import_sha256);
CREATE INDEX studies_label_values ON studies USING gin (label_values jsonb_path_ops);
CREATE INDEX studies_study_date ON studies (tenant_id, study_date);

-- +goose Down
ALTER TABLE studies DROP COLUMN label_values, DROP COLUMN import_sha256, DROP COLUMN study_date;
DROP FUNCTION label_values;
