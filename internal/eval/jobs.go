package eval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"consilium/gateway/client"
	"consilium/internal/allinone"
	"consilium/internal/dataset"
)

const (
	jobRounds        = 5   // of each number of workers, by turns
	jobItems         = 60  // of one round
	fairStudies      = 500 // of the job beside which questions are asked
	fairQuestions    = 20  // to each of them
	fairRounds       = 10  // alone and beside the job, by turns
	fairPerRound     = 30  // questions
	fairAim          = 2   // times as long as alone, at most
	jobPoll          = 20 * time.Millisecond
	jobQuestionAsked = "what shape is in the image?"
)

// jobs measures work on jobs on a platform of its own: how much is done a second, and what somebody notices of it who asks
// questions meanwhile. No picture is seen twice, so that no cache helps.
func jobs(ctx context.Context, e Env) (figures []Figure, err error) {
	start := time.Now()
	b, closeAll, err := newJobBench(ctx, e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	rates := map[int][]float64{}
	for range jobRounds {
		for _, workers := range []int{1, 3} {
			rate, err := b.rate(ctx, workers)
			if err != nil {
				return nil, err
			}
			rates[workers] = append(rates[workers], rate)
			fmt.Fprintf(e.Out, "jobs: %d workers finish %.1f items a second\n", workers, rate)
		}
	}
	one, three := quantile(rates[1], 0.5), quantile(rates[3], 0.5)
	figures = []Figure{
		{Name: "jobs", Metric: "items-per-second-1-worker", Value: one, Low: slices.Min(rates[1]), High: slices.Max(rates[1]), N: jobRounds * jobItems},
		{Name: "jobs", Metric: "items-per-second-3-workers", Value: three, Floor: one, Low: slices.Min(rates[3]), High: slices.Max(rates[3]), N: jobRounds * jobItems},
	}
	for _, place := range []string{"same-process", "other-process"} {
		alone, beside, err := b.fairness(ctx, place)
		if err != nil {
			return nil, err
		}
		for _, q := range []struct {
			name string
			q    float64
		}{{"p50", 0.50}, {"p99", 0.99}} {
			before, meanwhile := quantile(alone, q.q), quantile(beside, q.q)
			fmt.Fprintf(e.Out, "jobs: %s of a question: %.1f ms alone, %.1f ms beside a job in the %s\n", q.name, before, meanwhile, place)
			figures = append(figures,
				Figure{Name: "jobs", Metric: q.name + "-ms-alone-" + place, Value: before, N: len(alone)},
				Figure{Name: "jobs", Metric: q.name + "-ms-beside-" + place, Value: meanwhile, Floor: fairAim * before, N: len(beside)},
				Figure{Name: "jobs", Metric: q.name + "-ratio-" + place, Value: meanwhile / before, Floor: fairAim, N: len(beside)})
		}
	}
	return timed(start, figures), nil
}

// jobBench is a platform whose gateway works on no jobs unless another one is added.
type jobBench struct {
	stack    *allinone.Stack
	api      *client.ClientWithResponses
	pictures []string // that no model has seen
}

func newJobBench(ctx context.Context, e Env) (b *jobBench, closeAll func() error, err error) {
	b = &jobBench{}
	for _, split := range []string{"test", "train"} {
		set, err := dataset.ReadEasyVQA(e.EasyVQA, split)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(set.Images)) {
			b.pictures = append(b.pictures, set.Images[id])
		}
	}
	dir, err := os.MkdirTemp("", "jobs")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for the platform: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	if err := os.Chmod(dir, 0o755); err != nil { // root's servers run as another user
		return nil, nil, errors.Join(fmt.Errorf("open the folder of the platform: %w", err), remove())
	}
	own := map[string]string{"CONSILIUM_STATE": dir, "CONSILIUM_LISTEN": "127.0.0.1:0", "CONSILIUM_WORKERS": "0", "CONSILIUM_POSTGRES_URL": "", "CONSILIUM_REDIS_URL": ""}
	getenv := func(name string) string {
		if value, ok := own[name]; ok {
			return value
		}
		return os.Getenv(name)
	}
	settings, err := allinone.LoadSettings(getenv)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the log: %w", err), remove())
	}
	if b.stack, err = allinone.Start(ctx, settings, getenv, log, nil); err != nil {
		return nil, nil, errors.Join(err, log.Close(), remove())
	}
	closeAll = func() error { return errors.Join(b.stack.Stop(), log.Close(), remove()) }
	if b.api, err = client.NewClientWithResponses(b.stack.URL); err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return b, closeAll, nil
}

// picture returns the next picture that no model has seen.
func (b *jobBench) picture() ([]byte, error) {
	if len(b.pictures) == 0 {
		return nil, errors.New("measure jobs: there are no more pictures")
	}
	path := b.pictures[0]
	b.pictures = b.pictures[1:]
	return os.ReadFile(path)
}

// job stores studies under a label and makes a job of questions on them.
func (b *jobBench) job(ctx context.Context, label string, studies int, questions []string) (*client.Job, error) {
	labels := map[string]string{"round": label}
	for range studies {
		picture, err := b.picture()
		if err != nil {
			return nil, err
		}
		upload := client.Upload{Metadata: client.StudyMetadata{Labels: &labels}, Images: [][]byte{picture}}
		contentType, form, err := upload.Form()
		if err != nil {
			return nil, err
		}
		if r, err := b.api.CreateStudyWithBodyWithResponse(ctx, contentType, form); err != nil || r.JSON201 == nil {
			return nil, fmt.Errorf("store a study: %w", answered(r, err))
		}
	}
	request := client.JobRequest{Task: client.JobQuestions, Filter: &client.StudyFilter{Labels: &labels}, Options: &client.JobOptions{Questions: &questions}}
	r, err := b.api.CreateJobWithResponse(ctx, nil, request)
	if err != nil || r.JSON202 == nil {
		return nil, fmt.Errorf("make a job: %w", answered(r, err))
	}
	return r.JSON202, nil
}

// answered is the error of an answer that is not what was asked for.
func answered(r interface{ Status() string }, err error) error {
	if err != nil {
		return err
	}
	return errors.New(r.Status())
}

// rate returns the items a second that so many workers finish, each in a gateway of its own.
func (b *jobBench) rate(ctx context.Context, workers int) (rate float64, err error) {
	for range workers {
		_, stop, err := b.stack.AddGateway(ctx, map[string]string{"CONSILIUM_WORKERS": "1"})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	job, err := b.job(ctx, strconv.Itoa(len(b.pictures)), jobItems, []string{jobQuestionAsked})
	if err != nil {
		return 0, err
	}
	// Workers take items as soon as they are there, so the clock is the job's own.
	job, err = b.await(ctx, job.Id, func(job *client.Job) bool { return job.State == client.JobCompleted })
	if err != nil {
		return 0, err
	}
	if job.Counts.Succeeded != jobItems {
		return 0, fmt.Errorf("measure jobs: %d of %d items succeeded", job.Counts.Succeeded, jobItems)
	}
	return job.ItemsPerSecond, nil
}

func (b *jobBench) await(ctx context.Context, id string, wanted func(*client.Job) bool) (*client.Job, error) {
	ticker := time.NewTicker(jobPoll)
	defer ticker.Stop()
	for {
		r, err := b.api.GetJobWithResponse(ctx, id)
		if err != nil || r.JSON200 == nil {
			return nil, fmt.Errorf("read a job: %w", answered(r, err))
		}
		if wanted(r.JSON200) {
			return r.JSON200, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fairness asks questions one after another while a job of 10,000 items is paused and while it is worked on, by turns, and returns how
// long the answers took, in milliseconds.
func (b *jobBench) fairness(ctx context.Context, place string) (alone, beside []float64, err error) {
	url, stop, err := b.stack.AddGateway(ctx, map[string]string{"CONSILIUM_WORKERS": ""})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if place == "other-process" {
		url = b.stack.URL
	}
	questions := make([]string, fairQuestions)
	for i := range questions {
		questions[i] = fmt.Sprintf("does the image show %d shapes?", i)
	}
	job, err := b.job(ctx, place, fairStudies, questions)
	if err != nil {
		return nil, nil, err
	}
	for range fairRounds {
		if r, err := b.api.PauseJobWithResponse(ctx, job.Id); err != nil || r.JSON200 == nil {
			return nil, nil, fmt.Errorf("pause a job: %w", answered(r, err))
		}
		if _, err := b.await(ctx, job.Id, func(job *client.Job) bool { return job.Counts.Running == 0 }); err != nil {
			return nil, nil, err
		}
		if alone, err = b.ask(ctx, url, alone); err != nil {
			return nil, nil, err
		}
		if r, err := b.api.ResumeJobWithResponse(ctx, job.Id); err != nil || r.JSON200 == nil {
			return nil, nil, fmt.Errorf("resume a job: %w", answered(r, err))
		}
		if _, err := b.await(ctx, job.Id, func(job *client.Job) bool { return job.Counts.Running > 0 }); err != nil {
			return nil, nil, err
		}
		if beside, err = b.ask(ctx, url, beside); err != nil {
			return nil, nil, err
		}
	}
	if r, err := b.api.CancelJobWithResponse(ctx, job.Id); err != nil || r.JSON200 == nil {
		return nil, nil, fmt.Errorf("cancel a job, which was to outlast the questions: %w", answered(r, err))
	}
	return alone, beside, nil
}

// ask asks a round of questions, each about a picture of its own, and appends how long the answers took.
func (b *jobBench) ask(ctx context.Context, url string, took []float64) ([]float64, error) {
	for range fairPerRound {
		picture, err := b.picture()
		if err != nil {
			return nil, err
		}
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("image", "image")
		if err == nil {
			_, err = part.Write(picture)
		}
		if err = errors.Join(err, form.WriteField("question", jobQuestionAsked), form.Close()); err != nil {
			return nil, fmt.Errorf("write a question: %w", err)
		}
		began := time.Now()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/vqa", &body)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", form.FormDataContentType())
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, fmt.Errorf("ask a question: %w", err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("ask a question: %s %w", response.Status, err)
		}
		took = append(took, time.Since(began).Seconds()*1000)
	}
	return took, nil
}
