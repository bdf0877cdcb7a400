// Package reportpage writes a report as one page of HTML that loads nothing.
package reportpage

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's files
	"encoding/base64"
	"fmt"
	"html/template"

	"consilium/internal/analysis"
	"consilium/internal/reportdoc"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageStyle string
)

var page = template.Must(template.New("page").Parse(pageHTML))

// Policy is the Content-Security-Policy of every page: its own style, pictures inside it, and nothing else.
var Policy = "default-src 'none'; style-src '" + hash(pageStyle) + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

// hash names an inline source as Content Security Policy Level 3 does.
func hash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// picture is one picture inside the page.
type picture struct {
	Source  template.URL
	Caption string
}

type sentence struct {
	Text     string
	Evidence []string
}

type section struct {
	Name      string
	Sentences []sentence
}

// Write returns the page in UTF-8. Every text in it is escaped.
func Write(d *reportdoc.Document) ([]byte, error) {
	r := d.Report
	var pictures []picture
	for _, p := range []struct {
		png     []byte
		caption string
	}{{d.Picture, "The image that the report rests on"}, {d.Drawing, "Where the model saw what; nobody has reviewed the masks"}} {
		if p.png != nil {
			pictures = append(pictures, picture{template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(p.png)), p.caption})
		}
	}
	var sections []section
	for _, s := range r.Narrative.Sections {
		out := section{Name: reportdoc.Plain(s.Name)}
		for i := range s.Sentences {
			out.Sentences = append(out.Sentences, sentence{reportdoc.Plain(s.Sentences[i].Text), d.Evidence(&s.Sentences[i])})
		}
		sections = append(sections, out)
	}
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		Title, Disclaimer    string
		Style                template.CSS
		Status               analysis.ReportStatus
		Standing             []string
		Pictures             []picture
		Bars                 []reportdoc.Bar
		Sections             []section
		Limits, History      []string
		Models               []reportdoc.Model
		Artefacts            []analysis.Artefact
		ID, StudyID, TraceID string
		Version              int
	}{
		d.Title(), reportdoc.Plain(r.Narrative.Disclaimer), template.CSS(pageStyle), r.Status(), d.Standing(), pictures, d.Bars(), sections, d.Limits(), d.History(),
		d.Models(), r.Artefacts, r.ID, r.StudyID, r.TraceID, r.Version,
	})
	if err != nil {
		return nil, fmt.Errorf("write the page of report %s: %w", r.ID, err)
	}
	return b.Bytes(), nil
}
