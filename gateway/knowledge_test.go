package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/knowledge/knowledgetest"
)

// newKnowledge returns a gateway whose knowledge graph holds a small release.
func newKnowledge(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, nil)
	if err := f.deps.Knowledge.Load(context.Background(), knowledgetest.Release(t)); err != nil {
		t.Fatal(err)
	}
	return f
}

func newFact(subject, relation, object string) client.KnowledgeFactRequest {
	return client.KnowledgeFactRequest{Subject: subject, Relation: client.KnowledgeRelation(relation), Object: object,
		Provenance: client.KnowledgeProvenance{Source: "a test", Confidence: 0.9}}
}

func TestKnowledge(t *testing.T) {
	f := newKnowledge(t)
	ctx := context.Background()
	found, err := f.client.FindTermsWithResponse(ctx, &client.FindTermsParams{Q: "Acute pneumonia"})
	if err != nil || found.JSON200 == nil || len(found.JSON200.Terms) != 1 || found.JSON200.Terms[0].Id != "DOID:552" {
		t.Fatalf("found %s, %v", found.Body, err)
	}
	if response, body := f.do(http.MethodGet, "/v1/knowledge/terms/DOID%3A552", nil, nil); response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"An inflamed lung."`) {
		t.Errorf("a term with %%3A: %d %s", response.StatusCode, body)
	}
	depth := 3
	down, err := f.client.GetDescendantsWithResponse(ctx, "DOID:850", &client.GetDescendantsParams{Depth: &depth})
	if err != nil || down.JSON200 == nil || len(down.JSON200.Terms) != 5 || down.JSON200.Terms[4].Depth != 3 || len(down.JSON200.Facts) != 4 {
		t.Errorf("descendants: %s, %v", down.Body, err)
	}
	added, err := f.client.AddFactWithResponse(ctx, newFact("DOID:1673", "is_a", "DOID:0050117"))
	if err != nil || added.JSON201 == nil || added.JSON201.Version != 1 {
		t.Fatalf("added %s, %v", added.Body, err)
	}
	fact := added.JSON201.Fact
	location := added.HTTPResponse.Header.Get("Location")
	if response, body := f.do(http.MethodGet, location, nil, nil); response.StatusCode != http.StatusOK || !strings.Contains(string(body), *fact.Id) {
		t.Errorf("%s: %d %s", location, response.StatusCode, body)
	}
	again, err := f.client.AddFactWithResponse(ctx, newFact("DOID:1673", "is_a", "DOID:0050117"))
	if err != nil || again.JSON200 == nil || *again.JSON200.Fact.Id != *fact.Id {
		t.Errorf("the same again: %s, %v", again.Body, err)
	}
	up, err := f.client.GetAncestorsWithResponse(ctx, "DOID:1673", nil)
	if err != nil || up.JSON200 == nil || len(up.JSON200.Terms) != 5 {
		t.Errorf("ancestors of both layers: %s, %v", up.Body, err)
	}
	path, err := f.client.FindPathWithResponse(ctx, &client.FindPathParams{From: "FINDING:pneumothorax", To: "DOID:0050117"})
	if err != nil || path.JSON200 == nil || !path.JSON200.Found || len(path.JSON200.Terms) != 3 || path.JSON200.Facts[1].Layer != client.Dynamic {
		t.Errorf("path: %s, %v", path.Body, err)
	}

	// The opposite is refused, and the refusal names the fact in the way.
	conflict := newFact("DOID:0050117", "is_a", "DOID:1673")
	refused, err := f.client.AddFactWithResponse(ctx, conflict)
	if err != nil || refused.StatusCode() != http.StatusConflict {
		t.Fatalf("a circle: %s, %v", refused.Body, err)
	}
	if problem := f.problem(refused.HTTPResponse, refused.Body); *problem.Field != "fact" || !strings.Contains(*problem.Value, *fact.Id) {
		t.Errorf("the problem is %+v", problem)
	}
	rebuild := client.RebuildGraph
	conflict.OnConflict = &rebuild
	rebuilt, err := f.client.AddFactWithResponse(ctx, conflict)
	if err != nil || rebuilt.JSON201 == nil || rebuilt.JSON201.Version != 2 || len(rebuilt.JSON201.Removed) != 1 || *rebuilt.JSON201.Removed[0].Id != *fact.Id {
		t.Fatalf("rebuilt %s, %v", rebuilt.Body, err)
	}
	first := 1
	old, err := f.client.GetAncestorsWithResponse(ctx, "DOID:1673", &client.GetAncestorsParams{Version: &first})
	if err != nil || old.JSON200 == nil || len(old.JSON200.Terms) != 5 {
		t.Errorf("the version before: %s, %v", old.Body, err)
	}
	versions, err := f.client.ListGraphVersionsWithResponse(ctx)
	if err != nil || versions.JSON200 == nil || len(versions.JSON200.Versions) != 2 || !versions.JSON200.Versions[0].Current || versions.JSON200.Versions[0].RemovedCount != 1 {
		t.Errorf("versions: %s, %v", versions.Body, err)
	}
	gone, err := f.client.DeleteFactWithResponse(ctx, *rebuilt.JSON201.Fact.Id)
	if err != nil || gone.StatusCode() != http.StatusNoContent {
		t.Errorf("delete: %s, %v", gone.Body, err)
	}
}

func TestKnowledgePages(t *testing.T) {
	f := newKnowledge(t)
	ctx := context.Background()
	for _, object := range []string{"DOID:114", "DOID:850", "DOID:162"} {
		if added, err := f.client.AddFactWithResponse(ctx, newFact("FINDING:mass", "suggests", object)); err != nil || added.JSON201 == nil {
			t.Fatalf("added %s, %v", added.Body, err)
		}
	}
	limit, seen := 2, ""
	params := &client.ListFactsParams{Limit: &limit}
	for {
		page, err := f.client.ListFactsWithResponse(ctx, params)
		if err != nil || page.JSON200 == nil {
			t.Fatalf("%s, %v", page.Body, err)
		}
		for _, fact := range page.JSON200.Facts {
			seen += fmt.Sprintf("%d %s;", *fact.Seq, fact.Object)
		}
		if params.Cursor = page.JSON200.NextCursor; params.Cursor == nil {
			break
		}
	}
	if want := "1 DOID:114;2 DOID:850;3 DOID:162;"; seen != want {
		t.Errorf("the pages hold %s, want %s", seen, want)
	}
}

func TestBadKnowledge(t *testing.T) {
	f := newKnowledge(t)
	const terms, facts = "/v1/knowledge/terms", "/v1/knowledge/facts"
	fact := func(subject, relation, object, more string) string {
		return fmt.Sprintf(`{"subject":%q,"relation":%q,"object":%q,"provenance":{"source":"x","confidence":1}%s}`, subject, relation, object, more)
	}
	refuse(t, f, []badRequest{
		{name: "nothing to find", method: "GET", path: terms, status: 400, field: "q"},
		{name: "empty", method: "GET", path: terms + "?q=", status: 400, field: "q"},
		{name: "blank", method: "GET", path: terms + "?q=%20", status: 422, field: "q"},
		{name: "NUL", method: "GET", path: terms + "?q=a%00", status: 422, field: "q"},
		{name: "not UTF-8", method: "GET", path: terms + "?q=%ff", status: 422, field: "q"},
		{name: "long", method: "GET", path: terms + "?q=" + strings.Repeat("x", 201), status: 400, field: "q", limit: "1 to 200 characters"},
		{name: "no limit", method: "GET", path: terms + "?q=a&limit=501", status: 400, field: "limit", limit: "1 to 500"},
		{name: "bad term", method: "GET", path: terms + "/552", status: 400, field: "term_id"},
		{name: "escaped NUL", method: "GET", path: terms + "/DOID:%00", status: 400, field: "term_id"},
		{name: "unknown term", method: "GET", path: terms + "/DOID:1", status: 404, field: "term_id", value: "DOID:1"},
		{name: "unknown start", method: "GET", path: terms + "/DOID:1/neighbours", status: 404, field: "term", value: "DOID:1"},
		{name: "deep", method: "GET", path: terms + "/DOID:4/neighbours?depth=7", status: 400, field: "depth", limit: "1 to 6"},
		{name: "relation", method: "GET", path: terms + "/DOID:4/neighbours?relation=treats", status: 400, field: "relation"},
		{name: "relation of ancestors", method: "GET", path: terms + "/DOID:4/ancestors?relation=is_a", status: 400, field: "relation"},
		{name: "no version", method: "GET", path: terms + "/DOID:4/descendants?version=7", status: 404, field: "version", value: "7"},
		{name: "version 0", method: "GET", path: terms + "/DOID:4/descendants?version=0", status: 400, field: "version"},
		{name: "path from nowhere", method: "GET", path: "/v1/knowledge/paths?to=DOID:4", status: 400, field: "from"},
		{name: "path to unknown", method: "GET", path: "/v1/knowledge/paths?from=DOID:4&to=DOID:1", status: 404, field: "to"},
		{name: "long path", method: "GET", path: "/v1/knowledge/paths?from=DOID:4&to=DOID:4&depth=13", status: 400, field: "depth"},
		{name: "unknown fact", method: "GET", path: facts + "/" + nobody, status: 404, field: "fact_id"},
		{name: "delete unknown fact", method: "DELETE", path: facts + "/" + nobody, status: 404, field: "fact_id"},
		{name: "no body", path: facts, kind: jsonKind, status: 400, field: "body"},
		{name: "no provenance", path: facts, kind: jsonKind, body: `{"subject":"DOID:4","relation":"is_a","object":"DOID:7"}`, status: 422, field: "provenance"},
		{name: "no source", path: facts, kind: jsonKind, body: `{"subject":"DOID:4","relation":"is_a","object":"DOID:7","provenance":{"source":" ","confidence":1}}`, status: 422, field: "provenance.source"},
		{name: "confidence", path: facts, kind: jsonKind, body: `{"subject":"DOID:4","relation":"is_a","object":"DOID:7","provenance":{"source":"x","confidence":2}}`, status: 422, field: "provenance.confidence", limit: "0 to 1"},
		{name: "no relation", path: facts, kind: jsonKind, body: fact("DOID:4", "treats", "DOID:7", ""), status: 422, field: "relation"},
		{name: "subject of words", path: facts, kind: jsonKind, body: fact("disease", "is_a", "DOID:7", ""), status: 422, field: "subject"},
		{name: "unknown subject", path: facts, kind: jsonKind, body: fact("DOID:1", "is_a", "DOID:7", ""), status: 422, field: "subject", value: "DOID:1"},
		{name: "itself", path: facts, kind: jsonKind, body: fact("DOID:7", "is_a", "DOID:7", ""), status: 422, field: "object"},
		{name: "kinds", path: facts, kind: jsonKind, body: fact("FINDING:mass", "is_a", "DOID:7", ""), status: 422, field: "object", value: "disease"},
		{name: "circle", path: facts, kind: jsonKind, body: fact("DOID:4", "is_a", "DOID:552", ""), status: 409, field: "fact"},
		{name: "rebuild of the static layer", path: facts, kind: jsonKind, body: fact("DOID:4", "is_a", "DOID:552", `,"on_conflict":"rebuild"`), status: 409, field: "fact"},
		{name: "on_conflict", path: facts, kind: jsonKind, body: fact("DOID:4", "is_a", "DOID:552", `,"on_conflict":"force"`), status: 422, field: "on_conflict"},
	})
	list, err := f.client.ListFactsWithResponse(context.Background(), nil)
	if err != nil || list.JSON200 == nil || len(list.JSON200.Facts) != 0 {
		t.Errorf("bad facts were stored: %s, %v", list.Body, err)
	}
}

func TestNoKnowledge(t *testing.T) {
	f := newFixture(t, nil)
	response, body := f.do(http.MethodGet, "/v1/knowledge/terms/DOID:4", nil, nil)
	if problem := f.problem(response, body); problem.Status != http.StatusServiceUnavailable || !strings.HasSuffix(problem.Type, string(analysis.Unavailable)) {
		t.Errorf("without knowledge: %+v", problem)
	}
}
