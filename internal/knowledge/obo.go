package knowledge

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// obo reads the terms of a file in the OBO flat file format, version 1.2 or 1.4
// (https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html): id, name, def, synonym, is_a and disjoint_from of
// terms that are not obsolete. It returns the file's data-version.
func (b *builder) obo(content []byte) (version string, err error) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 1<<20)
	var stanza string // "" for the header
	var term Term
	var obsolete bool
	var edges []Fact
	end := func() error {
		if stanza != "[Term]" || obsolete {
			return nil
		}
		if err := checkTerm(term.ID, term.Name); err != nil {
			return err
		}
		term.Kind, term.Source = Disease, sourceDO
		b.term(term)
		for _, e := range edges {
			if !TermID.MatchString(e.Object) {
				return fmt.Errorf("%s: want an id like %s, found %q", term.ID, TermID, clip(e.Object))
			}
			b.edge(term.ID, e.Relation, e.Object, sourceDO)
		}
		if len(b.terms) > maxReleaseTerms || len(b.edges) > maxReleaseEdges {
			return fmt.Errorf("the limit is %d terms and %d edges, there are more", maxReleaseTerms, maxReleaseEdges)
		}
		return nil
	}
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			if err := end(); err != nil {
				return "", fmt.Errorf("before line %d: %w", n, err)
			}
			stanza, term, obsolete, edges = line, Term{}, false, nil
			continue
		}
		tag, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		if tag == "data-version" && stanza == "" {
			version = release(value)
		}
		switch tag {
		case "id":
			term.ID = value
		case "name":
			term.Name = unescape(value)
		case "def":
			text, err := quoted(value)
			if err != nil {
				return "", fmt.Errorf("line %d: %w", n, err)
			}
			term.Definition = strings.ToValidUTF8(text[:min(len(text), maxTextBytes)], "")
		case "synonym":
			text, err := quoted(value)
			if err != nil {
				return "", fmt.Errorf("line %d: %w", n, err)
			}
			if text != "" && len(text) <= maxNameBytes {
				term.Synonyms = append(term.Synonyms, text)
			}
		case "is_a", "disjoint_from":
			relation := IsA
			if tag == "disjoint_from" {
				relation = DisjointWith
			}
			id, _, _ := strings.Cut(value, " ")
			edges = append(edges, Fact{Relation: relation, Object: id})
		case "is_obsolete":
			obsolete = value == "true"
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return version, end()
}

// release returns the date in doid/releases/DATE/….
func release(version string) string {
	_, rest, ok := strings.Cut(version, "releases/")
	if !ok {
		return clip(version)
	}
	date, _, _ := strings.Cut(rest, "/")
	return "release " + clip(date)
}

// quoted returns the text between the first pair of quotes, without escapes.
func quoted(value string) (string, error) {
	if !strings.HasPrefix(value, `"`) {
		return "", fmt.Errorf("want a text in quotes, found %q", clip(value))
	}
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			return unescape(value[1:i]), nil
		}
	}
	return "", fmt.Errorf("a text in quotes does not end: %q", clip(value))
}

// unescape replaces the escapes of the format by what they stand for.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n', 't', 'W':
			b.WriteByte(' ')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
