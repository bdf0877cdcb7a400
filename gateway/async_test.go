package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
)

// later asks for a job in place of an answer.
func (f *fixture) later(path, body string) (*http.Response, []byte) {
	f.t.Helper()
	return f.do(http.MethodPost, path, http.Header{"Content-Type": {"application/json"}, "Prefer": {`wait=10, Respond-Async`}}, strings.NewReader(body))
}

// TestWhatIsAskedForLater does by a job what the request would have done.
func TestWhatIsAskedForLater(t *testing.T) {
	f := newFixture(t, nil)
	f.work(1)
	study := f.create(item{"text", []byte("first")}, item{"text", []byte("second")}, item{"image", picture(1)})
	chosen := `"artefact_ids":["` + study.Artefacts[0].Id + `"]`
	for _, test := range []struct{ route, body string }{
		{"questions", `{"question":"What is it?","candidates":2,"review_below":0.9,"degraded":"refuse"}`},
		{"questions", `{"question":"What does the text say?",` + chosen + `}`},
		{"reports", `{"strict":true}`},
		{"reports", `{` + chosen + `}`},
	} {
		path := "/v1/studies/" + study.Id + "/" + test.route
		_, now := f.do(http.MethodPost, path, http.Header{"Content-Type": {"application/json"}}, strings.NewReader(test.body))
		response, content := f.later(path, test.body)
		var job client.Job
		if err := json.Unmarshal(content, &job); err != nil || response.StatusCode != http.StatusAccepted || response.Header.Get("Location") != "/v1/jobs/"+job.Id ||
			response.Header.Get("Preference-Applied") != "respond-async" || job.Counts.Total != 1 {
			t.Fatalf("%s %s answered %s %v %s", test.route, test.body, response.Status, response.Header, content)
		}
		f.finish(job.Id)
		done, err := f.client.ListJobItemsWithResponse(t.Context(), job.Id, nil)
		if err != nil || done.JSON200 == nil || done.JSON200.Items[0].Result == nil {
			t.Fatalf("%s %s became %s", test.route, test.body, done.Body)
		}
		result := done.JSON200.Items[0].Result
		var wanted, got struct {
			Answers []struct {
				Id, Question string
				Candidates   []any
				Status       string
				Modalities   []any
			}
			Sections  []any
			Artefacts []any
		}
		if test.route == "reports" {
			_, content = f.do(http.MethodGet, "/v1/reports/"+*result.ReportId, nil, nil)
		} else {
			_, content = f.do(http.MethodGet, path, nil, nil)
			now = []byte(`{"answers":[` + string(now) + `]}`)
		}
		if err := json.Unmarshal(now, &wanted); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, &got); err != nil {
			t.Fatal(err)
		}
		if test.route == "questions" {
			if got.Answers[0].Id != *result.AnswerId {
				t.Errorf("the newest answer is %s, the job's %s", got.Answers[0].Id, *result.AnswerId)
			}
			got.Answers = got.Answers[:1]
			got.Answers[0].Id = wanted.Answers[0].Id
		}
		if !same(wanted, got) {
			t.Errorf("%s %s: later %+v, at once %+v", test.route, test.body, got, wanted)
		}
	}
}

func TestWhatIsRefusedLaterIsRefusedAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	study, other := f.create(), f.create(item{"image", picture(3)})
	path := "/v1/studies/" + study.Id
	for _, test := range []struct {
		path, body string
		status     int
		field      string
	}{
		{"/v1/studies/00000000-0000-7000-8000-000000000000/reports", `{}`, http.StatusNotFound, "study_id"},
		{path + "/questions", `{"question":" "}`, http.StatusUnprocessableEntity, "question"},
		{path + "/questions", `{"question":"Red?","artefact_ids":["` + other.Artefacts[0].Id + `"]}`, http.StatusUnprocessableEntity, "artefact_ids.0"},
		{path + "/reports", `{"model":"none"}`, http.StatusNotFound, "model"},
		{path + "/reports", `{"modle":"none"}`, http.StatusUnprocessableEntity, "modle"},
		{"/v1/jobs", `{"task":"report","options":{"artefact_ids":["` + other.Artefacts[0].Id + `"]}}`, http.StatusUnprocessableEntity, "options.artefact_ids"},
		{"/v1/jobs", `{"task":"report","filter":{"ids":["` + study.Id + `"]},"options":{"artefact_ids":["` + other.Artefacts[0].Id + `"]}}`, http.StatusUnprocessableEntity, "options.artefact_ids.0"},
		{"/v1/jobs", `{"task":"report","filter":{"ids":["00000000-0000-7000-8000-000000000000"]},"options":{"artefact_ids":["` + other.Artefacts[0].Id + `"]}}`, http.StatusUnprocessableEntity, "filter.ids.0"},
		{"/v1/jobs", `{"task":"embed","filter":{"ids":["` + other.Id + `"]},"options":{"artefact_ids":["` + other.Artefacts[0].Id + `"]}}`, http.StatusUnprocessableEntity, "options.artefact_ids"},
	} {
		response, body := f.later(test.path, test.body)
		if p := f.problem(response, body); p.Status != test.status || p.Field == nil || *p.Field != test.field {
			t.Errorf("%s %s: %+v", test.path, test.body, p)
		}
		if applied := response.Header.Get("Preference-Applied"); applied != "" {
			t.Errorf("%s %s was refused and applied %q", test.path, test.body, applied)
		}
	}
	if jobs := f.query("SELECT id::text FROM jobs"); len(jobs) > 0 {
		t.Errorf("%d jobs were stored", len(jobs))
	}
}

func TestPrefersAsync(t *testing.T) {
	for _, test := range []struct {
		headers []string
		want    bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"respond-async"}, true},
		{[]string{"return=minimal", "RESPOND-ASYNC;x=1 , wait=5"}, true},
		{[]string{`note="a, respond-async"`}, false},
		{[]string{"respond-asynchronously"}, false},
	} {
		if got := prefersAsync(test.headers); got != test.want {
			t.Errorf("%q: %v", test.headers, got)
		}
	}
}
