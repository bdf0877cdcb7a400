-- +goose Up
-- Releases of the static layer of the knowledge graph. The rows of a release appear together, and are never changed.
-- Where another store holds the static layer, only this first table is used.
CREATE TABLE knowledge_releases (
    release   text        PRIMARY KEY CHECK (release ~ '^[0-9a-f]{16}$'),
    title     text        NOT NULL,
    current   boolean     NOT NULL DEFAULT false,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX knowledge_releases_current ON knowledge_releases (current) WHERE current;

CREATE TABLE knowledge_static (
    release text PRIMARY KEY CHECK (release ~ '^[0-9a-f]{16}$')
);

CREATE TABLE knowledge_terms (
    release    text NOT NULL REFERENCES knowledge_static ON DELETE CASCADE,
    id         text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('disease', 'finding')),
    name       text NOT NULL CHECK (name <> ''),
    definition text NOT NULL,
    synonyms   text[] NOT NULL,
    phrases    text[] NOT NULL,
    source     text NOT NULL,
    PRIMARY KEY (release, id)
);

CREATE TABLE knowledge_names (
    release text NOT NULL,
    key     text COLLATE "C" NOT NULL, -- as names are compared
    id      text COLLATE "C" NOT NULL,
    PRIMARY KEY (release, key, id),
    FOREIGN KEY (release, id) REFERENCES knowledge_terms ON DELETE CASCADE
);
CREATE INDEX knowledge_names_term ON knowledge_names (release, id);

CREATE TABLE knowledge_edges (
    release  text NOT NULL,
    subject  text COLLATE "C" NOT NULL,
    relation text COLLATE "C" NOT NULL,
    object   text COLLATE "C" NOT NULL,
    source   text NOT NULL,
    PRIMARY KEY (release, subject, relation, object),
    FOREIGN KEY (release, subject) REFERENCES knowledge_terms ON DELETE CASCADE,
    FOREIGN KEY (release, object) REFERENCES knowledge_terms ON DELETE CASCADE,
    CHECK (subject <> object)
);
CREATE INDEX knowledge_edges_object ON knowledge_edges (release, object, relation, subject);

-- The dynamic layer: each tenant's facts, by version. seq numbers the facts of a version from 1 without a gap.
CREATE TABLE knowledge_versions (
    tenant_id  text        NOT NULL REFERENCES tenants,
    version    integer     NOT NULL CHECK (version > 0),
    id         uuid        NOT NULL UNIQUE, -- by which caches know it: numbers begin again in a new database
    release    text        NOT NULL REFERENCES knowledge_releases,
    seq        integer     NOT NULL CHECK (seq >= 0),
    reason     text        NOT NULL,
    removed    jsonb       NOT NULL CHECK (jsonb_typeof(removed) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE knowledge_heads (
    tenant_id text    PRIMARY KEY REFERENCES tenants,
    version   integer NOT NULL,
    FOREIGN KEY (tenant_id, version) REFERENCES knowledge_versions
);

CREATE TABLE knowledge_facts (
    tenant_id  text        NOT NULL,
    version    integer     NOT NULL,
    seq        integer     NOT NULL CHECK (seq > 0),
    id         uuid        NOT NULL,
    subject    text        NOT NULL,
    relation   text        NOT NULL CHECK (relation IN ('is_a', 'disjoint_with', 'same_as', 'suggests', 'rules_out', 'may_cause')),
    object     text        NOT NULL CHECK (object <> subject),
    negated    boolean     NOT NULL,
    provenance jsonb       NOT NULL CHECK (provenance ->> 'source' <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version, seq),
    UNIQUE (tenant_id, version, id),
    UNIQUE (tenant_id, version, subject, relation, object), -- or a fact and its opposite could be there
    FOREIGN KEY (tenant_id, version) REFERENCES knowledge_versions ON DELETE CASCADE
);

-- +goose Down
DROP TABLE knowledge_facts, knowledge_heads, knowledge_versions, knowledge_edges, knowledge_names, knowledge_terms, knowledge_static, knowledge_releases;
