package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"consilium/gateway/client"
)

// TestFollowingAJobThatBreaksOff serves a job's events in pieces: each connection ends after two of them, one within an event.
func TestFollowingAJobThatBreaksOff(t *testing.T) {
	event := func(id int, name, data string) string {
		return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, name, data)
	}
	job := func(done int, state string) string {
		return fmt.Sprintf(`{"state":%q,"counts":{"total":2,"succeeded":%d}}`, state, done)
	}
	events := []string{event(1, "job", job(0, "queued")), event(2, "item", `{"position":1}`), event(3, "job", job(1, "running")), event(4, "item", `{"position":2}`), event(5, "job", job(2, "completed"))}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-Id")
		asked = append(asked, last)
		w.Header().Set("Content-Type", "text/event-stream")
		from := 0
		if last != "" {
			from = int(last[0] - '0')
		}
		to := min(from+2, len(events))
		piece := "retry: 1000\n\n" + strings.Join(events[from:to], "")
		if len(asked) == 1 {
			piece += events[to][:10]
		}
		_, _ = io.WriteString(w, piece)
	}))
	defer server.Close()
	p, err := connect(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var shown []int
	last, err := p.follow(context.Background(), "0198c0de-0000-7000-8000-000000000000", func(job *client.Job) { shown = append(shown, job.Counts.Succeeded) })
	if err != nil || last.State != client.JobCompleted {
		t.Fatalf("followed to %+v %v", last, err)
	}
	if got := fmt.Sprint(shown, asked); got != "[0 1 2] [ 2 4]" {
		t.Errorf("shown and asked for after: %s", got)
	}
}

func TestArgumentsOfAJob(t *testing.T) {
	request, err := jobRequest([]string{"questions", "-label", "ward=7", "-label", "site=a=b", "-question", "What?", "-question", "Where?"}, io.Discard)
	if err != nil || len(*request.Options.Questions) != 2 || (*request.Filter.Labels)["site"] != "a=b" {
		t.Errorf("%+v %v", request, err)
	}
	for _, bad := range [][]string{{"paint"}, {"embed", "-label", "ward"}, {"embed", "left over"}, {"embed", "-speed", "9"}} {
		if _, err := jobRequest(bad, io.Discard); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestJobsAreShown(t *testing.T) {
	job := &client.Job{Id: "0198c0de-0000-7000-8000-000000000000", Task: client.JobEvaluate, State: client.JobRunning, ItemsPerSecond: 2, Skipped: 3,
		Counts: client.JobCounts{Total: 100, Succeeded: 48, Failed: 2, Queued: 50}, Evaluation: &client.JobEvaluation{Cases: 48, Correct: 36, Accuracy: 0.75, Floor: 0.5, FloorLabel: "red"}}
	seconds := 25.0
	job.EtaSeconds = &seconds
	var b bytes.Buffer
	showJob(&b, job)
	for _, want := range []string{"50/100 running  2.0/s  25s left  2 failed", "3 studies", `36 of 48, 75.0 %; always "red"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	var line bytes.Buffer
	jobBar(&line, true)(job)
	if !strings.HasPrefix(line.String(), "\r") || strings.Contains(line.String(), "\n") {
		t.Errorf("the bar is %q", line.String())
	}
}
