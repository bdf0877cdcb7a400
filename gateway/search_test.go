package gateway

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consilium/gateway/client"
)

// indexed makes the vectors of everything that is stored.
func (f *fixture) indexed() {
	f.t.Helper()
	for {
		n, err := f.deps.Space.Index(context.Background())
		if err != nil {
			f.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (f *fixture) search(body client.SearchJSONRequestBody) *client.SearchResults {
	f.t.Helper()
	r, err := f.client.SearchWithResponse(context.Background(), body)
	if err != nil || r.JSON200 == nil {
		f.t.Fatal(err, string(r.Body))
	}
	return r.JSON200
}

func TestStudiesAreSearched(t *testing.T) {
	f := newFixture(t, nil)
	var ids []string
	for i := range 7 {
		study := f.create(item{"metadata", fmt.Appendf(nil, `{"study_date":"2026-01-0%d","labels":{"even":"%t"}}`, i+1, i%2 == 0)},
			item{"text", fmt.Append(nil, "Note ", i)}, item{"image", picture(uint8(i))})
		ids = append(ids, study.Id)
	}
	if r := f.search(client.SearchJSONRequestBody{Text: ptr("Note 3")}); len(r.Results) != 0 || r.Pending != 14 {
		t.Errorf("before the vectors are made: %+v", r)
	}
	f.indexed()
	r := f.search(client.SearchJSONRequestBody{Text: ptr("Note 3")})
	if len(r.Results) != 7 || r.Pending != 0 || r.Results[0].Study.Id != ids[3] || math.Abs(r.Results[0].Similarity-1) > 1e-5 || r.Results[0].Modality != "text" {
		t.Errorf("by text: %+v", r)
	}
	image := base64.StdEncoding.EncodeToString(picture(5))
	if r := f.search(client.SearchJSONRequestBody{Image: &image, Limit: ptr(1)}); len(r.Results) != 1 || r.Results[0].Study.Id != ids[5] || r.Results[0].Modality != "image" || r.NextCursor == nil {
		t.Errorf("by image: %+v", r)
	}
	sounding := base64.StdEncoding.EncodeToString(sound())
	if r := f.search(client.SearchJSONRequestBody{Audio: &sounding}); len(r.Results) != 7 {
		t.Errorf("by sound: %+v", r)
	}
	filtered := f.search(client.SearchJSONRequestBody{Text: ptr("Note 3"), Filter: &client.StudyFilter{
		Labels: &map[string]string{"even": "true"}, StudyDate: &struct {
			From *client.Day `json:"from,omitempty"`
			To   *client.Day `json:"to,omitempty"`
		}{From: ptr("2026-01-02")}, Modality: ptr(client.ModalityText)}})
	if len(filtered.Results) != 3 {
		t.Errorf("with a filter: %+v", filtered)
	}

	var paged []string
	for cursor := (*string)(nil); ; {
		page := f.search(client.SearchJSONRequestBody{Text: ptr("Note 3"), Limit: ptr(3), Cursor: cursor})
		for _, result := range page.Results {
			paged = append(paged, result.Study.Id)
		}
		if cursor = page.NextCursor; cursor == nil {
			break
		}
		if other, err := f.client.SearchWithResponse(context.Background(), client.SearchJSONRequestBody{Text: ptr("Note 4"), Cursor: cursor}); err != nil || other.StatusCode() != http.StatusUnprocessableEntity || !strings.Contains(string(other.Body), "another list or query") {
			t.Errorf("the cursor in another search: %s %v", other.Body, err)
		}
	}
	var all []string
	for _, result := range r.Results {
		all = append(all, result.Study.Id)
	}
	if !slices.Equal(paged, all) {
		t.Errorf("pages hold %v, want %v", paged, all)
	}
}

func TestSimilarStudiesAreFound(t *testing.T) {
	f := newFixture(t, nil)
	one := f.create(item{"text", []byte("one")}, item{"image", picture(1)})
	twin := f.create(item{"image", picture(1)})
	for i := range 3 {
		f.create(item{"image", picture(uint8(10 + i))})
	}
	early, err := f.client.FindSimilarWithResponse(context.Background(), one.Id, nil)
	if err != nil || early.StatusCode() != http.StatusConflict {
		t.Errorf("before the vectors are made: %s %v", early.Body, err)
	}
	f.indexed()
	var found []string
	for cursor := (*string)(nil); ; {
		r, err := f.client.FindSimilarWithResponse(context.Background(), one.Id, &client.FindSimilarParams{Limit: ptr(2), Cursor: cursor})
		if err != nil || r.JSON200 == nil {
			t.Fatal(err, string(r.Body))
		}
		for _, result := range r.JSON200.Results {
			found = append(found, result.Study.Id)
		}
		if cursor = r.JSON200.NextCursor; cursor == nil {
			break
		}
	}
	if len(found) != 4 || found[0] != twin.Id || slices.Contains(found, one.Id) {
		t.Errorf("found %v, want %s first and not %s", found, twin.Id, one.Id)
	}
	if r, err := f.client.FindSimilarWithResponse(context.Background(), twin.Id, &client.FindSimilarParams{By: ptr(client.ModalityText)}); err != nil || r.StatusCode() != http.StatusConflict {
		t.Errorf("by a text that it does not have: %s %v", r.Body, err)
	}
}

func TestSearchRefusesBadInput(t *testing.T) {
	f := newFixture(t, nil)
	for _, test := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"nothing to search by", `{}`, 422, "body"},
		{"two things", `{"text":"a","image":"eA=="}`, 422, "body"},
		{"no base64", `{"image":"!"}`, 422, "image"},
		{"no picture", `{"image":"eHh4eA=="}`, 415, "image"},
		{"an unknown filter", `{"text":"a","filter":{"ward":"7"}}`, 422, "filter.ward"},
		{"a date that is none", `{"text":"a","filter":{"study_date":{"from":"2026-02-30"}}}`, 422, "filter.study_date.from"},
		{"days the wrong way round", `{"text":"a","filter":{"study_date":{"from":"2026-02-03","to":"2026-02-01"}}}`, 422, "filter.study_date"},
		{"too many", `{"text":"a","limit":101}`, 422, "limit"},
		{"a cursor that was made up", `{"text":"a","cursor":"abc"}`, 422, "cursor"},
		{"an empty text", `{"text":"  "}`, 422, "text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.t = t
			response, raw := f.do(http.MethodPost, "/v1/search", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(test.body))
			if problem := f.problem(response, raw); problem.Status != test.status || problem.Field == nil || *problem.Field != test.field {
				t.Errorf("answered %d %s", problem.Status, raw)
			}
		})
	}
}
