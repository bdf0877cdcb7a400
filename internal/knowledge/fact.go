package knowledge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"consilium/internal/analysis"
)

// What one call and one tenant may ask for.
const (
	MaxDepth      = 6     // edges from the first term to the last of a neighbourhood
	MaxPathDepth  = 12    // edges of a path
	MaxTerms      = 500   // terms of one answer
	MaxStarts     = 32    // terms that a neighbourhood begins at
	MaxFacts      = 10000 // facts that a tenant adds
	MaxVersions   = 16    // versions of a graph that are kept
	MaxQueryBytes = 200   // a name that is looked for
	MaxWordBytes  = 500   // a field of a fact's provenance
)

// Kind is what a term stands for.
type Kind string

// The kinds of terms.
const (
	Disease Kind = "disease"
	Finding Kind = "finding"
)

// Term is a node of the graph. All terms belong to the static layer.
type Term struct {
	ID         string   `json:"id"` // such as DOID:552 or FINDING:pneumonia
	Kind       Kind     `json:"kind"`
	Name       string   `json:"name"`
	Definition string   `json:"definition,omitempty"`
	Synonyms   []string `json:"synonyms,omitempty"`
	Phrases    []string `json:"phrases,omitempty"` // words by which reports mention it, of which some are beginnings only
	Source     string   `json:"source"`
}

// Relation is the kind of an edge.
type Relation string

// The relations. What each may join is in schemas.
const (
	IsA          Relation = "is_a"
	DisjointWith Relation = "disjoint_with" // nothing is both; has no direction
	SameAs       Relation = "same_as"
	Suggests     Relation = "suggests"
	RulesOut     Relation = "rules_out"
	MayCause     Relation = "may_cause"
)

// Relations are all relations, sorted.
var Relations = []Relation{DisjointWith, IsA, MayCause, RulesOut, SameAs, Suggests}

// schemas says which kinds of terms a relation joins, "" for any.
var schemas = map[Relation]struct {
	subject, object Kind
	sameKind        bool
}{
	IsA:          {sameKind: true},
	DisjointWith: {sameKind: true},
	SameAs:       {subject: Finding, object: Disease},
	Suggests:     {subject: Finding, object: Disease},
	RulesOut:     {subject: Finding, object: Disease},
	MayCause:     {subject: Disease},
}

// Fact is an edge of the graph, or the statement that there is none.
type Fact struct {
	ID       string   `json:"id,omitempty"` // "" for the static layer
	Subject  string   `json:"subject"`
	Relation Relation `json:"relation"`
	Object   string   `json:"object"`
	Negated  bool     `json:"negated,omitempty"`
	// Source names the collection that a fact of the static layer comes from, "" for a fact that was added.
	Source string `json:"source,omitempty"`
	// Provenance is set for a fact that was added.
	Provenance *Provenance `json:"provenance,omitempty"`
	Seq        int         `json:"seq,omitempty"` // the place in the journal of its version, from 1
	CreatedAt  time.Time   `json:"created_at,omitzero"`
}

// Provenance says where an added fact comes from.
type Provenance struct {
	Source     string  `json:"source"`              // who or what says so
	Reference  string  `json:"reference,omitempty"` // where it can be read
	Confidence float64 `json:"confidence"`          // 0 to 1
}

// Static reports whether the fact belongs to the static layer.
func (f *Fact) Static() bool { return f.ID == "" }

// String names a fact in one line.
func (f *Fact) String() string {
	not, who := "", f.Source
	if f.Negated {
		not = "not "
	}
	if !f.Static() {
		who = "fact " + f.ID
	}
	return fmt.Sprintf("%s%s %s %s (%s)", not, f.Subject, f.Relation, f.Object, who)
}

// triple is what makes two facts be about the same.
type triple struct {
	subject  string
	relation Relation
	object   string
}

func (f *Fact) triple() triple { return triple{f.Subject, f.Relation, f.Object} }

// TermID is the form of a term's name.
var TermID = regexp.MustCompile(`^[A-Z][A-Za-z]{1,15}:[A-Za-z0-9_]{1,40}$`)

// normalise checks all of a new fact that can be checked without the graph, and gives a fact without direction its one form.
func (f *Fact) normalise() error {
	for _, end := range []struct{ field, id string }{{"subject", f.Subject}, {"object", f.Object}} {
		if !TermID.MatchString(end.id) {
			return &analysis.Error{Code: analysis.InvalidArgument, Field: end.field, Message: "this is no name of a term", Limit: TermID.String(), Value: clip(end.id)}
		}
	}
	if _, ok := schemas[f.Relation]; !ok {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: "relation", Message: "the relation is unknown", Limit: fmt.Sprint(Relations), Value: clip(string(f.Relation))}
	}
	if f.Subject == f.Object {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: "object", Message: "a fact joins two different terms", Value: f.Object}
	}
	if f.Relation == DisjointWith && f.Subject > f.Object {
		f.Subject, f.Object = f.Object, f.Subject
	}
	p := f.Provenance
	if p == nil || strings.TrimSpace(p.Source) == "" {
		return analysis.Invalid("provenance.source", "a fact says who or what it comes from")
	}
	for _, word := range []struct{ field, text string }{{"provenance.source", p.Source}, {"provenance.reference", p.Reference}} {
		if len(word.text) > MaxWordBytes || !utf8.ValidString(word.text) || strings.ContainsRune(word.text, 0) {
			return &analysis.Error{Code: analysis.InvalidArgument, Field: word.field, Message: "the text is too long or not UTF-8",
				Limit: fmt.Sprintf("%d bytes", MaxWordBytes), Value: fmt.Sprintf("%d bytes", len(word.text))}
		}
	}
	if !(p.Confidence >= 0 && p.Confidence <= 1) {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: "provenance.confidence", Message: "the confidence is no probability", Limit: "0 to 1", Value: fmt.Sprint(p.Confidence)}
	}
	return nil
}

// fits checks that a fact joins terms of the kinds that its relation joins.
func (f *Fact) fits(subject, object Kind) error {
	s := schemas[f.Relation]
	switch {
	case s.subject != "" && subject != s.subject:
		return kindError("subject", f.Relation, string(s.subject), subject)
	case s.object != "" && object != s.object:
		return kindError("object", f.Relation, string(s.object), object)
	case s.sameKind && subject != object:
		return kindError("object", f.Relation, "the kind of the subject, "+string(subject), object)
	}
	return nil
}

func kindError(field string, r Relation, want string, found Kind) error {
	return &analysis.Error{Code: analysis.InvalidArgument, Field: field, Message: fmt.Sprintf("%s does not join this kind of term", r), Limit: want, Value: string(found)}
}

// Key is the form in which names are compared: small letters, one space between words.
func Key(name string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.ToLower(name), "_", " ")), " ")
}

// clip shortens what is shown back to whoever sent it.
func clip(s string) string {
	const most = 64
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// Keys returns the keys by which a term is found, sorted.
func (t *Term) Keys() []string {
	keys := []string{Key(t.Name)}
	for _, name := range slices.Concat(t.Synonyms, t.Phrases) {
		keys = append(keys, Key(name))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
