package gateway

import (
	"context"
	"fmt"
	"log/slog"

	"consilium/internal/cache"
	"consilium/internal/knowledge"
	"consilium/internal/knowledge/neo4j"
	"consilium/internal/postgres"
	"consilium/internal/serve"
)

// buildKnowledge opens the knowledge graph and brings its static layer up to date.
func buildKnowledge(ctx context.Context, config Config, store *postgres.Store, memory *cache.Cache, log *slog.Logger) (*knowledge.Graph, func(), error) {
	static, closeStatic := store.KnowledgeStatic(), func() {}
	if config.Neo4jURL != "" {
		other, err := neo4j.Open(config.Neo4jURL)
		if err != nil {
			return nil, nil, fmt.Errorf("%sNEO4J_URL: %w", serve.Prefix, err)
		}
		static = other
		closeStatic = func() {
			if err := other.Close(); err != nil {
				log.Warn("close Neo4j", "error", err.Error())
			}
		}
	}
	graph, err := knowledge.New(static, store.KnowledgeJournal(), memory.Knowledge(), log)
	if err == nil {
		err = loadKnowledge(ctx, config.KnowledgeDir, graph, log)
	}
	if err != nil {
		closeStatic()
		return nil, nil, err
	}
	return graph, closeStatic, nil
}

// loadKnowledge loads the folder's release, or, without a folder, the findings alone unless there is a release.
func loadKnowledge(ctx context.Context, dir string, graph *knowledge.Graph, log *slog.Logger) error {
	if dir == "" {
		own, err := knowledge.Own()
		if err != nil {
			return err
		}
		return graph.LoadIfNone(ctx, own)
	}
	release, err := knowledge.ReadFolder(dir)
	if err != nil {
		return fmt.Errorf("%sKNOWLEDGE_DIR: %w", serve.Prefix, err)
	}
	for i := range release.LeftOut {
		log.Warn("an edge of the knowledge graph leads to no term", "edge", release.LeftOut[i].String())
	}
	if err := graph.Load(ctx, release); err != nil {
		return err
	}
	log.Info("knowledge loaded", "title", release.Title, "release", release.Digest, "terms", len(release.Terms), "edges", len(release.Edges))
	return nil
}
