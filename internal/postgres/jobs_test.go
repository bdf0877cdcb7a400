package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/jobs"
	"consilium/internal/postgres"
)

// bench is a store with studies and, once started, workers whose work is a function of the test.
type bench struct {
	*fixture
	t *testing.T
}

func newBench(t *testing.T, labels ...string) *bench {
	t.Helper()
	b := &bench{fixture: newFixture(t), t: t}
	for i, label := range labels {
		study := &analysis.Study{Labels: map[string]string{"shape": label}, Artefacts: []analysis.Artefact{{Modality: analysis.Text, MediaType: analysis.TextMediaType}}}
		if err := b.CreateStudy(b.ctx, study, [][]byte{[]byte(fmt.Sprint("note ", i))}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

const noTrace = "00000000000000000000000000000000"

func (b *bench) ask(request jobs.Request) *jobs.Job {
	b.t.Helper()
	job, _, err := b.CreateJob(b.ctx, &request, noTrace)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

func (b *bench) work(count int, perform jobs.Perform) *postgres.Workers {
	b.t.Helper()
	w, err := b.StartWorkers(b.ctx, b.url, postgres.WorkerOptions{Count: count, ItemTime: time.Minute, DrainTime: time.Minute, Perform: perform, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return w
}

// await asks until the job is as wanted.
func (b *bench) await(id string, wanted func(*jobs.Job) bool) *jobs.Job {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		job, err := b.Job(b.ctx, id)
		if err != nil {
			b.t.Fatal(err)
		}
		if wanted(job) {
			return job
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("the job stays %+v", job)
		case <-ticker.C:
		}
	}
}

func (b *bench) control(id string, action jobs.Action) *jobs.Job {
	b.t.Helper()
	job, err := b.ControlJob(b.ctx, id, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

func embed(context.Context, *jobs.Work) (*jobs.Outcome, error) {
	return &jobs.Outcome{Result: &jobs.Result{}, Stages: []analysis.Stage{}}, nil
}

func many(n int) []string { return make([]string, n) }

func TestAJobIsDone(t *testing.T) {
	b := newBench(t, many(300)...) // more than the queue's window
	job := b.ask(jobs.Request{Task: jobs.Embed})
	if job.State != jobs.Queued || job.Counts.Total != 300 || job.Counts.Queued != 300 {
		t.Fatalf("the new job is %+v", job)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	b.work(8, func(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
		if !analysis.Bulk(ctx) || analysis.Tenant(ctx) != analysis.DefaultTenant {
			t.Error("the work is not that of the tenant's job")
		}
		mu.Lock()
		defer mu.Unlock()
		seen[work.StudyID] = true
		return embed(ctx, work)
	})
	job = b.await(job.ID, (*jobs.Job).Over)
	if job.State != jobs.Completed || job.Counts.Succeeded != 300 || job.FinishedAt == nil || job.Rate <= 0 || job.Sequence != 300 {
		t.Errorf("the finished job is %+v", job)
	}
	if len(seen) != 300 {
		t.Errorf("%d studies were worked on", len(seen))
	}
	changes, err := b.JobChanges(b.ctx, job.ID, 290, 100)
	if err != nil || len(changes) != 10 || changes[0].Sequence != 291 {
		t.Errorf("the last changes are %+v %v", changes, err)
	}
}

func TestJobsOverNothing(t *testing.T) {
	b := newBench(t, "circle")
	none := "0198c0de-0000-7000-8000-000000000000"
	for name, test := range map[string]struct {
		request jobs.Request
		field   string
	}{
		"no such label": {jobs.Request{Task: jobs.Embed, Filter: analysis.StudyFilter{Labels: map[string]string{"shape": "square"}}}, "filter"},
		"no such study": {jobs.Request{Task: jobs.Embed, Filter: analysis.StudyFilter{IDs: []string{none}}}, "filter.ids.0"},
		"no image":      {jobs.Request{Task: jobs.Embed, Filter: analysis.StudyFilter{Modality: analysis.Image}}, "filter"},
		"nothing known": {jobs.Request{Task: jobs.Evaluate, Options: jobs.Options{Questions: []string{"?"}, Label: "colour"}}, "options.label"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := b.CreateJob(b.ctx, &test.request, noTrace)
			var e *analysis.Error
			if !errors.As(err, &e) || e.Field != test.field || e.Code != analysis.InvalidArgument {
				t.Errorf("%v", err)
			}
		})
	}
	if list, err := b.Jobs(b.ctx, analysis.Page{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("stored %+v %v", list, err)
	}
}

func TestTheSameKeyIsTheSameJob(t *testing.T) {
	b := newBench(t, "a", "b")
	request := jobs.Request{Task: jobs.Embed, Key: "once"}
	var wait sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wait.Go(func() {
			job, _, err := b.CreateJob(b.ctx, &request, noTrace)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = job.ID
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("several jobs: %v", ids)
		}
	}
	other := jobs.Request{Task: jobs.Report, Key: "once"}
	if _, _, err := b.CreateJob(b.ctx, &other, noTrace); analysis.CodeOf(err) != analysis.InvalidArgument || !strings.Contains(err.Error(), "Idempotency-Key") {
		t.Errorf("another request with the key: %v", err)
	}
	if _, _, err := b.CreateJob(analysis.WithTenant(b.ctx, "nobody"), &other, noTrace); analysis.CodeOf(err) != analysis.InvalidArgument || strings.Contains(err.Error(), "Idempotency-Key") {
		t.Errorf("another tenant's key is seen: %v", err)
	}
}

func TestPauseResumeCancel(t *testing.T) {
	b := newBench(t, many(200)...)
	gate := make(chan struct{})
	b.work(4, func(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
		<-gate
		return embed(ctx, work)
	})
	job := b.ask(jobs.Request{Task: jobs.Embed})
	b.await(job.ID, func(j *jobs.Job) bool { return j.Counts.Running == 4 })
	if paused := b.control(job.ID, jobs.Pause); paused.State != jobs.Paused {
		t.Fatalf("%+v", paused)
	}
	for range 4 {
		gate <- struct{}{}
	}
	paused := b.await(job.ID, func(j *jobs.Job) bool { return j.Counts.Succeeded == 4 && j.Counts.Running == 0 })
	if paused.State != jobs.Paused || paused.Counts.Queued != 196 {
		t.Errorf("%+v", paused)
	}
	b.control(job.ID, jobs.Resume)
	for range 100 {
		gate <- struct{}{}
	}
	b.await(job.ID, func(j *jobs.Job) bool { return j.Counts.Succeeded == 104 && j.Counts.Running == 4 })
	if cancelled := b.control(job.ID, jobs.Cancel); cancelled.State != jobs.Cancelled || cancelled.Over() || cancelled.Counts.Cancelled != 92 {
		t.Errorf("%+v", cancelled)
	}
	for _, action := range []jobs.Action{jobs.Pause, jobs.Resume, jobs.Retry} {
		if _, err := b.ControlJob(b.ctx, job.ID, action); analysis.CodeOf(err) != analysis.Conflict {
			t.Errorf("%s of a cancelled job: %v", action, err)
		}
	}
	close(gate)
	over := b.await(job.ID, (*jobs.Job).Over)
	if over.Counts.Succeeded != 108 || over.FinishedAt == nil {
		t.Errorf("%+v", over)
	}
}

func TestFailedItems(t *testing.T) {
	b := newBench(t, "good", "bad", "unlucky", "gone")
	studies, err := b.Studies(b.ctx, &analysis.StudyFilter{}, analysis.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]string{}
	for _, study := range studies {
		byID[study.ID] = study.Labels["shape"]
	}
	var mu sync.Mutex
	tries, repaired := map[string]int{}, false
	b.work(2, func(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		label := byID[work.StudyID]
		tries[label]++
		switch {
		case label == "gone" && !repaired:
			if err := b.DeleteStudy(ctx, work.StudyID); err != nil {
				t.Error(err)
			}
		case repaired:
		case label == "bad":
			return nil, &analysis.Error{Code: analysis.UnsupportedMedia, Field: "image", Message: "no picture", Limit: "PNG", Value: "GIF"}
		case label == "unlucky" && tries[label] < 2:
			return nil, analysis.Errorf(analysis.Unavailable, "the encoder is away")
		}
		return embed(ctx, work)
	})
	job := b.ask(jobs.Request{Task: jobs.Embed})
	job = b.await(job.ID, (*jobs.Job).Over)
	if job.State != jobs.Completed || job.Counts.Succeeded != 2 || job.Counts.Failed != 2 {
		t.Fatalf("%+v", job)
	}
	failed, err := b.JobItems(b.ctx, job.ID, jobs.ItemFailed, 0, 10)
	if err != nil || len(failed) != 2 || failed[0].Problem.Code != analysis.UnsupportedMedia || failed[0].Problem.Limit != "PNG" || len(failed[0].Problem.TraceID) != 32 ||
		failed[1].Problem.Code != analysis.NotFound {
		t.Errorf("failed are %+v %v", failed, err)
	}
	mu.Lock()
	repaired = true
	if tries["bad"] != 1 || tries["unlucky"] != 2 {
		t.Errorf("tried %v", tries)
	}
	mu.Unlock()
	if again := b.control(job.ID, jobs.Retry); again.Over() || again.Counts.Failed != 0 {
		t.Errorf("%+v", again)
	}
	job = b.await(job.ID, (*jobs.Job).Over)
	if job.Counts.Succeeded != 3 || job.Counts.Failed != 1 { // a deleted study fails again
		t.Errorf("%+v", job)
	}
}

func TestResultsGoWithTheirStudy(t *testing.T) {
	b := newBench(t, "circle")
	b.work(1, func(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
		right := true
		return &jobs.Outcome{Result: &jobs.Result{Answer: "circle", Expected: work.Expected, Correct: &right}, Stages: []analysis.Stage{}}, nil
	})
	job := b.ask(jobs.Request{Task: jobs.Evaluate, Options: jobs.Options{Questions: []string{"What shape?"}, Label: "shape"}})
	b.await(job.ID, (*jobs.Job).Over)
	items, err := b.JobItems(b.ctx, job.ID, "", 0, 10)
	if err != nil || len(items) != 1 || items[0].Result == nil || items[0].Question != "What shape?" || items[0].Result.Expected != "circle" {
		t.Fatalf("%+v %v", items, err)
	}
	if e, err := b.JobEvaluation(b.ctx, job.ID); err != nil || e.Accuracy() != 1 || e.MajorityLabel != "circle" {
		t.Errorf("%+v %v", e, err)
	}
	if err := b.DeleteStudy(b.ctx, items[0].StudyID); err != nil {
		t.Fatal(err)
	}
	items, err = b.JobItems(b.ctx, job.ID, "", 0, 10)
	if err != nil || len(items) != 1 || items[0].Result != nil || items[0].State != jobs.ItemSucceeded {
		t.Errorf("%+v %v", items, err)
	}
}

// TestAWorkerThatWasAsleep comes back with a result when another worker has stored one.
func TestAWorkerThatWasAsleep(t *testing.T) {
	b := newBench(t, "circle")
	studies, err := b.Studies(b.ctx, &analysis.StudyFilter{}, analysis.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	asleep, awake, calls := make(chan struct{}), make(chan struct{}), make(chan struct{}, 2)
	perform := func(ctx context.Context, work *jobs.Work) (*jobs.Outcome, error) {
		calls <- struct{}{}
		if len(calls) == 1 {
			close(asleep)
			<-awake
		}
		answer := answerOf(&studies[0])
		return &jobs.Outcome{Result: &jobs.Result{Answer: "circle"}, Answer: answer, Stages: []analysis.Stage{}}, nil
	}
	first := b.work(1, perform)
	job := b.ask(jobs.Request{Task: jobs.Questions, Options: jobs.Options{Questions: []string{"What shape?"}}})
	<-asleep
	// As River does when it takes a worker for dead.
	if err := b.exec(t, "UPDATE river_job SET state = 'available', scheduled_at = now() WHERE state = 'running'"); err != nil {
		t.Fatal(err)
	}
	b.work(1, perform)
	done := b.await(job.ID, (*jobs.Job).Over)
	close(awake)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	answers, err := b.Answers(b.ctx, studies[0].ID, analysis.Page{Limit: 10})
	if err != nil || len(answers) != 1 || done.Counts.Succeeded != 1 {
		t.Errorf("%d answers %v, %+v", len(answers), err, done)
	}
	if again := b.await(job.ID, (*jobs.Job).Over); again.Sequence != done.Sequence || again.Counts != done.Counts {
		t.Errorf("it became %+v", again)
	}
}
