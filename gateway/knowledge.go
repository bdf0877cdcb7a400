package gateway

import (
	"context"
	"fmt"

	"consilium/gateway/api"
	"consilium/internal/knowledge"
)

// What a search does if the request does not say; openapi.yaml says the same.
const (
	defaultTermsFound  = 20
	defaultTermsAround = 100
	defaultPathDepth   = 6
)

// or returns *p, or what holds where the request says nothing.
func or[T any](p *T, without T) T {
	if p == nil {
		return without
	}
	return *p
}

// each converts a list; it is never null.
func each[A, B any](list []A, convert func(*A) B) []B {
	out := make([]B, len(list))
	for i := range list {
		out[i] = convert(&list[i])
	}
	return out
}

func termOf(t *knowledge.Term) api.KnowledgeTerm {
	same := func(s *string) string { return *s }
	return api.KnowledgeTerm{Id: t.ID, Kind: api.KnowledgeTermKind(t.Kind), Name: t.Name, Definition: optional(t.Definition),
		Synonyms: each(t.Synonyms, same), Phrases: each(t.Phrases, same), Source: t.Source}
}

func factOf(f *knowledge.Fact) api.KnowledgeFact {
	out := api.KnowledgeFact{Layer: api.Static, Subject: f.Subject, Relation: api.KnowledgeRelation(f.Relation), Object: f.Object, Negated: f.Negated, Source: optional(f.Source)}
	if f.Static() {
		return out
	}
	out.Layer, out.Id, out.Seq, out.CreatedAt = api.Dynamic, &f.ID, &f.Seq, &f.CreatedAt
	if p := f.Provenance; p != nil {
		out.Provenance = &api.KnowledgeProvenance{Source: p.Source, Reference: optional(p.Reference), Confidence: p.Confidence}
	}
	return out
}

// FindTerms implements GET /v1/knowledge/terms.
func (s *server) FindTerms(ctx context.Context, request api.FindTermsRequestObject) (api.FindTermsResponseObject, error) {
	terms, err := s.Knowledge.Find(ctx, request.Params.Q, or(request.Params.Limit, defaultTermsFound))
	if err != nil {
		return nil, err
	}
	return api.FindTerms200JSONResponse{Terms: each(terms, termOf)}, nil
}

// GetTerm implements GET /v1/knowledge/terms/{term_id}.
func (s *server) GetTerm(ctx context.Context, request api.GetTermRequestObject) (api.GetTermResponseObject, error) {
	term, err := s.Knowledge.Term(ctx, request.TermId)
	if err != nil {
		return nil, err
	}
	return api.GetTerm200JSONResponse(termOf(term)), nil
}

// GetNeighbours implements GET /v1/knowledge/terms/{term_id}/neighbours.
func (s *server) GetNeighbours(ctx context.Context, request api.GetNeighboursRequestObject) (api.GetNeighboursResponseObject, error) {
	p := request.Params
	q := knowledge.Query{Terms: []string{request.TermId}, Along: knowledge.Both, Depth: or(p.Depth, 1), Limit: or(p.Limit, defaultTermsAround), Version: or(p.Version, 0)}
	if p.Relation != nil {
		q.Relations = []knowledge.Relation{knowledge.Relation(*p.Relation)}
	}
	found, err := s.around(ctx, q)
	return api.GetNeighbours200JSONResponse(found), err
}

// GetAncestors implements GET /v1/knowledge/terms/{term_id}/ancestors.
func (s *server) GetAncestors(ctx context.Context, request api.GetAncestorsRequestObject) (api.GetAncestorsResponseObject, error) {
	p := request.Params
	found, err := s.around(ctx, hierarchy(request.TermId, knowledge.Up, p.Depth, p.Limit, p.Version))
	return api.GetAncestors200JSONResponse(found), err
}

// GetDescendants implements GET /v1/knowledge/terms/{term_id}/descendants.
func (s *server) GetDescendants(ctx context.Context, request api.GetDescendantsRequestObject) (api.GetDescendantsResponseObject, error) {
	p := request.Params
	found, err := s.around(ctx, hierarchy(request.TermId, knowledge.Down, p.Depth, p.Limit, p.Version))
	return api.GetDescendants200JSONResponse(found), err
}

func hierarchy(term string, along knowledge.Direction, depth, limit, version *int) knowledge.Query {
	return knowledge.Query{Terms: []string{term}, Along: along, Relations: []knowledge.Relation{knowledge.IsA},
		Depth: or(depth, knowledge.MaxDepth), Limit: or(limit, defaultTermsAround), Version: or(version, 0)}
}

func (s *server) around(ctx context.Context, q knowledge.Query) (api.KnowledgeSubgraph, error) {
	found, err := s.Knowledge.Around(ctx, q)
	if err != nil {
		return api.KnowledgeSubgraph{}, err
	}
	return api.KnowledgeSubgraph{
		Version: found.Head.Version, Release: found.Head.Release, Facts: each(found.Facts, factOf), Truncated: found.Truncated,
		Terms: each(found.Terms, func(r *knowledge.Reached) api.KnowledgeReachedTerm {
			return api.KnowledgeReachedTerm{Term: termOf(&r.Term), Depth: r.Depth}
		}),
	}, nil
}

// FindPath implements GET /v1/knowledge/paths.
func (s *server) FindPath(ctx context.Context, request api.FindPathRequestObject) (api.FindPathResponseObject, error) {
	p := request.Params
	found, err := s.Knowledge.Path(ctx, p.From, p.To, or(p.Depth, defaultPathDepth), or(p.Version, 0))
	if err != nil {
		return nil, err
	}
	return api.FindPath200JSONResponse{Version: found.Head.Version, Release: found.Head.Release, Found: found.Found, Complete: found.Complete,
		Terms: each(found.Terms, termOf), Facts: each(found.Facts, factOf)}, nil
}

// ListFacts implements GET /v1/knowledge/facts. All pages are of the version that the first one was of.
func (s *server) ListFacts(ctx context.Context, request api.ListFactsRequestObject) (api.ListFactsResponseObject, error) {
	page := pageOf(ctx, request.Params.Limit)
	version, after := or(request.Params.Version, 0), 0
	if page.After != "" {
		if _, err := fmt.Sscanf(page.After, factPosition, &version, &after); err != nil {
			return nil, fmt.Errorf("read the position %q of a cursor: %w", page.After, err)
		}
	}
	head, facts, err := s.Knowledge.Facts(ctx, version, after, page.Limit)
	if err != nil {
		return nil, err
	}
	facts, next := cut(ctx, facts, page, func(f knowledge.Fact) string { return fmt.Sprintf(factPosition, head.Version, f.Seq) })
	return api.ListFacts200JSONResponse{Version: head.Version, Facts: each(facts, factOf), NextCursor: next}, nil
}

// factPosition is a version of the graph and the last fact of it that was seen.
const factPosition = "%d.%d"

// AddFact implements POST /v1/knowledge/facts.
func (s *server) AddFact(ctx context.Context, request api.AddFactRequestObject) (api.AddFactResponseObject, error) {
	b := request.Body
	fact := knowledge.Fact{Subject: b.Subject, Relation: knowledge.Relation(b.Relation), Object: b.Object, Negated: or(b.Negated, false),
		Provenance: &knowledge.Provenance{Source: b.Provenance.Source, Reference: or(b.Provenance.Reference, ""), Confidence: b.Provenance.Confidence}}
	added, err := s.Knowledge.Add(ctx, fact, knowledge.OnConflict(or(b.OnConflict, api.RefuseConflict)))
	if err != nil {
		return nil, err
	}
	out := api.KnowledgeAddedFact{Fact: factOf(&added.Fact), Version: added.Head.Version, Removed: each(added.Removed, factOf)}
	if added.Known {
		return api.AddFact200JSONResponse(out), nil
	}
	return api.AddFact201JSONResponse{Body: out, Headers: api.AddFact201ResponseHeaders{Location: "/v1/knowledge/facts/" + added.Fact.ID}}, nil
}

// GetFact implements GET /v1/knowledge/facts/{fact_id}.
func (s *server) GetFact(ctx context.Context, request api.GetFactRequestObject) (api.GetFactResponseObject, error) {
	fact, err := s.Knowledge.Fact(ctx, request.FactId)
	if err != nil {
		return nil, err
	}
	return api.GetFact200JSONResponse(factOf(fact)), nil
}

// DeleteFact implements DELETE /v1/knowledge/facts/{fact_id}.
func (s *server) DeleteFact(ctx context.Context, request api.DeleteFactRequestObject) (api.DeleteFactResponseObject, error) {
	return api.DeleteFact204Response{}, s.Knowledge.Remove(ctx, request.FactId)
}

// maxRemovedListed is how many facts a version names that it was built without.
const maxRemovedListed = 100

// ListGraphVersions implements GET /v1/knowledge/versions.
func (s *server) ListGraphVersions(ctx context.Context, _ api.ListGraphVersionsRequestObject) (api.ListGraphVersionsResponseObject, error) {
	versions, err := s.Knowledge.Versions(ctx)
	if err != nil {
		return nil, err
	}
	return api.ListGraphVersions200JSONResponse{Versions: each(versions, func(v *knowledge.Version) api.KnowledgeVersion {
		out := api.KnowledgeVersion{Version: v.Number, Current: v.Current, Release: v.Release, Facts: v.Facts, Reason: v.Reason,
			RemovedCount: len(v.Removed), Removed: each(v.Removed[:min(len(v.Removed), maxRemovedListed)], factOf)}
		if !v.CreatedAt.IsZero() {
			out.CreatedAt = &v.CreatedAt
		}
		return out
	})}, nil
}
