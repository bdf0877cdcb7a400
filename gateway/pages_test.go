package gateway

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"consilium"
	"consilium/gateway/client"
)

// nextLink is the link to the next page.
var nextLink = regexp.MustCompile(`^<([^>]*)>; rel="next"$`)

func TestPages(t *testing.T) {
	f := newFixture(t, nil)
	var want []string
	for i := range 5 {
		want = append([]string{f.create(item{"text", []byte{'a' + byte(i)}}).Id}, want...)
	}
	var got []string
	two := 2
	params := &client.ListStudiesParams{Limit: &two}
	linked := "/v1/studies?limit=2" // what the header Link leads to
	for pages := 1; ; pages++ {
		response, err := f.client.ListStudiesWithResponse(context.Background(), params)
		if err != nil || response.JSON200 == nil {
			t.Fatal(response.Status(), err)
		}
		for _, study := range response.JSON200.Studies {
			got = append(got, study.Id)
		}
		if _, body := f.do(http.MethodGet, linked, nil, nil); !bytes.Equal(body, response.Body) {
			t.Errorf("page %d by its link is %s, want %s", pages, body, response.Body)
		}
		linked = ""
		for _, link := range response.HTTPResponse.Header.Values("Link") {
			if m := nextLink.FindStringSubmatch(link); m != nil {
				linked = m[1]
			}
		}
		if params.Cursor = response.JSON200.NextCursor; params.Cursor == nil {
			if pages != 3 || linked != "" {
				t.Errorf("%d pages, want 3, and after the last %q", pages, linked)
			}
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestACursorIsOfItsList(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	f.create()
	ask := client.QuestionRequest{Question: "q?"}
	for range 2 {
		if r, err := f.client.AskStudyWithResponse(context.Background(), study.Id, ask); err != nil || r.JSON200 == nil {
			t.Fatal(err, string(r.Body))
		}
	}
	one := 1
	studies, err := f.client.ListStudiesWithResponse(context.Background(), &client.ListStudiesParams{Limit: &one})
	if err != nil || studies.JSON200 == nil || studies.JSON200.NextCursor == nil {
		t.Fatal(err, string(studies.Body))
	}
	answers, err := f.client.ListAnswersWithResponse(context.Background(), study.Id, &client.ListAnswersParams{Limit: &one})
	if err != nil || answers.JSON200 == nil || answers.JSON200.NextCursor == nil {
		t.Fatal(err, string(answers.Body))
	}
	good := *studies.JSON200.NextCursor
	for _, limit := range []string{"1", "2", "100"} { // the size of a page is no part of the query
		if response, body := f.do(http.MethodGet, "/v1/studies?limit="+limit+"&cursor="+good, nil, nil); response.StatusCode != http.StatusOK {
			t.Errorf("limit %s: %s", limit, body)
		}
	}
	flipped := []byte(good)
	flipped[len(flipped)/2] ^= 1 // another letter of base64url, or none
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).Match(flipped) {
		flipped[len(flipped)/2] = 'A'
	}
	const list, changed = "of another list or query", "none that a list gave"
	for name, test := range map[string]struct{ path, says string }{
		"of the answers":          {"/v1/studies?cursor=" + *answers.JSON200.NextCursor, list},
		"of the studies":          {"/v1/studies/" + study.Id + "/questions?cursor=" + good, list},
		"of another study":        {"/v1/studies/" + nobody + "/questions?cursor=" + *answers.JSON200.NextCursor, list},
		"of another query":        {"/v1/studies?label=ward%3D7&cursor=" + good, list},
		"changed in the middle":   {"/v1/studies?cursor=" + string(flipped), changed},
		"cut":                     {"/v1/studies?cursor=" + good[:len(good)-4], changed},
		"longer":                  {"/v1/studies?cursor=" + good + "AAAA", changed},
		"an id, as it was before": {"/v1/studies?cursor=" + study.Id, changed},
		"of the facts":            {"/v1/knowledge/facts?cursor=" + good, list},
	} {
		response, body := f.do(http.MethodGet, test.path, nil, nil)
		problem := f.problem(response, body)
		if problem.Status != http.StatusUnprocessableEntity || get(problem.Field) != "cursor" || !strings.Contains(problem.Detail, test.says) {
			t.Errorf("%s: %s", name, body)
		}
	}
}

func TestWhatTheClientHasIsNotSentAgain(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	onStudy := report(t, f, study.Id)
	for _, path := range []string{"/v1/studies/" + study.Id, "/v1/studies", "/v1/studies/" + study.Id + "/questions", "/v1/limits",
		"/v1/studies/" + study.Id + "/artefacts/" + study.Artefacts[1].Id, "/v1/reports/" + onStudy.Id} {
		first, content := f.do(http.MethodGet, path, nil, nil)
		etag := first.Header.Get("ETag")
		if first.StatusCode != http.StatusOK || !strings.HasPrefix(etag, `"`) || len(content) == 0 {
			t.Fatalf("%s: %d with the ETag %q", path, first.StatusCode, etag)
		}
		for ifNoneMatch, want := range map[string]int{
			etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, strings.Trim(etag, `"`): 200, "": 200,
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				response, again := f.do(method, path, http.Header{"If-None-Match": {ifNoneMatch}}, nil)
				if response.StatusCode != want || response.Header.Get("ETag") != etag {
					t.Errorf("%s %s with %s: %d and %s, want %d", method, path, ifNoneMatch, response.StatusCode, response.Header.Get("ETag"), want)
				}
				if whole := want == 200 && method == http.MethodGet; whole && !bytes.Equal(again, content) || !whole && len(again) > 0 {
					t.Errorf("%s %s with %s: %d bytes", method, path, ifNoneMatch, len(again))
				}
			}
		}
	}
	before, _ := f.do(http.MethodGet, "/v1/studies", nil, nil)
	f.create()
	after, body := f.do(http.MethodGet, "/v1/studies", http.Header{"If-None-Match": {before.Header.Get("ETag")}}, nil)
	if after.StatusCode != http.StatusOK || len(body) == 0 {
		t.Errorf("with another study the list is %d", after.StatusCode)
	}
	missing, body := f.do(http.MethodGet, "/v1/studies/"+nobody, http.Header{"If-None-Match": {"*"}}, nil)
	if f.problem(missing, body).Status != http.StatusNotFound || missing.Header.Get("ETag") != "" {
		t.Errorf("what is not there is %d with %q", missing.StatusCode, missing.Header.Get("ETag"))
	}
}

// TestWhatEveryRouteOffers holds the description to the habits of the interface, so that a new route has them.
func TestWhatEveryRouteOffers(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	const ours = "/v1/"
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Responses.Default() == nil {
				t.Errorf("%s %s: no default answer; want $ref Problem", method, path)
			}
			if !strings.HasPrefix(path, ours) || method != http.MethodGet {
				continue
			}
			ok := operation.Responses.Status(http.StatusOK)
			if ok == nil || ok.Value.Content[plainJSON] == nil {
				continue
			}
			if !isConditional(operation) {
				t.Errorf("GET %s: no 304; want $ref NotModified, and the ETag comes by itself", path)
			}
			properties := ok.Value.Content[plainJSON].Schema.Value.Properties
			asked := operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, cursorParameter) != nil
			if given := properties["next_cursor"] != nil; asked != given {
				t.Errorf("GET %s: takes a cursor %v, gives a next_cursor %v", path, asked, given)
			}
		}
	}
}

func TestEveryAnswerNamesItsDescription(t *testing.T) {
	f := newFixture(t, nil)
	for _, path := range []string{"/healthz", "/v1/studies", "/v1/nonesuch"} {
		if response, _ := f.do(http.MethodGet, path, nil, nil); response.Header.Get("Link") != `</openapi.yaml>; rel="describedby"; type="application/openapi+yaml"` {
			t.Errorf("%s: Link %q", path, response.Header.Values("Link"))
		}
	}
}
