package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"consilium/gateway/client"
)

var jobCommand = command{
	name: "job", arguments: "[TASK [-label NAME=VALUE]… [-question Q]… | ID | pause|resume|cancel|retry ID]", summary: "work on many stored studies (CONSILIUM_URL), or follow a job",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		p, err := running(getenv)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return p.listJobs(ctx, stdout)
		}
		if control := controls[args[0]]; control != nil {
			if len(args) != 2 {
				return errUsage
			}
			job, err := control(ctx, p.api, args[1])
			if err != nil {
				return fmt.Errorf("%s job %s: %w", args[0], args[1], err)
			}
			showJob(stdout, job)
			return nil
		}
		id := args[0]
		if uuid.Validate(id) != nil {
			request, err := jobRequest(args, stderr)
			if err != nil {
				return err
			}
			if id, err = p.startJob(ctx, request); err != nil {
				return err
			}
		} else if len(args) != 1 {
			return errUsage
		}
		job, err := p.follow(ctx, id, jobBar(stderr, isTerminal(stderr)))
		if ctx.Err() != nil {
			fmt.Fprintf(stderr, "\nThe job goes on; `consilium job %s` follows it again.\n", id)
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow job %s: %w", id, err)
		}
		showJob(stdout, job)
		if job.Counts.Failed > 0 {
			return fmt.Errorf("%d of %d items failed; `consilium job retry %s` tries them again", job.Counts.Failed, job.Counts.Total, id)
		}
		return nil
	},
}

// controls are what can be done with a job.
var controls = map[string]func(ctx context.Context, api *client.ClientWithResponses, id string) (*client.Job, error){
	"pause": func(ctx context.Context, api *client.ClientWithResponses, id string) (*client.Job, error) {
		r, err := api.PauseJobWithResponse(ctx, id)
		if err != nil {
			return nil, err
		}
		return found(r.JSON200, r.ApplicationproblemJSONDefault, r.Body)
	},
	"resume": func(ctx context.Context, api *client.ClientWithResponses, id string) (*client.Job, error) {
		r, err := api.ResumeJobWithResponse(ctx, id)
		if err != nil {
			return nil, err
		}
		return found(r.JSON200, r.ApplicationproblemJSONDefault, r.Body)
	},
	"cancel": func(ctx context.Context, api *client.ClientWithResponses, id string) (*client.Job, error) {
		r, err := api.CancelJobWithResponse(ctx, id)
		if err != nil {
			return nil, err
		}
		return found(r.JSON200, r.ApplicationproblemJSONDefault, r.Body)
	},
	"retry": func(ctx context.Context, api *client.ClientWithResponses, id string) (*client.Job, error) {
		r, err := api.RetryJobWithResponse(ctx, id)
		if err != nil {
			return nil, err
		}
		return found(r.JSON200, r.ApplicationproblemJSONDefault, r.Body)
	},
}

// found returns the job that an answer holds, or why it holds none.
func found(job *client.Job, problem *client.Problem, body []byte) (*client.Job, error) {
	if job == nil {
		return nil, refused(problem, body)
	}
	return job, nil
}

// jobRequest reads the arguments of a new job, of which the first is its task.
func jobRequest(args []string, stderr io.Writer) (client.JobRequest, error) {
	request := client.JobRequest{Task: client.JobTask(args[0]), Filter: &client.StudyFilter{}, Options: &client.JobOptions{}}
	if !request.Task.Valid() {
		return request, errUsage
	}
	o := request.Options
	flags := flag.NewFlagSet("consilium job "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	labels := map[string]string{}
	flags.Func("label", "a label of the studies as `name=value`; several have all to fit", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("want name=value, found %q", text)
		}
		labels[name] = value
		return nil
	})
	add := func(to **[]string) func(string) error {
		return func(text string) error {
			if *to == nil {
				*to = &[]string{}
			}
			**to = append(**to, text)
			return nil
		}
	}
	flags.Func("question", "what is asked; may be given several times", add(&o.Questions))
	flags.Func("positive", "a label that stands for the finding's presence", add(&o.Positive))
	text := func(to **string) func(string) error {
		return func(text string) error { *to = &text; return nil }
	}
	flags.Func("finding", "the finding to evaluate", text(&o.Finding))
	flags.Func("known", "the `label` that says what is right, for evaluate", text(&o.Label))
	flags.Func("model", "a model that you brought, for report", text(&o.Model))
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return request, errUsage
	}
	if len(labels) > 0 {
		request.Filter.Labels = &labels
	}
	return request, nil
}

// startJob makes a job, once, even if the answer is lost and the request sent again.
func (p *platform) startJob(ctx context.Context, request client.JobRequest) (id string, err error) {
	key := uuid.NewString()
	for attempt := 1; ; attempt++ {
		r, err := p.api.CreateJobWithResponse(ctx, &client.CreateJobParams{IdempotencyKey: &key}, request)
		if err == nil && r.JSON202 == nil {
			return "", fmt.Errorf("start a job: %w", refused(r.ApplicationproblemJSONDefault, r.Body))
		}
		if err == nil {
			return r.JSON202.Id, nil
		}
		if ctx.Err() != nil || attempt == followAttempts {
			return "", fmt.Errorf("start a job: %w", err)
		}
	}
}

const (
	// followAttempts is how often in a row a connection may fail.
	followAttempts = 10
	followPause    = time.Second
	maxEventBytes  = 1 << 20
)

// follow shows a job until it is over. A stream that ends, for whatever reason, is asked for again from where it ended.
func (p *platform) follow(ctx context.Context, id string, show func(*client.Job)) (last *client.Job, err error) {
	told := ""
	for failed := 0; failed < followAttempts; failed++ {
		if failed > 0 {
			select {
			case <-time.After(followPause):
			case <-ctx.Done():
				return last, ctx.Err()
			}
		}
		var response *http.Response
		params := &client.StreamJobEventsParams{}
		if told != "" {
			params.LastEventID = &told
		}
		if response, err = p.api.StreamJobEvents(ctx, id, params); err != nil {
			continue
		}
		if response.StatusCode != http.StatusOK {
			over, refusal := endOfStream(response)
			if over && last == nil { // it was over before we came
				return p.readJob(ctx, id)
			}
			if over || response.StatusCode < 500 {
				return last, refusal
			}
			err = refusal
			continue
		}
		before := told
		if told, err = readEvents(response.Body, told, func(job *client.Job) {
			last = job
			show(job)
		}); told != before {
			failed = -1
		}
		if last != nil && isOver(last) {
			return last, nil
		}
	}
	return last, fmt.Errorf("the stream ended %d times without anything new: %w", followAttempts, err)
}

func isOver(job *client.Job) bool {
	return job.State == client.JobCompleted || job.State == client.JobCancelled && job.Counts.Running == 0
}

// endOfStream reads an answer that is not a stream: the job is over, or a problem.
func endOfStream(response *http.Response) (over bool, err error) {
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return true, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxEventBytes))
	if err != nil {
		return false, err
	}
	var problem client.Problem
	if json.Unmarshal(body, &problem) != nil || problem.Title == "" {
		return false, refused(nil, body)
	}
	return false, &problem
}

// readEvents calls show with each state of the job and returns the id of the last event that was read whole.
func readEvents(body io.ReadCloser, told string, show func(*client.Job)) (string, error) {
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEventBytes)
	var id, name, data string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			data = value
		case lines.Text() == "" && id != "":
			if name == string(client.EventJob) {
				var job client.Job
				if err := json.Unmarshal([]byte(data), &job); err != nil {
					return told, fmt.Errorf("read an event: %w", err)
				}
				show(&job)
			}
			told, id, name, data = id, "", "", ""
		}
	}
	return told, lines.Err()
}

func (p *platform) readJob(ctx context.Context, id string) (*client.Job, error) {
	r, err := p.api.GetJobWithResponse(ctx, id)
	if err != nil {
		return nil, err
	}
	return found(r.JSON200, r.ApplicationproblemJSONDefault, r.Body)
}

func (p *platform) listJobs(ctx context.Context, stdout io.Writer) error {
	r, err := p.api.ListJobsWithResponse(ctx, nil)
	if err != nil {
		return fmt.Errorf("list jobs: %w", err)
	}
	if r.JSON200 == nil {
		return fmt.Errorf("list jobs: %w", refused(r.ApplicationproblemJSONDefault, r.Body))
	}
	for _, job := range r.JSON200.Jobs {
		fmt.Fprintf(stdout, "%s  %-9s  %-9s  %s\n", job.Id, job.Task, job.State, strconv.Itoa(job.Counts.Total)+" items")
	}
	return nil
}
