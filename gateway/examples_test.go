package gateway

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"consilium"
	"consilium/internal/knowledge/knowledgetest"
)

// TestExamples does what the description shows: every operation with the examples of its parameters and its body succeeds.
// Identifiers are of what is stored, and files are real.
func TestExamples(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	reading := whole(t)
	toRead := reading.known()
	for _, path := range slices.Sorted(maps.Keys(spec.Paths.Map())) {
		item := spec.Paths.Value(path)
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			t.Run(method+" "+path, func(t *testing.T) {
				f, known := reading, toRead
				if method != http.MethodGet {
					f = whole(t)
					known = f.known()
				}
				e := &example{t: t, f: f, known: known}
				operation := item.GetOperation(method)
				target, header := e.target(path, slices.Concat(item.Parameters, operation.Parameters))
				var body io.Reader
				if b := operation.RequestBody; b != nil {
					var contentType string
					contentType, body = e.body(b.Value)
					header.Set("Content-Type", contentType)
				}
				if operation.OperationID == restoreExport {
					body = bytes.NewReader(f.takeExport())
				}
				response, content := f.do(method, target, header, body)
				over := response.StatusCode == http.StatusConflict && operation.RequestBody == nil // a job that is done cannot be paused
				if response.StatusCode >= 400 && !over {
					t.Errorf("the example %s %s is refused: %d %s", method, target, response.StatusCode, content)
				}
			})
		}
	}
}

// whole returns a gateway of which every route has something to answer with.
func whole(t *testing.T) *fixture {
	t.Helper()
	f := measuring(t, false)
	if err := f.deps.Knowledge.Load(context.Background(), knowledgetest.Release(t)); err != nil {
		t.Fatal(err)
	}
	f.work(1)
	return f
}

// known stores something of everything and returns values of path parameters that lead to it, as TOML writes them.
func (f *fixture) known() map[string][]string {
	f.t.Helper()
	study := f.create()
	onStudy := report(f.t, f, study.Id)
	model := f.mustBring("known", "weights")
	uids := f.must(film("1.2.1", "1.2.1.0", "1.2.1.9.0"))[0]
	added, err := f.client.AddFactWithResponse(context.Background(), newFact("FINDING:mass", "suggests", "DOID:114"))
	if err != nil || added.JSON201 == nil {
		f.t.Fatalf("added %s, %v", added.Body, err)
	}
	job := f.createJob(`{"task":"report","filter":{"labels":{"ward":"7"}}}`)
	f.finish(job.Id)
	text := func(values ...string) (quoted []string) {
		for _, value := range values {
			quoted = append(quoted, fmt.Sprintf("%q", value))
		}
		return quoted
	}
	return map[string][]string{
		"study_id": text(study.Id), "doomed": text(f.create().Id, f.create().Id), "artefact_id": text(study.Artefacts[0].Id, study.Artefacts[1].Id),
		"report_id": text(onStudy.Id), "label": text("pneumonia"), "version": {"1"}, "model": text(model.Name),
		"study_uid": text(uids[0]), "series_uid": text(uids[1]), "instance_uid": text(uids[2]), "frames": text("1", "1,2"),
		"job_id": text(job.Id), "term_id": text("DOID:552", "FINDING:mass"), "fact_id": text(*added.JSON201.Fact.Id),
	}
}

// example makes a request of what the description shows.
type example struct {
	t     *testing.T
	f     *fixture
	known map[string][]string
}

func (e *example) target(path string, parameters openapi3.Parameters) (string, http.Header) {
	e.t.Helper()
	query, header := url.Values{}, http.Header{}
	for _, ref := range parameters {
		p := ref.Value
		shown := p.Example
		if shown == nil && p.Schema != nil {
			shown = p.Schema.Value.Example
		}
		switch {
		case p.In == openapi3.ParameterInPath:
			values := e.known[p.Name]
			if len(values) == 0 {
				e.t.Fatalf("no value for {%s}: let known store one", p.Name)
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(strings.Trim(values[0], `"`)))
		case p.Name == "If-Match":
			header.Set(p.Name, e.f.tag(strings.Trim(e.known["report_id"][0], `"`)))
		case shown == nil && p.Required:
			e.t.Fatalf("the parameter %s is required and has no example", p.Name)
		case shown == nil:
		case p.In == openapi3.ParameterInHeader:
			header.Set(p.Name, fmt.Sprint(shown))
		default:
			fields, isObject := shown.(map[string]any) // each a parameter of its own
			if !isObject {
				fields = map[string]any{p.Name: shown}
			}
			for name, value := range fields {
				query.Set(name, fmt.Sprint(value))
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, header
}

// archive is a zip of one picture.
func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	file, err := w.Create("one.png")
	if err == nil {
		_, err = file.Write(picture(9))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// files are what stands for an example of bytes.
var files = map[string][]byte{"image": picture(1), "audio": sound(), "weights": []byte("test")}

func (e *example) body(body *openapi3.RequestBody) (contentType string, content io.Reader) {
	e.t.Helper()
	kind := slices.Sorted(maps.Keys(body.Content))[0]
	media := body.Content[kind]
	switch {
	case kind == multipartForm:
		contentType, b := form(e.parts(media.Schema.Value)...)
		return contentType, bytes.NewReader(b)
	case kind == multipartMany:
		file := film("1.2.1", "1.2.1.0", "1.2.1.9.5") // of the study that is known
		return `multipart/related; type="application/dicom"; boundary=b`, strings.NewReader("--b\r\nContent-Type: application/dicom\r\n\r\n" + string(file) + "\r\n--b--\r\n")
	case media.Schema.Value.Format == "binary":
		return kind, bytes.NewReader(archive(e.t))
	}
	shown := media.Example
	if shown == nil {
		shown = media.Schema.Value.Example
	}
	if shown == nil {
		e.t.Fatalf("the body in %s has no example", kind)
	}
	raw, err := json.Marshal(shown)
	if err != nil {
		e.t.Fatal(err)
	}
	return kind, bytes.NewReader(raw)
}

// parts is a form of everything that has an example.
func (e *example) parts(schema *openapi3.Schema) (items []item) {
	e.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name].Value
		shown := property.Example
		file, isFile := files[name]
		switch {
		case isFile:
			items = append(items, item{name, file})
		case shown == nil && slices.Contains(schema.Required, name):
			e.t.Fatalf("the part %s is required and has no example", name)
		case shown == nil:
		default:
			raw, isText := shown.(string)
			if !isText {
				encoded, err := json.Marshal(shown)
				if err != nil {
					e.t.Fatal(err)
				}
				raw = string(encoded)
			}
			items = append(items, item{name, []byte(raw)})
		}
	}
	return items
}
