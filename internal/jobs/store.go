package jobs

import (
	"context"

	"consilium/internal/analysis"
)

// Action is what a person does with a job.
type Action string

// The actions. Those that the state does not allow are a Conflict.
const (
	Pause  Action = "pause"
	Resume Action = "resume"
	Cancel Action = "cancel"
	Retry  Action = "retry" // of the items that failed
)

// Store keeps jobs, each visible to the context's tenant alone: what belongs to another tenant is NotFound.
type Store interface {
	// CreateJob makes a job with its items, all in one transaction. If the tenant has a job with the request's key it
	// returns that, with replayed set, or InvalidArgument if that one was asked for in other words.
	CreateJob(ctx context.Context, request *Request, traceID string) (job *Job, replayed bool, err error)
	// Job returns one job.
	Job(ctx context.Context, id string) (*Job, error)
	// Jobs returns one page of jobs, newest first.
	Jobs(ctx context.Context, page analysis.Page) ([]Job, error)
	// ControlJob does something with a job and returns what it is then.
	ControlJob(ctx context.Context, id string, action Action) (*Job, error)
	// JobItems returns the items after a position, in their order; those in a state, if one is given.
	JobItems(ctx context.Context, id string, state ItemState, after, limit int) ([]Item, error)
	// JobChanges returns the items that were finished after a sequence number, in the order of their finishing.
	JobChanges(ctx context.Context, id string, after int64, limit int) ([]Item, error)
	// JobEvaluation sums up what a job of the task Evaluate has found so far.
	JobEvaluation(ctx context.Context, id string) (*Evaluation, error)
}

// Work is one item to be worked on.
type Work struct {
	JobID    string
	Position int
	Task     Task
	Options  Options
	StudyID  string
	Question string
	Expected string
}

// Outcome is what came of Work. An answer or a report is stored with it.
type Outcome struct {
	Result *Result
	Answer *analysis.Answer
	Report *analysis.DiagnosticReport
	Stages []analysis.Stage
}

// Perform does the work on one item. An error with a code that can go away by itself is tried again.
type Perform func(ctx context.Context, work *Work) (*Outcome, error)

// Passing reports whether what failed with this code may succeed when it is tried again.
func Passing(code analysis.Code) bool {
	switch code {
	case analysis.Overloaded, analysis.Unavailable, analysis.BadUpstream, analysis.Canceled, analysis.Internal:
		return true
	}
	return false
}
