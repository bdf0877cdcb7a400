package analysis

import (
	"context"
	"encoding/json"
)

// The media types that are stored under a fixed name.
const (
	TextMediaType  = "text/plain; charset=utf-8"
	DICOMMediaType = "application/dicom"
)

// Instance is one instance of DICOM, such as a radiograph or a slice, as it is stored. A DICOM study is a study, and its
// instances are image artefacts of it. UIDs are those of the stored bytes, so after de-identification.
type Instance struct {
	StudyUID, SeriesUID, UID string
	// TransferSyntax is the UID of the encoding of the bytes.
	TransferSyntax string
	// Patient tells the patient of the study from any other; two instances of one study have the same.
	Patient []byte
	// StudyAttributes and SeriesAttributes are what searches find of the levels above, Metadata is everything but pixels;
	// each an object of the DICOM JSON model (PS3.18 annex F).
	StudyAttributes, SeriesAttributes, Metadata json.RawMessage
	// Title and Note are for the study if this is its first instance: its title, and a text artefact, none if "".
	Title, Note string

	// Position orders the instances of a study.
	Position int
	// Artefact holds the bytes.
	Artefact Artefact
}

// InstancePage asks for instances of one study in the order in which they came.
type InstancePage struct {
	StudyUID       string
	SeriesUID, UID string // "" for any
	After          int    // the position of the last instance that was seen, -1 for the start
	Limit          int
	Metadata       bool // whether Metadata is wanted
}

// Level is what a search of DICOM finds.
type Level int

// The levels of the query model, each within the one before (PS3.18 section 10.6).
const (
	StudyLevel Level = iota
	SeriesLevel
	InstanceLevel
)

// MatchKind says how a value is compared (PS3.4 section C.2.2.2).
type MatchKind int

// The kinds of matching.
const (
	MatchAny      MatchKind = iota // one of Values
	MatchWildcard                  // Values[0], in which * stands for any characters and ? for one
	MatchName                      // as MatchWildcard, small letters as large ones, in any group of a person's name
	MatchRange                     // from Values[0] to Values[1], either may be ""
)

// Match is one condition of a search.
type Match struct {
	Level  Level
	Tag    string // eight digits in upper-case hex, as in the DICOM JSON model
	Kind   MatchKind
	Values []string
}

// ModalitiesInStudy is the tag of the condition on the modalities of all series of a study.
const ModalitiesInStudy = "00080061"

// InstanceQuery is a search.
type InstanceQuery struct {
	Level               Level
	StudyUID, SeriesUID string // what to search in, "" for everything
	Matches             []Match
	// Fields are the tags that are wanted of an instance, as in Match; nil for all.
	Fields        []string
	Limit, Offset int
}

// InstanceMatch is what a search found: one thing of its level, with those above it.
type InstanceMatch struct {
	StudyUID, SeriesUID, UID string
	// Study, Series and Instance are attributes in the DICOM JSON model, nil below the level of the search.
	Study, Series, Instance json.RawMessage
	// Modalities are those of the study's series.
	Modalities                                   []string
	StudySeries, StudyInstances, SeriesInstances int
}

// OtherBytes is the Field of the Conflict of an instance whose UID is stored with other bytes.
const OtherBytes = "uid"

// InstanceStore keeps instances of DICOM, with the rules of Store.
type InstanceStore interface {
	// Secret returns the 32 bytes that this installation alone knows under a name; they are made when first asked for.
	Secret(ctx context.Context, name string) ([]byte, error)
	// StoreInstance stores an instance, its series and its study as far as they are not there, and sets its artefact and
	// position. The same bytes may be stored again. It is a Conflict if the study is of another patient, if the UID has
	// other bytes, or if it, or its series, belongs to another study; the error's Field is "patient", OtherBytes or "study".
	StoreInstance(ctx context.Context, instance *Instance, content []byte) error
	// Instances returns one page of instances, none if there are no more.
	Instances(ctx context.Context, page InstancePage) ([]Instance, error)
	// SearchInstances returns what matches: the newest study first, what belongs together in the order in which it came.
	SearchInstances(ctx context.Context, query InstanceQuery) ([]InstanceMatch, error)
}

// Record is what the record says about a picture without looking at it.
type Record struct {
	Kind string // such as Chest radiograph
	View string // such as PA, "" if unknown
	Age  string // with its unit, such as "63 year", "" if unknown
	Sex  string // M or F, anything else if unknown
}

// Note returns the record as a note beside the picture, in the words in which the models learnt such notes.
func (r Record) Note() string {
	note := r.Kind
	if r.View != "" {
		note += ", " + r.View + " view"
	}
	patient := "patient"
	switch r.Sex {
	case "M":
		patient = "man"
	case "F":
		patient = "woman"
	}
	if r.Age != "" {
		patient = r.Age + " old " + patient
	}
	return note + ", " + patient + "."
}
