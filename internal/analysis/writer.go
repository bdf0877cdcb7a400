package analysis

import "context"

// Assertion is that an observation is there, or not. Observation is the name that CheXpert has for it.
type Assertion struct {
	Observation string `json:"observation"`
	Present     bool   `json:"present"`
}

// The sides on which opacities were measured.
const (
	RightSide = "right"
	LeftSide  = "left"
	BothSides = "both"
)

// Statement is what one sentence of a report is to say, and nothing else.
type Statement struct {
	Asserts []Assertion `json:"asserts"` // at least one
	// Side is where opacities were measured, "" if that is not known.
	Side string `json:"side,omitempty"`
	// GroundGlass says that ground glass was measured.
	GroundGlass bool `json:"ground_glass,omitempty"`
}

// MaxDrafts is the most drafts that a request may ask for.
const MaxDrafts = 16

// SentenceRequest asks for the words of one sentence.
type SentenceRequest struct {
	Statement Statement
	// Image is the picture that findings were judged from, as its encoder saw it.
	Image *Features
	// Findings are all that were judged, with their probabilities.
	Findings []Finding
	// Drafts is how many are wanted at most, 1 or more.
	Drafts int
}

// Drafts are sentences that may say what a statement wants, the best first. Whoever uses one checks it.
type Drafts struct {
	Texts []string
	Model string // the digest of the model that wrote them
}

// SentenceWriter writes sentences of reports.
type SentenceWriter interface {
	WriteSentence(ctx context.Context, request *SentenceRequest) (*Drafts, error)
}

// Wording is one sentence that was written for a statement.
type Wording struct {
	Section   string    `json:"section"`
	Statement Statement `json:"statement"`
	Text      string    `json:"text"`
}
