package analysis

import (
	"strings"
	"unicode/utf8"
)

// Task says what is asked of the fusion.
type Task string

const (
	// Question asks for the answer to one question.
	Question Task = "question"
	// Report asks for the findings.
	Report Task = "report"
)

// Request is one analysis: raw content in, a Result out. The zero value of each content field means that
// the modality is absent. The analyzer does not keep or change the byte slices.
type Request struct {
	Task     Task
	Question string // what is asked; required for Task Question
	Text     string // a note that belongs to the study
	Image    []byte // an encoded picture (JPEG, PNG)
	Audio    []byte // an encoded sound (WAV)
	// Strict refuses, instead of reporting, an input that would have to be cut.
	Strict bool
	// Candidates is how many answers to return, 0 for DefaultCandidates.
	Candidates int
	// Whole refuses, instead of answering from what is left, when an encoder is down.
	Whole bool
	// FindingsOnly leaves a report without measurements and words, which are more work than its findings.
	FindingsOnly bool
}

// DefaultCandidates is how many answers are returned when a request does not say.
const DefaultCandidates = 5

// MaxCandidates is the most answers that a request may ask for.
const MaxCandidates = 100

// MaxQuestionBytes bounds the question; the text encoder cuts at 256 tokens long before.
const MaxQuestionBytes = 4096

// MaxTextBytes bounds a note.
const MaxTextBytes = 64 << 10

// Validate returns an InvalidArgument or TooLarge error that names the field at fault.
func (r *Request) Validate() error {
	switch r.Task {
	case Question:
		if strings.TrimSpace(r.Question) == "" {
			return Invalid("question", "a question needs text")
		}
	case Report:
		if r.Question != "" {
			return Invalid("question", "a report takes no question")
		}
		if r.Text == "" && len(r.Image) == 0 && len(r.Audio) == 0 {
			return Invalid("study", "a report needs a text, an image or a sound")
		}
	default:
		return Invalid("task", "unknown task %q", r.Task)
	}
	for _, t := range []struct {
		field, text string
		max         int
	}{{"question", r.Question, MaxQuestionBytes}, {"text", r.Text, MaxTextBytes}} {
		if err := ValidateText(t.field, t.text, t.max); err != nil {
			return err
		}
	}
	if r.Candidates < 0 || r.Candidates > MaxCandidates {
		return Invalid("candidates", "want 0 to %d, found %d", MaxCandidates, r.Candidates)
	}
	return nil
}

// ValidateText returns an error that names field if text is longer than max bytes, is not UTF-8 or holds a NUL,
// which Postgres cannot store.
func ValidateText(field, text string, max int) error {
	if len(text) > max {
		return &Error{Code: TooLarge, Field: field, Message: "text is too long", Limit: bytesString(max), Value: bytesString(len(text))}
	}
	if !utf8.ValidString(text) {
		return Invalid(field, "text is not valid UTF-8")
	}
	if strings.ContainsRune(text, 0) {
		return Invalid(field, "text holds a NUL character")
	}
	return nil
}
