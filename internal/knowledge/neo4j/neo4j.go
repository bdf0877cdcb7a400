// Package neo4j keeps the static layer of the knowledge graph in Neo4j, over Bolt.
package neo4j

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/config"

	"consilium/internal/analysis"
	"consilium/internal/knowledge"
)

const (
	connectTimeout = 3 * time.Second
	retryTime      = 2 * time.Second
	batch          = 2000 // rows of one statement
	closeTimeout   = 5 * time.Second
)

// Static implements knowledge.Static. A term is a node KnowledgeTerm, an edge a relationship KNOWLEDGE, each name under which
// a term is found a node KnowledgeName, and a release that is complete a node KnowledgeRelease.
type Static struct {
	driver neo4j.DriverWithContext
	mu     sync.Mutex
	schema bool // the schema was made
}

var _ knowledge.Static = (*Static)(nil)

// Open returns a store on the Neo4j at address, bolt://user:password@host:port or neo4j+s://…. Connections are made when
// they are needed.
func Open(address string) (*Static, error) {
	const want = "want bolt://user:password@host:port, bolt+s://…, neo4j://… or neo4j+s://…"
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "bolt") && !strings.HasPrefix(u.Scheme, "neo4j") {
		return nil, errors.New(want) // the cause may quote the password
	}
	token := neo4j.NoAuth()
	if u.User != nil {
		password, _ := u.User.Password()
		token = neo4j.BasicAuth(u.User.Username(), password, "")
		u.User = nil
	}
	driver, err := neo4j.NewDriverWithContext(u.String(), token, func(c *config.Config) {
		c.SocketConnectTimeout, c.ConnectionAcquisitionTimeout, c.MaxTransactionRetryTime = connectTimeout, connectTimeout, retryTime
	})
	if err != nil {
		return nil, errors.New(want)
	}
	return &Static{driver: driver}, nil
}

// Close closes every connection.
func (s *Static) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.driver.Close(ctx)
}

// Ready implements knowledge.Static.
func (s *Static) Ready(ctx context.Context) error {
	return failure("reach Neo4j", s.driver.VerifyConnectivity(ctx))
}

// failure gives err a code: what cannot be reached is analysis.Unavailable.
func failure(doing string, err error) error {
	var db *neo4j.Neo4jError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &db) && db.Classification() != "TransientError":
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &analysis.Error{Code: analysis.Unavailable, Message: "the knowledge graph's database is not available", Err: fmt.Errorf("%s: %w", doing, err)}
}

// session runs work on a connection of its own.
func (s *Static) session(ctx context.Context, mode neo4j.AccessMode, work func(neo4j.SessionWithContext) error) (err error) {
	session := s.driver.NewSession(ctx, neo4j.SessionConfig{AccessMode: mode})
	defer func() { err = errors.Join(err, session.Close(ctx)) }()
	return work(session)
}

// write runs statements in one transaction.
func (s *Static) write(ctx context.Context, doing string, work func(neo4j.ManagedTransaction) error) error {
	return failure(doing, s.session(ctx, neo4j.AccessModeWrite, func(session neo4j.SessionWithContext) error {
		_, err := session.ExecuteWrite(ctx, func(tx neo4j.ManagedTransaction) (any, error) { return nil, work(tx) })
		return err
	}))
}

// run runs a statement that returns nothing.
func run(ctx context.Context, tx neo4j.ManagedTransaction, cypher string, params map[string]any) error {
	result, err := tx.Run(ctx, cypher, params)
	if err != nil {
		return err
	}
	_, err = result.Consume(ctx)
	return err
}

// read returns the rows of a statement.
func (s *Static) read(ctx context.Context, doing, cypher string, params map[string]any) (rows []*neo4j.Record, err error) {
	err = s.session(ctx, neo4j.AccessModeRead, func(session neo4j.SessionWithContext) error {
		_, err := session.ExecuteRead(ctx, func(tx neo4j.ManagedTransaction) (any, error) {
			result, err := tx.Run(ctx, cypher, params)
			if err != nil {
				return nil, err
			}
			rows, err = result.Collect(ctx)
			return nil, err
		})
		return err
	})
	return rows, failure(doing, err)
}

// schema is what makes look-ups fast and terms unique.
var schema = []string{
	"CREATE CONSTRAINT knowledge_term IF NOT EXISTS FOR (t:KnowledgeTerm) REQUIRE (t.release, t.id) IS UNIQUE",
	"CREATE CONSTRAINT knowledge_release IF NOT EXISTS FOR (r:KnowledgeRelease) REQUIRE r.release IS UNIQUE",
	"CREATE CONSTRAINT knowledge_lock IF NOT EXISTS FOR (l:KnowledgeLock) REQUIRE l.id IS UNIQUE",
	"CREATE INDEX knowledge_name IF NOT EXISTS FOR (n:KnowledgeName) ON (n.release, n.key)",
}

func (s *Static) makeSchema(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schema {
		return nil
	}
	for _, statement := range append(schema, "CALL db.awaitIndexes(60)") {
		if err := s.write(ctx, "make the schema", func(tx neo4j.ManagedTransaction) error { return run(ctx, tx, statement, nil) }); err != nil {
			return err
		}
	}
	s.schema = true
	return nil
}

// locked runs work in a transaction that no other of its kind runs beside.
func (s *Static) locked(ctx context.Context, doing string, work func(neo4j.ManagedTransaction) error) error {
	if err := s.makeSchema(ctx); err != nil {
		return err
	}
	return s.write(ctx, doing, func(tx neo4j.ManagedTransaction) error {
		if err := run(ctx, tx, "MERGE (l:KnowledgeLock {id: 1}) SET l.taken = timestamp()", nil); err != nil {
			return err
		}
		return work(tx)
	})
}

// Load implements knowledge.Static, in one transaction.
func (s *Static) Load(ctx context.Context, release *knowledge.Release) error {
	return s.locked(ctx, "store a release", func(tx neo4j.ManagedTransaction) error {
		result, err := tx.Run(ctx, "MATCH (r:KnowledgeRelease {release: $release}) RETURN r.release", map[string]any{"release": release.Digest})
		if err != nil {
			return err
		}
		stored, err := result.Collect(ctx)
		if err != nil || len(stored) > 0 {
			return err
		}
		var terms, names, edges []any
		for i := range release.Terms {
			t := &release.Terms[i]
			terms = append(terms, map[string]any{"release": release.Digest, "id": t.ID, "kind": string(t.Kind), "name": t.Name, "definition": t.Definition,
				"synonyms": t.Synonyms, "phrases": t.Phrases, "source": t.Source})
			for _, key := range t.Keys() {
				names = append(names, map[string]any{"id": t.ID, "key": key, "length": utf8.RuneCountInString(key)})
			}
		}
		for i := range release.Edges {
			e := &release.Edges[i]
			edges = append(edges, map[string]any{"subject": e.Subject, "relation": string(e.Relation), "object": e.Object, "source": e.Source})
		}
		for _, part := range []struct {
			rows   []any
			cypher string
		}{
			{terms, "UNWIND $rows AS row CREATE (t:KnowledgeTerm) SET t = row"},
			{names, "UNWIND $rows AS row MATCH (t:KnowledgeTerm {release: $release, id: row.id}) CREATE (:KnowledgeName {release: $release, key: row.key, length: row.length})-[:NAMES]->(t)"},
			{edges, `UNWIND $rows AS row MATCH (a:KnowledgeTerm {release: $release, id: row.subject}) MATCH (b:KnowledgeTerm {release: $release, id: row.object})
				CREATE (a)-[:KNOWLEDGE {relation: row.relation, source: row.source}]->(b)`},
			{[]any{release.Title}, "UNWIND $rows AS title CREATE (:KnowledgeRelease {release: $release, title: title})"},
		} {
			for from := 0; from < len(part.rows); from += batch {
				rows := part.rows[from:min(from+batch, len(part.rows))]
				if err := run(ctx, tx, part.cypher, map[string]any{"release": release.Digest, "rows": rows}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Has implements knowledge.Static.
func (s *Static) Has(ctx context.Context, release string) (bool, error) {
	rows, err := s.read(ctx, "look for a release", "MATCH (r:KnowledgeRelease {release: $release}) RETURN r.release", map[string]any{"release": release})
	return len(rows) > 0, err
}

// Keep implements knowledge.Static.
func (s *Static) Keep(ctx context.Context, releases []string) error {
	if releases == nil {
		releases = []string{}
	}
	return s.locked(ctx, "delete old releases", func(tx neo4j.ManagedTransaction) error {
		for _, label := range []string{"KnowledgeRelease", "KnowledgeName", "KnowledgeTerm"} {
			cypher := "MATCH (n:" + label + ") WHERE NOT n.release IN $releases DETACH DELETE n"
			if err := run(ctx, tx, cypher, map[string]any{"releases": releases}); err != nil {
				return err
			}
		}
		return nil
	})
}

const termColumns = "t.id, t.kind, t.name, t.definition, t.synonyms, t.phrases, t.source"

// Terms implements knowledge.Static.
func (s *Static) Terms(ctx context.Context, release string, ids []string) ([]knowledge.Term, error) {
	rows, err := s.read(ctx, "read terms", "MATCH (t:KnowledgeTerm) WHERE t.release = $release AND t.id IN $ids RETURN "+termColumns+" ORDER BY t.id",
		map[string]any{"release": release, "ids": given(ids)})
	if err != nil {
		return nil, err
	}
	return termsOf(rows)
}

// Find implements knowledge.Static.
func (s *Static) Find(ctx context.Context, release, key string, limit int) ([]knowledge.Term, error) {
	rows, err := s.read(ctx, "look for a term", `MATCH (n:KnowledgeName)-[:NAMES]->(t:KnowledgeTerm) WHERE n.release = $release AND n.key STARTS WITH $key
		WITH t, min(n.length) AS matched ORDER BY matched, t.id LIMIT $limit RETURN `+termColumns+" ORDER BY matched, t.id",
		map[string]any{"release": release, "key": key, "limit": limit})
	if err != nil {
		return nil, err
	}
	return termsOf(rows)
}

// Edges implements knowledge.Static.
func (s *Static) Edges(ctx context.Context, release string, ids []string, along knowledge.Direction, relations []knowledge.Relation, limit int) ([]knowledge.Fact, error) {
	const columns = " AND e.relation IN $relations RETURN a.id AS subject, e.relation AS relation, b.id AS object, e.source AS source"
	const up = "MATCH (a:KnowledgeTerm)-[e:KNOWLEDGE]->(b:KnowledgeTerm) WHERE a.release = $release AND a.id IN $ids" + columns
	const down = "MATCH (a:KnowledgeTerm)-[e:KNOWLEDGE]->(b:KnowledgeTerm) WHERE b.release = $release AND b.id IN $ids" + columns
	cypher, ok := map[knowledge.Direction]string{knowledge.Up: up, knowledge.Down: down, knowledge.Both: up + " UNION " + down}[along]
	if !ok {
		return nil, fmt.Errorf("read edges: there is no direction %d", along)
	}
	names := make([]string, len(relations))
	for i, r := range relations {
		names[i] = string(r)
	}
	rows, err := s.read(ctx, "read edges", "CALL { "+cypher+" } RETURN subject, relation, object, source ORDER BY subject, relation, object LIMIT $limit",
		map[string]any{"release": release, "ids": given(ids), "relations": names, "limit": limit})
	if err != nil {
		return nil, err
	}
	facts := make([]knowledge.Fact, len(rows))
	for i, row := range rows {
		c := cells{row: row}
		facts[i] = knowledge.Fact{Subject: c.text(0), Relation: knowledge.Relation(c.text(1)), Object: c.text(2), Source: c.text(3)}
		if c.err != nil {
			return nil, fmt.Errorf("read edges: %w", c.err)
		}
	}
	return facts, nil
}

// given returns a list that is not null.
func given(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func termsOf(rows []*neo4j.Record) ([]knowledge.Term, error) {
	terms := make([]knowledge.Term, len(rows))
	for i, row := range rows {
		c := cells{row: row}
		terms[i] = knowledge.Term{ID: c.text(0), Kind: knowledge.Kind(c.text(1)), Name: c.text(2), Definition: c.text(3), Synonyms: c.texts(4), Phrases: c.texts(5), Source: c.text(6)}
		if c.err != nil {
			return nil, fmt.Errorf("read terms: %w", c.err)
		}
	}
	return terms, nil
}

// cells reads the cells of a row and keeps the first error.
type cells struct {
	row *neo4j.Record
	err error
}

func (c *cells) text(i int) string {
	s, ok := c.row.Values[i].(string)
	if !ok && c.err == nil {
		c.err = fmt.Errorf("column %s holds a %T, want a text", c.row.Keys[i], c.row.Values[i])
	}
	return s
}

// texts reads a list; one that is empty may be missing.
func (c *cells) texts(i int) []string {
	list, ok := c.row.Values[i].([]any)
	if !ok && c.row.Values[i] != nil && c.err == nil {
		c.err = fmt.Errorf("column %s holds a %T, want a list", c.row.Keys[i], c.row.Values[i])
	}
	var texts []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok && c.err == nil {
			c.err = fmt.Errorf("column %s holds a %T in its list, want a text", c.row.Keys[i], v)
		}
		texts = append(texts, s)
	}
	return texts
}
