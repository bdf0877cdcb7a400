-- +goose Up
-- The vectors that studies are found by: one for each modality, of its newest artefact, as questions take it. A row stands
-- here from the moment that the artefact does. space names the models that made the vector, '' before there is one; problem is
-- why there is none.
CREATE TABLE study_vectors (
    tenant_id   text   NOT NULL,
    study_id    uuid   NOT NULL,
    modality    text   NOT NULL CHECK (modality IN ('text', 'image', 'audio')),
    artefact_id uuid   NOT NULL,
    space       text   NOT NULL DEFAULT '',
    embedding   real[] CHECK (embedding IS NULL OR array_length(embedding, 1) = 64 AND space <> ''),
    problem     text   CHECK (problem IS NULL OR embedding IS NULL AND space <> ''),
    PRIMARY KEY (tenant_id, study_id, modality),
    FOREIGN KEY (tenant_id, study_id, artefact_id) REFERENCES artefacts ON DELETE CASCADE
);
CREATE INDEX study_vectors_space ON study_vectors (modality, space);

INSERT INTO study_vectors (tenant_id, study_id, modality, artefact_id)
    SELECT DISTINCT ON (tenant_id, study_id, modality) tenant_id, study_id, modality, id FROM artefacts ORDER BY tenant_id, study_id, modality, position DESC;

-- +goose StatementBegin
CREATE FUNCTION await_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO study_vectors (tenant_id, study_id, modality, artefact_id) VALUES (NEW.tenant_id, NEW.study_id, NEW.modality, NEW.id)
        ON CONFLICT (tenant_id, study_id, modality) DO UPDATE SET artefact_id = NEW.id, space = '', embedding = NULL, problem = NULL;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER vector AFTER INSERT ON artefacts FOR EACH ROW EXECUTE FUNCTION await_vector();

-- +goose StatementBegin
-- Without pgvector every search looks at every vector, which is exact and slower.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') THEN
        CREATE EXTENSION IF NOT EXISTS vector;
        CREATE INDEX study_vectors_nearest ON study_vectors USING hnsw ((embedding::vector(64)) vector_cosine_ops);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'pgvector is there, but this user may not create it';
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER vector ON artefacts;
DROP FUNCTION await_vector;
DROP TABLE study_vectors;
