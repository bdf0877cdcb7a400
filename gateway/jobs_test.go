package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
	"consilium/internal/postgres"
)

// work starts workers on the fixture's jobs.
func (f *fixture) work(count int) {
	f.t.Helper()
	workers, err := f.store.StartWorkers(context.Background(), f.database, postgres.WorkerOptions{
		Count: count, ItemTime: time.Minute, DrainTime: time.Minute, Perform: NewPerform(f.deps), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := workers.Close(); err != nil {
			f.t.Error(err)
		}
	})
}

// labelled stores studies with a picture of their own and a label.
func (f *fixture) labelled(labels ...string) (ids []string) {
	f.t.Helper()
	for i, label := range labels {
		ids = append(ids, f.create(item{"metadata", fmt.Appendf(nil, `{"labels":{"colour":%q}}`, label)}, item{"image", picture(uint8(i))}).Id)
	}
	return ids
}

func (f *fixture) createJob(body string, header ...string) *client.Job {
	f.t.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	response, content := f.do(http.MethodPost, "/v1/jobs", h, strings.NewReader(body))
	var job client.Job
	if err := json.Unmarshal(content, &job); err != nil || response.StatusCode != http.StatusAccepted {
		f.t.Fatalf("create a job: %s %s", response.Status, content)
	}
	if response.Header.Get("Location") != "/v1/jobs/"+job.Id {
		f.t.Errorf("the job is at %q", response.Header.Get("Location"))
	}
	return &job
}

// event is one server-sent event.
type event struct {
	id   int64
	name string
	job  client.Job
	item client.JobItem
}

// follow reads a job's events until the stream ends. Every answer that is not a stream fails the test.
func (f *fixture) follow(id, last string) (events []event) {
	f.t.Helper()
	header := http.Header{}
	if last != "" {
		header.Set("Last-Event-ID", last)
	}
	response, body := f.do(http.MethodGet, "/v1/jobs/"+id+"/events", header, nil)
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("events are %s %s", response.Status, body)
	}
	for block := range strings.SplitSeq(string(body), "\n\n") {
		var e event
		var err error
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch {
			case name == "id":
				e.id, err = strconv.ParseInt(value, 10, 64)
			case name == "event":
				e.name = value
			case name == "data" && e.name == "item":
				err = json.Unmarshal([]byte(value), &e.item)
			case name == "data":
				err = json.Unmarshal([]byte(value), &e.job)
			}
			if err != nil {
				f.t.Fatalf("%q: %v", line, err)
			}
		}
		if e.name != "" {
			events = append(events, e)
		}
	}
	return events
}

// finish follows a job to its end.
func (f *fixture) finish(id string) *client.Job {
	f.t.Helper()
	events := f.follow(id, "")
	if len(events) == 0 || events[len(events)-1].name != "job" {
		f.t.Fatalf("the events end with %+v", events)
	}
	return &events[len(events)-1].job
}

func TestAJobOfQuestions(t *testing.T) {
	f := newFixture(t, nil)
	ids := f.labelled("red", "green", "red")
	f.work(4)
	job := f.createJob(`{"task":"questions","filter":{"labels":{"colour":"red"}},"options":{"questions":["What colour?","Is it=red?"]}}`)
	if job.Counts.Total != 4 || job.Disclaimer == nil {
		t.Errorf("the job is %+v", job)
	}
	done := f.finish(job.Id)
	if done.State != client.JobCompleted || done.Counts.Succeeded != 4 || done.ItemsPerSecond <= 0 || done.FinishedAt == nil {
		t.Fatalf("the job is %+v", done)
	}
	stored, err := f.client.ListAnswersWithResponse(t.Context(), ids[0], nil)
	if err != nil || len(stored.JSON200.Answers) != 2 {
		t.Fatalf("the study has the answers %s %v", stored.Body, err)
	}
	page, err := f.client.ListJobItemsWithResponse(t.Context(), job.Id, &client.ListJobItemsParams{Limit: ptr(3)})
	if err != nil || page.JSON200 == nil || len(page.JSON200.Items) != 3 || page.JSON200.NextCursor == nil {
		t.Fatalf("the items are %s %v", page.Body, err)
	}
	first := page.JSON200.Items[0]
	if *first.Question != "What colour?" || first.StudyId != ids[0] || *first.Result.Answer != "red" || *first.Result.Status != client.Answered || first.Timing == nil {
		t.Errorf("the first item is %+v %+v", first, first.Result)
	}
	rest, err := f.client.ListJobItemsWithResponse(t.Context(), job.Id, &client.ListJobItemsParams{Limit: ptr(3), Cursor: page.JSON200.NextCursor})
	if err != nil || len(rest.JSON200.Items) != 1 || rest.JSON200.NextCursor != nil {
		t.Errorf("the last page is %s %v", rest.Body, err)
	}

	_, lines := f.do(http.MethodGet, "/v1/jobs/"+job.Id+"/results", nil, nil)
	if n := bytes.Count(lines, []byte("\n")); n != 4 || !json.Valid(bytes.SplitN(lines, []byte("\n"), 2)[0]) {
		t.Errorf("the results are %s", lines)
	}
	_, table := f.do(http.MethodGet, "/v1/jobs/"+job.Id+"/results", http.Header{"Accept": {"text/csv"}}, nil)
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil || len(rows) != 5 || rows[0][3] != "question" || rows[1][4] != "red" {
		t.Errorf("the table is %q %v", table, err)
	}
	if response, _ := f.do(http.MethodGet, "/v1/jobs/"+job.Id+"/results", http.Header{"Accept": {"image/png"}}, nil); response.StatusCode != http.StatusNotAcceptable {
		t.Errorf("as a picture: %s", response.Status)
	}
}

func TestTheOtherTasks(t *testing.T) {
	f := newFixture(t, nil)
	ids := f.labelled("red", "blue", "Red|green", "blue")
	unlabelled := f.create()
	f.work(2)
	t.Run("report", func(t *testing.T) {
		job := f.finish(f.createJob(`{"task":"report","filter":{"modality":"image"}}`).Id)
		items, err := f.client.ListJobItemsWithResponse(t.Context(), job.Id, nil)
		if err != nil || job.Counts.Succeeded != 5 {
			t.Fatalf("%+v %v", job, err)
		}
		result := items.JSON200.Items[0].Result
		if len(*result.Findings) != 1 || !(*result.Findings)[0].Present {
			t.Errorf("the result is %+v", result)
		}
		if report, err := f.client.GetReportWithResponse(t.Context(), *result.ReportId); err != nil || report.JSON200 == nil || report.JSON200.StudyId != ids[0] {
			t.Errorf("the report is %s %v", report.Body, err)
		}
	})
	t.Run("embed", func(t *testing.T) {
		job := f.finish(f.createJob(fmt.Sprintf(`{"task":"embed","filter":{"ids":[%q]},"options":{"modalities":["text","audio"]}}`, unlabelled.Id)).Id)
		items, err := f.client.ListJobItemsWithResponse(t.Context(), job.Id, nil)
		if err != nil || len(items.JSON200.Items) != 1 {
			t.Fatalf("%s %v", items.Body, err)
		}
		vectors := *items.JSON200.Items[0].Result.Embeddings
		if len(vectors) != 2 || vectors[0].Modality != client.ModalityText || len(vectors[0].Embedding) != 4*384 || vectors[1].Model != "audio-digest" {
			t.Errorf("the embeddings are %+v", vectors)
		}
	})
	t.Run("evaluate a question", func(t *testing.T) {
		job := f.finish(f.createJob(`{"task":"evaluate","options":{"questions":["What colour?"],"label":"colour"}}`).Id)
		e := job.Evaluation
		if job.Skipped != 1 || e == nil || e.Cases != 4 || e.Correct != 2 || e.Accuracy != 0.5 || e.Floor != 0.5 || e.FloorLabel != "blue" || len(e.Labels) != 3 {
			t.Errorf("%+v %+v", job, e)
		}
		answers, err := f.client.ListAnswersWithResponse(t.Context(), ids[0], nil)
		if err != nil || len(answers.JSON200.Answers) != 0 {
			t.Errorf("an evaluation left answers: %s %v", answers.Body, err)
		}
	})
	t.Run("evaluate by the request", func(t *testing.T) {
		job := f.finish(f.createJob(fmt.Sprintf(`{"task":"evaluate","options":{"questions":["?"],"expected":{%q:"RED",%q:"red"}}}`, ids[1], ids[3])).Id)
		if e := job.Evaluation; e.Cases != 2 || e.Accuracy != 1 || e.Floor != 1 || job.Skipped != 3 {
			t.Errorf("%+v %+v", job, e)
		}
	})
	t.Run("evaluate a finding", func(t *testing.T) {
		path := f.deps.Analyzer.(*pipeline.Pipeline)
		path.Segmenter = unasked{t}
		defer func() { path.Segmenter = nil }()
		job := f.finish(f.createJob(`{"task":"evaluate","options":{"finding":"pneumonia","positive":["red"],"label":"colour"}}`).Id)
		if e := job.Evaluation; e.Cases != 4 || e.Correct != 2 || e.FloorLabel != "absent" {
			t.Errorf("%+v %+v", job, e)
		}
	})
}

// unasked is a part that is not needed.
type unasked struct{ t *testing.T }

func (u unasked) Segment(context.Context, [][]byte) ([]*analysis.Segmentation, error) {
	u.t.Error("a picture was segmented for nothing")
	return nil, nil
}

func ptr[T any](v T) *T { return &v }

func TestEventsAreToldOnce(t *testing.T) {
	f := newFixture(t, nil)
	f.labelled(make([]string, 30)...)
	job := f.createJob(`{"task":"embed"}`)
	f.work(2)
	events := f.follow(job.Id, "")
	seen, last := map[int]int64{}, int64(-1)
	for _, e := range events {
		if e.id <= last {
			t.Errorf("event %d comes after %d", e.id, last)
		}
		last = e.id
		if e.name == "item" {
			if seen[e.item.Position] != 0 {
				t.Errorf("item %d is told twice", e.item.Position)
			}
			seen[e.item.Position] = e.id
		}
	}
	if len(seen) != 30 || events[len(events)-1].job.State != client.JobCompleted {
		t.Errorf("%d items, then %+v", len(seen), events[len(events)-1])
	}
	// From every event on, exactly the items after it are told, and the end of the job.
	for _, from := range events[:len(events)-1] {
		for _, e := range f.follow(job.Id, fmt.Sprint(from.id)) {
			if e.name == "item" && seen[e.item.Position] <= from.id {
				t.Errorf("after %d item %d is told again", from.id, e.item.Position)
			}
		}
	}
	if response, _ := f.do(http.MethodGet, "/v1/jobs/"+job.Id+"/events", http.Header{"Last-Event-Id": {fmt.Sprint(last)}}, nil); response.StatusCode != http.StatusNoContent {
		t.Errorf("after the end: %s", response.Status)
	}
}

// TestAStreamThatBreaks reads a few events, hangs up, and comes again.
func TestAStreamThatBreaks(t *testing.T) {
	f := newFixture(t, nil)
	f.labelled(make([]string, 20)...)
	job := f.createJob(`{"task":"embed"}`)
	request, err := http.NewRequest(http.MethodGet, f.url+"/v1/jobs/"+job.Id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	f.work(1)
	last, items := "", 0
	for lines := bufio.NewScanner(response.Body); items < 5 && lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			last = id
		}
		if lines.Text() == "event: item" {
			items++
		}
	}
	if _, err := io.CopyN(io.Discard, response.Body, 0); err != nil || items != 5 {
		t.Fatalf("%d items %v", items, err)
	}
	response.Body.Close()
	for _, e := range f.follow(job.Id, last) {
		if e.name == "item" {
			items++
		}
	}
	if items != 20 {
		t.Errorf("%d items were told in all", items)
	}
}

func TestJobsThatAreControlled(t *testing.T) {
	f := newFixture(t, nil)
	f.labelled("red", "blue")
	act := func(id, action string) (*http.Response, []byte) {
		t.Helper()
		return f.do(http.MethodPost, "/v1/jobs/"+id+"/"+action, nil, nil)
	}
	state := func(body []byte) client.JobState {
		t.Helper()
		var job client.Job
		if err := json.Unmarshal(body, &job); err != nil {
			t.Fatal(err)
		}
		return job.State
	}
	job := f.createJob(`{"task":"report"}`)
	if _, body := act(job.Id, "pause"); state(body) != client.JobPaused {
		t.Errorf("paused is %s", body)
	}
	f.models.setFail(map[string]error{"image": &analysis.Error{Code: analysis.UnsupportedMedia, Field: "image", Message: "no picture"}})
	f.work(2)
	if _, body := act(job.Id, "resume"); state(body) == client.JobPaused {
		t.Errorf("resumed is %s", body)
	}
	done := f.finish(job.Id)
	if done.Counts.Failed != 2 {
		t.Errorf("%+v", done)
	}
	failed, err := f.client.ListJobItemsWithResponse(t.Context(), job.Id, &client.ListJobItemsParams{State: ptr(client.ItemFailed)})
	if err != nil || len(failed.JSON200.Items) != 2 || failed.JSON200.Items[0].Problem.Type != "urn:consilium:problem:unsupported_media" || failed.JSON200.Items[0].Problem.TraceId == nil {
		t.Errorf("failed are %s %v", failed.Body, err)
	}
	for _, action := range []string{"pause", "resume", "cancel"} {
		response, body := act(job.Id, action)
		if p := f.problem(response, body); p.Status != http.StatusConflict || *p.Field != "state" || *p.Value != "completed" {
			t.Errorf("%s of a job that is over: %s", action, body)
		}
	}
	f.models.setFail(nil)
	if response, body := act(job.Id, "retry"); response.StatusCode != http.StatusOK {
		t.Errorf("retry: %s", body)
	}
	if done = f.finish(job.Id); done.Counts.Succeeded != 2 || done.Counts.Failed != 0 {
		t.Errorf("%+v", done)
	}
	if response, body := act(job.Id, "retry"); f.problem(response, body).Status != http.StatusConflict {
		t.Errorf("retry of nothing: %s", body)
	}
}

func TestBadJobs(t *testing.T) {
	f := newFixture(t, nil)
	f.labelled("red")
	nobody := "0198c0de-0000-7000-8000-000000000000"
	for name, test := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"no task":              {`{}`, 422, "task"},
		"unknown task":         {`{"task":"paint"}`, 422, "task"},
		"unknown filter field": {`{"task":"embed","filter":{"ward":"7"}}`, 422, "filter.ward"},
		"unknown option":       {`{"task":"embed","options":{"speed":9}}`, 422, "options.speed"},
		"option of another":    {`{"task":"embed","options":{"questions":["x"]}}`, 422, "options.questions"},
		"no questions":         {`{"task":"questions"}`, 422, "options.questions"},
		"blank question":       {`{"task":"questions","options":{"questions":["ok"," "]}}`, 422, "options.questions.1"},
		"question with a NUL":  {`{"task":"questions","options":{"questions":["a\u0000"]}}`, 422, "options.questions.0"},
		"many questions":       {`{"task":"questions","options":{"questions":["` + strings.Repeat(`x","`, 20) + `x"]}}`, 422, "options.questions"},
		"no study fits":        {`{"task":"embed","filter":{"labels":{"colour":"green"}}}`, 422, "filter"},
		"no such study":        {`{"task":"embed","filter":{"ids":["` + nobody + `"]}}`, 422, "filter.ids.0"},
		"no such day":          {`{"task":"embed","filter":{"study_date":{"from":"2026-02-30"}}}`, 422, "filter.study_date.from"},
		"no such model":        {`{"task":"report","options":{"model":"nobody"}}`, 404, ""},
		"nothing to compare":   {`{"task":"evaluate","options":{"questions":["x"]}}`, 422, "options"},
		"nothing is known":     {`{"task":"evaluate","options":{"questions":["x"],"label":"ward"}}`, 422, "options.label"},
		"question and finding": {`{"task":"evaluate","options":{"questions":["x"],"finding":"y","positive":["z"],"label":"colour"}}`, 422, "options.finding"},
		"finding of nothing":   {`{"task":"evaluate","options":{"finding":"y","label":"colour"}}`, 422, "options.positive"},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := f.do(http.MethodPost, "/v1/jobs", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(test.body))
			p := f.problem(response, body)
			if p.Status != test.status || test.field != "" && (p.Field == nil || *p.Field != test.field) {
				t.Errorf("%s", body)
			}
		})
	}
	for _, path := range []string{"", "/items", "/results", "/events"} {
		if response, body := f.do(http.MethodGet, "/v1/jobs/"+nobody+path, nil, nil); f.problem(response, body).Status != http.StatusNotFound {
			t.Errorf("%s of no job: %s", path, body)
		}
	}
	list, err := f.client.ListJobsWithResponse(t.Context(), nil)
	if err != nil || len(list.JSON200.Jobs) != 0 {
		t.Errorf("something was stored: %s %v", list.Body, err)
	}
	first := f.createJob(`{"task":"embed"}`, "Idempotency-Key", "tonight")
	if again := f.createJob(`{ "task": "embed", "filter": {} }`, "Idempotency-Key", "tonight"); again.Id != first.Id {
		t.Errorf("two jobs of one key: %s and %s", first.Id, again.Id)
	}
	response, body := f.do(http.MethodPost, "/v1/jobs", http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"tonight"}}, strings.NewReader(`{"task":"report"}`))
	if p := f.problem(response, body); p.Status != http.StatusUnprocessableEntity || *p.Field != "Idempotency-Key" || *p.Value != "tonight" {
		t.Errorf("another body: %s", body)
	}
	if response, body := f.do(http.MethodPost, "/v1/jobs", http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {strings.Repeat("x", 300)}}, strings.NewReader(`{"task":"report"}`)); f.problem(response, body).Status != http.StatusBadRequest {
		t.Errorf("a long key: %s", body)
	}
}

func TestCellsAreHarmless(t *testing.T) {
	for text, want := range map[string]string{"": "", "red": "red", "=1+1": "'=1+1", "@x": "'@x", "-1": "'-1", "a=b": "a=b"} {
		if got := harmless(text); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}
