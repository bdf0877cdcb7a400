package knowledge

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

// findingsTable maps the labels of radiographs to terms. The hierarchy is that of CheXpert (Irvin et al., AAAI 2019,
// figure 1), to which the labels of NIH ChestX-ray14 are added; the columns same_as and suggests are our reading of
// the Disease Ontology, and so is that a film is either without finding or abnormal.
//
//go:embed findings.tsv
var findingsTable []byte

// sourceOwn is the source of what findings.tsv says.
const sourceOwn = "Consilium"

// finding is a row of findings.tsv.
type finding struct {
	term    Term
	isA     string
	sameAs  []string
	suggest []string
	phrases string // the file of phrases, without .txt
}

// readFindings reads findings.tsv.
func readFindings() ([]finding, error) {
	var rows []finding
	for i, line := range strings.Split(strings.TrimSpace(string(findingsTable)), "\n") {
		if i == 0 {
			continue
		}
		var cells [7]string
		if copy(cells[:], strings.Split(line, "\t")) < 2 {
			return nil, fmt.Errorf("findings.tsv, line %d: want an id and a name", i+1)
		}
		rows = append(rows, finding{
			term: Term{ID: cells[0], Kind: Finding, Name: cells[1], Synonyms: list(cells[5]), Source: sourceOwn},
			isA:  cells[2], sameAs: list(cells[3]), suggest: list(cells[4]), phrases: cells[6],
		})
	}
	return rows, nil
}

func list(cell string) []string {
	if cell == "" {
		return nil
	}
	return strings.Split(cell, "|")
}

// Own is the release of findings.tsv alone: what there is without a folder of ontologies.
func Own() (*Release, error) {
	b := newBuilder()
	if err := b.findings(nil); err != nil {
		return nil, err
	}
	return b.release("the findings of radiographs")
}

// findings adds the terms of findings.tsv, with the phrases of files by name, and those of its edges that reach a term.
func (b *builder) findings(phrases map[string][]byte) error {
	rows, err := readFindings()
	if err != nil {
		return err
	}
	for _, row := range rows {
		for line := range bytes.Lines(phrases[row.phrases]) {
			if phrase := strings.Trim(strings.TrimSpace(string(line)), "_"); phrase != "" {
				row.term.Phrases = append(row.term.Phrases, phrase)
			}
		}
		b.term(row.term)
	}
	for _, row := range rows {
		if row.isA != "" {
			b.edge(row.term.ID, IsA, row.isA, sourceOwn)
		}
		for _, disease := range row.sameAs {
			b.edge(row.term.ID, SameAs, disease, sourceOwn)
		}
		for _, disease := range row.suggest {
			b.edge(row.term.ID, Suggests, disease, sourceOwn)
		}
	}
	b.edge("FINDING:abnormality", DisjointWith, "FINDING:no_finding", sourceOwn)
	return nil
}

// terms maps the label of a finding to the id of its term.
var terms = sync.OnceValue(func() map[string]string {
	rows, err := readFindings()
	if err != nil {
		panic(err) // the table is part of the program
	}
	ids := map[string]string{}
	for _, row := range rows {
		for _, label := range row.term.Synonyms {
			ids[label] = row.term.ID
		}
	}
	return ids
})

// TermOf returns the id of the term of a finding's label, such as Effusion; ok is false for a label that the graph has no
// term for, such as one of a model that a user brought.
func TermOf(label string) (id string, ok bool) {
	id, ok = terms()[label]
	return id, ok
}
