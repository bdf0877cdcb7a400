package jobs

import (
	"encoding/json"
	"time"

	"consilium/internal/analysis"
)

// Task is what a job does with each of its items.
type Task string

// The tasks.
const (
	Questions Task = "questions" // asks each study each question and stores the answers
	Report    Task = "report"    // writes a report on each study and stores it
	Embed     Task = "embed"     // makes the vectors of each study's artefacts
	Evaluate  Task = "evaluate"  // compares answers or findings with what is known of each study; stores neither
)

// Bounds of a job.
const (
	MaxItems     = 100_000
	MaxQuestions = 20
	// MaxBodyBytes bounds the body of a request for a job, which may name many studies.
	MaxBodyBytes = 1 << 20
	// MaxKeyLength bounds an Idempotency-Key.
	MaxKeyLength = 255
)

// Options say how a task is done. Check says which belong to which task.
type Options struct {
	Questions   []string            `json:"questions,omitempty"`
	Candidates  int                 `json:"candidates,omitempty"`
	ReviewBelow *float64            `json:"review_below,omitempty"`
	Strict      bool                `json:"strict,omitempty"`
	Whole       bool                `json:"whole,omitempty"` // an encoder that is down fails the item
	Model       string              `json:"model,omitempty"` // one that a user brought
	Modalities  []analysis.Modality `json:"modalities,omitempty"`
	// Artefacts are taken in place of the newest of each modality, where the filter names one study.
	Artefacts []string `json:"artefact_ids,omitempty"`
	// Finding is judged in place of a question; Positive are the labels that count as its presence.
	Finding  string   `json:"finding,omitempty"`
	Positive []string `json:"positive,omitempty"`
	// Label names the studies' label that holds what is expected; Expected holds it by study.
	Label    string            `json:"label,omitempty"`
	Expected map[string]string `json:"expected,omitempty"`
}

// Request asks for a job.
type Request struct {
	Task    Task                 `json:"task"`
	Filter  analysis.StudyFilter `json:"filter"`
	Options Options              `json:"options"`
	// Key makes a repeated request the same job, "" if the caller gave none.
	Key string `json:"-"`
}

// State is the state that a job is in.
type State string

// The states of a job.
const (
	Queued    State = "queued" // no item was begun
	Running   State = "running"
	Paused    State = "paused" // items that were begun are finished, no others are begun
	Cancelled State = "cancelled"
	Completed State = "completed" // every item has succeeded or failed
)

// Counts are a job's items by their state.
type Counts struct {
	Total, Queued, Running, Succeeded, Failed, Cancelled int
}

// Job is one job. Its items are made when it is created and do not change in number.
type Job struct {
	ID      string
	Task    Task
	Filter  analysis.StudyFilter // without ids, which the items have
	Options Options
	State   State
	Counts  Counts
	// Skipped is how many studies fit the filter but have nothing to be compared with.
	Skipped int
	// Rate is the items finished per second in the last half minute, or over the whole of a job that is over.
	Rate float64
	// Sequence is the number of the newest change.
	Sequence   int64
	TraceID    string
	CreatedAt  time.Time
	FinishedAt *time.Time
}

// Remaining is how long the rest takes at the present rate; false if nothing is known.
func (j *Job) Remaining() (time.Duration, bool) {
	if j.State != Running || j.Rate <= 0 {
		return 0, false
	}
	return time.Duration(float64(j.Counts.Queued+j.Counts.Running) / j.Rate * float64(time.Second)), true
}

// Over reports whether nothing happens to the job any more unless somebody wants it.
func (j *Job) Over() bool {
	return j.State == Completed || j.State == Cancelled && j.Counts.Running == 0
}

// ItemState is the state that an item is in.
type ItemState string

// The states of an item.
const (
	ItemQueued    ItemState = "queued"
	ItemRunning   ItemState = "running"
	ItemSucceeded ItemState = "succeeded"
	ItemFailed    ItemState = "failed"
	ItemCancelled ItemState = "cancelled"
)

// Item is one study, or one question put to one study.
type Item struct {
	Position   int // from 1
	StudyID    string
	Question   string // "" for tasks without questions
	State      ItemState
	Attempts   int
	Result     *Result          // of one that succeeded, unless its study was deleted
	Problem    *Problem         // of one that failed
	Stages     []analysis.Stage // how long its parts took
	Sequence   int64            // of the change that finished it, 0 before
	FinishedAt *time.Time
}

// Problem is why an item failed, fit for the user.
type Problem struct {
	Code    analysis.Code `json:"code"`
	Message string        `json:"message"`
	Field   string        `json:"field,omitempty"`
	Limit   string        `json:"limit,omitempty"`
	Value   string        `json:"value,omitempty"`
	TraceID string        `json:"trace_id,omitempty"`
}

// Result is what came of an item. Which fields are set depends on the task.
type Result struct {
	AnswerID   string              `json:"answer_id,omitempty"`
	ReportID   string              `json:"report_id,omitempty"`
	Answer     string              `json:"answer,omitempty"` // the most probable one, needs_review or not
	Confidence float64             `json:"confidence,omitempty"`
	Status     analysis.Status     `json:"status,omitempty"`
	Findings   []Finding           `json:"findings,omitempty"`
	Embeddings []Embedding         `json:"embeddings,omitempty"`
	Expected   string              `json:"expected,omitempty"`
	Correct    *bool               `json:"correct,omitempty"`
	Degraded   []analysis.Modality `json:"degraded,omitempty"` // modalities that the result lacks
}

// Finding is a finding of a report in short.
type Finding struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
	Present     bool    `json:"present"`
}

// Embedding is the vector of one artefact.
type Embedding struct {
	ArtefactID string            `json:"artefact_id"`
	Modality   analysis.Modality `json:"modality"`
	Model      string            `json:"model"`
	Vector     []byte            `json:"vector"` // little-endian float32
}

// Canonical is the request as it is compared with another one under the same key.
func (r *Request) Canonical() ([]byte, error) { return json.Marshal(r) }
