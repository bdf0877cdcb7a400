package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/pipeline"
)

// maxPending is up to where artefacts without a vector are counted.
const maxPending = 1000

// Search implements POST /v1/search.
func (s *server) Search(ctx context.Context, request api.SearchRequestObject) (api.SearchResponseObject, error) {
	body := request.Body
	input, err := searchInput(body)
	if err != nil {
		return nil, err
	}
	query := &analysis.VectorQuery{Filter: chosen(body.Filter), Limit: or(body.Limit, defaultPageItems) + 1}
	if err := query.Filter.Validate("filter"); err != nil {
		return nil, err
	}
	// The list is named by all that makes it except the page.
	asked, err := json.Marshal(struct {
		Tenant, Modality, Digest string
		Filter                   analysis.StudyFilter
	}{analysis.Tenant(ctx), string(input.Modality), blob.Digest(append([]byte(input.Text), input.Data...)), query.Filter})
	if err != nil {
		return nil, fmt.Errorf("name a search: %w", err)
	}
	list, cursor := "search\x00"+string(asked), cursors{s.CursorSecret}
	if body.Cursor != nil {
		position, err := cursor.open(list, *body.Cursor)
		if err == nil {
			query.After, err = hitAt(position)
		}
		if err != nil {
			return nil, err
		}
	}
	if query.Spaces, err = s.Space.spaces(ctx); err != nil {
		return nil, err
	}
	if query.Values, err = s.Space.vector(ctx, input); err != nil {
		return nil, err
	}
	hits, results, err := s.find(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(hits) == query.Limit {
		next := cursor.seal(list, position(hits[query.Limit-2]))
		results.NextCursor = &next
	}
	return api.Search200JSONResponse(*results), nil
}

// searchInput reads what is searched by.
func searchInput(body *api.SearchJSONRequestBody) (input pipeline.Input, err error) {
	given := 0
	for _, p := range []struct {
		modality analysis.Modality
		value    *string
	}{{analysis.Text, body.Text}, {analysis.Image, body.Image}, {analysis.Audio, body.Audio}} {
		if p.value == nil {
			continue
		}
		if given++; given > 1 {
			break
		}
		content := []byte(*p.value)
		if p.modality != analysis.Text {
			if content, err = decodeMedium(string(p.modality), *p.value); err != nil {
				return input, err
			}
		}
		if _, err := checkContent(p.modality, string(p.modality), content); err != nil {
			return input, err
		}
		input = inputOf(p.modality, content)
	}
	if given != 1 {
		e := analysis.Invalid("body", "a search is by exactly one of text, image and audio")
		e.Limit, e.Value = "1", fmt.Sprint(given)
		return input, e
	}
	return input, nil
}

// FindSimilar implements GET /v1/studies/{study_id}/similar.
func (s *server) FindSimilar(ctx context.Context, request api.FindSimilarRequestObject) (api.FindSimilarResponseObject, error) {
	if _, err := s.Store.Study(ctx, request.StudyId); err != nil {
		return nil, err
	}
	page := pageOf(ctx, request.Params.Limit)
	query := &analysis.VectorQuery{Without: request.StudyId, Limit: page.Limit, Filter: analysis.StudyFilter{Modality: analysis.Modality(or(request.Params.Modality, ""))}}
	var err error
	if page.After != "" {
		if query.After, err = hitAt(page.After); err != nil {
			return nil, err
		}
	}
	if query.Spaces, err = s.Space.spaces(ctx); err != nil {
		return nil, err
	}
	own, err := s.Space.Vectors.Vectors(ctx, request.StudyId, query.Spaces)
	if err != nil {
		return nil, err
	}
	if query.Values = ownVector(own, analysis.Modality(or(request.Params.By, ""))); query.Values == nil {
		return nil, &analysis.Error{Code: analysis.Conflict, Field: "by", Message: "the study has no such vector, or not yet: they are made in the background"}
	}
	hits, results, err := s.find(ctx, query)
	if err != nil {
		return nil, err
	}
	_, results.NextCursor = cut(ctx, hits, page, position)
	return api.FindSimilar200JSONResponse(*results), nil
}

// ownVector returns the vector of a modality, or of the one that says most for "".
func ownVector(own []analysis.Vector, by analysis.Modality) []float32 {
	for _, modality := range []analysis.Modality{analysis.Image, analysis.Audio, analysis.Text} {
		if by != "" && by != modality {
			continue
		}
		for _, v := range own {
			if v.Modality == modality {
				return v.Values
			}
		}
	}
	return nil
}

// find returns the hits of a query, which asks for one more than is wanted, and what is shown of them.
func (s *server) find(ctx context.Context, query *analysis.VectorQuery) ([]analysis.VectorHit, *api.SearchResults, error) {
	hits, exact, err := s.Space.Vectors.SearchVectors(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	pending, err := s.Space.Vectors.PendingVectors(ctx, query.Spaces, maxPending)
	if err != nil {
		return nil, nil, err
	}
	results := &api.SearchResults{Exact: exact, Pending: pending, Results: []api.SearchResult{}}
	shown := hits[:min(len(hits), query.Limit-1)]
	if len(shown) == 0 {
		return hits, results, nil
	}
	ids := make([]string, len(shown))
	for i := range shown {
		ids[i] = shown[i].StudyID
	}
	studies, err := s.Store.Studies(ctx, &analysis.StudyFilter{IDs: ids}, analysis.Page{Limit: len(ids)})
	if err != nil {
		return nil, nil, err
	}
	byID := map[string]*analysis.Study{}
	for i := range studies {
		byID[studies[i].ID] = &studies[i]
	}
	for _, hit := range shown {
		study := byID[hit.StudyID]
		if study == nil {
			continue // deleted meanwhile
		}
		results.Results = append(results.Results, api.SearchResult{
			Study: studyOf(study), Similarity: max(-1, min(1, 1-hit.Distance)), Modality: api.Modality(hit.Modality), ArtefactId: hit.ArtefactID})
	}
	return hits, results, nil
}

// position writes where a page ends, hitAt reads it.
func position(hit analysis.VectorHit) string {
	return fmt.Sprintf("%016x %s", math.Float64bits(hit.Distance), hit.StudyID)
}

func hitAt(position string) (*analysis.VectorHit, error) {
	var bits uint64
	hit := &analysis.VectorHit{}
	if _, err := fmt.Sscanf(position, "%x %s", &bits, &hit.StudyID); err != nil {
		return nil, fmt.Errorf("read a cursor that was sealed: %w", err)
	}
	hit.Distance = math.Float64frombits(bits)
	return hit, nil
}
