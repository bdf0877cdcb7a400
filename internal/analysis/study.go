package analysis

import "time"

// Artefact is one stored piece of content of a study. It never changes.
type Artefact struct {
	ID        string
	Modality  Modality
	MediaType string // found in the bytes, not taken from the upload: image/png, audio/wav, text/plain; charset=utf-8
	Bytes     int64
	SHA256    string // lower-case hex, of the stored bytes
}

// The bounds of what is said of a study.
const (
	MaxTitle      = 200 // characters, as all of these
	MaxAccession  = 64
	MaxLabels     = 32
	MaxLabelName  = 64
	MaxLabelValue = 200
)

// Study is what belongs to one examination: artefacts in the order in which they came.
type Study struct {
	ID        string
	Title     string
	Accession string // the order's number in the user's own system, unique within a tenant; "" if none
	Labels    map[string]string
	// Date is when the examination was, as DateLayout writes it; "" if unknown.
	Date string
	// ImportSHA256 is of everything that an imported study was made of, unique within a tenant; "" for others.
	ImportSHA256 string
	// InstanceUID is the Study Instance UID of a study that came by DICOMweb, as it is stored; "" for others.
	InstanceUID string
	Artefacts   []Artefact
	CreatedAt   time.Time
}

// Artefact returns the study's artefact with this id, nil if there is none.
func (s *Study) Artefact(id string) *Artefact {
	for i := range s.Artefacts {
		if s.Artefacts[i].ID == id {
			return &s.Artefacts[i]
		}
	}
	return nil
}

// Stage is how long one step of an analysis took.
type Stage struct {
	Name    string  `json:"name"` // text, image, audio, segmentation, reliance (what is asked besides), fusion (all that is asked), total
	Seconds float64 `json:"seconds"`
}

// Answer is one question put to a study, with what came out.
type Answer struct {
	ID       string
	StudyID  string
	Question string
	Strict   bool
	// Artefacts are the ones that the answer rests on, at most one of each modality.
	Artefacts []Artefact
	// OfArtefacts, if not 0, is how many artefacts the study had when these were chosen; see Store.CreateAnswer.
	OfArtefacts int
	Result      *Result
	// ReviewBelow is the confidence below which Status is NeedsReview.
	ReviewBelow float64
	Status      Status
	Stages      []Stage
	TraceID     string
	CreatedAt   time.Time
}

// Sentence is one statement of a report. Each rests on at least one finding or measurement.
type Sentence struct {
	Text         string        `json:"text"`
	Evidence     []Finding     `json:"evidence"`
	Measurements []Measurement `json:"measurements,omitempty"`
	// WrittenBy is ByPerson if a person wrote Text, "" for the platform.
	WrittenBy string `json:"written_by,omitempty"`
}

// ByPerson marks what a person wrote.
const ByPerson = "person"

// Section is one part of a report: findings, measurements or impression.
type Section struct {
	Name      string     `json:"name"`
	Sentences []Sentence `json:"sentences"`
}

// Omission says which modality a report could not assess, and why.
type Omission struct {
	Modality Modality `json:"modality"`
	Reason   string   `json:"reason"`
}

// Narrative is the written part of a report.
type Narrative struct {
	Status      string     `json:"status,omitempty"` // preliminary as the platform writes it; a Store keeps it as events
	Disclaimer  string     `json:"disclaimer"`
	Sections    []Section  `json:"sections"`
	NotAssessed []Omission `json:"not_assessed"`
}

// DiagnosticReport is one report on a study, with the result that it was written from.
type DiagnosticReport struct {
	ID        string
	StudyID   string
	Strict    bool
	Artefacts []Artefact // as in Answer
	Narrative Narrative
	Result    *Result
	Stages    []Stage
	TraceID   string
	CreatedAt time.Time
	// Version is which version Narrative is: 1 for the platform's. VersionAt is when it was written.
	Version   int
	VersionAt time.Time
	// Events is everything that was done with the report, oldest first.
	Events []ReportEvent
}
