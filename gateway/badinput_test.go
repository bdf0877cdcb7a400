package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"consilium/internal/analysis"
)

const nobody = "0198c0de-0000-7000-8000-000000000000"

// badRequest is a request that must be refused.
type badRequest struct {
	name   string
	method string // POST if empty
	path   string
	kind   string // the Content-Type
	header http.Header
	body   any // string, []byte or io.Reader
	status int
	field  string // exactly
	limit  string // within
	value  string // within
}

// refuse sends each request and checks what comes back; nothing may be stored.
func refuse(t *testing.T, f *fixture, requests []badRequest) {
	for _, r := range requests {
		t.Run(r.name, func(t *testing.T) {
			g := *f
			g.t = t
			var body io.Reader
			switch b := r.body.(type) {
			case string:
				body = strings.NewReader(b)
			case []byte:
				body = bytes.NewReader(b)
			case io.Reader:
				body = b
			}
			header := http.Header{}
			if r.kind != "" {
				header.Set("Content-Type", r.kind)
			}
			for name, values := range r.header {
				header[name] = values
			}
			method := r.method
			if method == "" {
				method = http.MethodPost
			}
			files := g.files()
			response, content := g.do(method, r.path, header, body)
			problem := g.problem(response, content)
			if problem.Status != r.status || get(problem.Field) != r.field || !strings.Contains(get(problem.Limit), r.limit) || !strings.Contains(get(problem.Value), r.value) {
				t.Errorf("answered %d field %q limit %q value %q: %s\nwant %d field %q limit %q value %q", problem.Status, get(problem.Field), get(problem.Limit), get(problem.Value), problem.Detail,
					r.status, r.field, r.limit, r.value)
			}
			if problem.Detail == "" || problem.Title == "" || !strings.HasPrefix(problem.Type, "urn:consilium:problem:") {
				t.Errorf("the problem is %+v", problem)
			}
			if n := g.files(); n != files {
				t.Errorf("a refused request left %d files", n-files)
			}
		})
	}
}

func get(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

const jsonKind = "application/json"

func TestBadJSON(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	ask := "/v1/studies/" + study.Id + "/questions"
	text, image := study.Artefacts[0].Id, study.Artefacts[1].Id
	refuse(t, f, []badRequest{
		{name: "empty", path: ask, kind: jsonKind, body: "", status: 400, field: "body"},
		{name: "cut off", path: ask, kind: jsonKind, body: `{"question":"wh`, status: 400, field: "question", value: "byte"},
		{name: "not JSON", path: ask, kind: jsonKind, body: `question=x`, status: 400, field: "body"},
		{name: "two values", path: ask, kind: jsonKind, body: `{"question":"x"} {}`, status: 400, field: "body"},
		{name: "not an object", path: ask, kind: jsonKind, body: `["x"]`, status: 422, field: "body", limit: "object", value: "1 items"},
		{name: "null", path: ask, kind: jsonKind, body: `null`, status: 422, field: "body"},
		{name: "unknown field", path: ask, kind: jsonKind, body: `{"question":"x","patient":"y"}`, status: 422, field: "patient"},
		{name: "field twice", path: ask, kind: jsonKind, body: `{"question":"x","question":"y"}`, status: 422, field: "question"},
		{name: "missing question", path: ask, kind: jsonKind, body: `{}`, status: 422, field: "question"},
		{name: "empty question", path: ask, kind: jsonKind, body: `{"question":""}`, status: 422, field: "question", limit: "1 to 4096 characters"},
		{name: "blank question", path: ask, kind: jsonKind, body: `{"question":"  \n"}`, status: 422, field: "question"},
		{name: "long question", path: ask, kind: jsonKind, body: `{"question":"` + strings.Repeat("x", 4097) + `"}`, status: 422, field: "question", limit: "4096", value: "4097 characters"},
		{name: "many bytes", path: ask, kind: jsonKind, body: `{"question":"` + strings.Repeat("ä", 4096) + `"}`, status: 413, field: "question", limit: "4096 bytes", value: "8192 bytes"},
		{name: "number as question", path: ask, kind: jsonKind, body: `{"question":1}`, status: 422, field: "question", limit: "string", value: "1"},
		{name: "NUL", path: ask, kind: jsonKind, body: `{"question":"a\u0000b"}`, status: 422, field: "question"},
		{name: "half a character", path: ask, kind: jsonKind, body: `{"question":"a\ud83d"}`, status: 422, field: "question"},
		{name: "the other half", path: ask, kind: jsonKind, body: `{"question":"\\\udc00\ud83d\ude00"}`, status: 422, field: "question"},
		{name: "the halves the wrong way round", path: ask, kind: jsonKind, body: `{"question":"\uDE00\uD83D"}`, status: 422, field: "question"},
		{name: "half a character in a name", path: ask, kind: jsonKind, body: `{"question\ud83d":"a"}`, status: 422, field: "question\uFFFD"},
		{name: "NUL in a name", path: ask, kind: jsonKind, body: `{"question\u0000":"a"}`, status: 422, field: "question\x00"},
		{name: "invalid UTF-8", path: ask, kind: jsonKind, body: "{\"question\":\"\xff\"}", status: 400, field: "body"},
		{name: "deep", path: ask, kind: jsonKind, body: `{"question":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, status: 400, field: deepField, limit: "16 levels"},
		{name: "huge number", path: ask, kind: jsonKind, body: `{"question":"x","candidates":1e999}`, status: 400, field: "body"},
		{name: "candidates 0", path: ask, kind: jsonKind, body: `{"question":"x","candidates":0}`, status: 422, field: "candidates", limit: "1 to 100", value: "0"},
		{name: "candidates 101", path: ask, kind: jsonKind, body: `{"question":"x","candidates":101}`, status: 422, field: "candidates", limit: "1 to 100", value: "101"},
		{name: "candidates 1.5", path: ask, kind: jsonKind, body: `{"question":"x","candidates":1.5}`, status: 422, field: "candidates", limit: "integer", value: "1.5"},
		{name: "review below -0.1", path: ask, kind: jsonKind, body: `{"question":"x","review_below":-0.1}`, status: 422, field: "review_below", limit: "0 to 1", value: "-0.1"},
		{name: "review below 1.5", path: ask, kind: jsonKind, body: `{"question":"x","review_below":1.5}`, status: 422, field: "review_below", limit: "0 to 1", value: "1.5"},
		{name: "review below text", path: ask, kind: jsonKind, body: `{"question":"x","review_below":"NaN"}`, status: 422, field: "review_below", limit: "number", value: "NaN"},
		{name: "review below null", path: ask, kind: jsonKind, body: `{"question":"x","review_below":null}`, status: 422, field: "review_below", value: "null"},
		{name: "review below NaN, which is no JSON", path: ask, kind: jsonKind, body: `{"question":"x","review_below":NaN}`, status: 400, field: "review_below"},
		{name: "degraded unknown", path: ask, kind: jsonKind, body: `{"question":"x","degraded":"perhaps"}`, status: 422, field: "degraded", limit: "accept refuse", value: "perhaps"},
		{name: "degraded boolean", path: ask, kind: jsonKind, body: `{"question":"x","degraded":true}`, status: 422, field: "degraded", limit: "accept refuse", value: "true"},
		{name: "status is not asked for", path: ask, kind: jsonKind, body: `{"question":"x","status":"answered"}`, status: 422, field: "status"},
		{name: "report: degraded unknown", path: "/v1/studies/" + study.Id + "/reports", kind: jsonKind, body: `{"degraded":"no"}`, status: 422, field: "degraded", limit: "accept refuse", value: "no"},
		{name: "report: has no threshold", path: "/v1/studies/" + study.Id + "/reports", kind: jsonKind, body: `{"review_below":0.5}`, status: 422, field: "review_below"},
		{name: "strict as text", path: ask, kind: jsonKind, body: `{"question":"x","strict":"yes"}`, status: 422, field: "strict", limit: "boolean"},
		{name: "bad artefact id", path: ask, kind: jsonKind, body: `{"question":"x","artefact_ids":["1"]}`, status: 422, field: "artefact_ids.0", limit: "uuid", value: `"1"`},
		{name: "unknown artefact", path: ask, kind: jsonKind, body: `{"question":"x","artefact_ids":["` + image + `","` + nobody + `"]}`, status: 422, field: "artefact_ids.1", value: nobody},
		{name: "artefact twice", path: ask, kind: jsonKind, body: `{"question":"x","artefact_ids":["` + text + `","` + text + `"]}`, status: 422, field: "artefact_ids"},
		{name: "no artefacts named", path: ask, kind: jsonKind, body: `{"question":"x","artefact_ids":[]}`, status: 422, field: "artefact_ids", limit: "1 to 3 items", value: "0 items"},
		{name: "too large", path: ask, kind: jsonKind, body: `{"question":"` + strings.Repeat("x", 70<<10) + `"}`, status: 413, field: "body", limit: "65536 bytes"},
		{name: "endless", path: ask, kind: jsonKind, body: io.MultiReader(strings.NewReader(`{"question":"`), endless{}), status: 413, field: "body", limit: "65536 bytes"},
		{name: "wrong kind", path: ask, kind: "text/plain", body: `{"question":"x"}`, status: 415, field: "Content-Type", limit: jsonKind, value: "text/plain"},
		{name: "no kind", path: ask, body: `{"question":"x"}`, status: 415, field: "Content-Type"},
		{name: "latin-1", path: ask, kind: "application/json; charset=latin1", body: `{"question":"x"}`, status: 415, field: "Content-Type", value: "latin1"},
		{name: "gzip bomb", path: ask, kind: jsonKind, header: http.Header{"Content-Encoding": {"gzip"}}, body: bomb(), status: 415, field: "Content-Encoding", value: "gzip"},
		{name: "report: unknown field", path: "/v1/studies/" + study.Id + "/reports", kind: jsonKind, body: `{"question":"x"}`, status: 422, field: "question"},
	})
	if answers, err := f.client.ListAnswersWithResponse(context.Background(), study.Id, nil); err != nil || len(answers.JSON200.Answers) != 0 {
		t.Errorf("refused questions left answers: %v, %v", answers.JSON200, err)
	}
}

// deepField is where 16 levels end: the object, then 15 arrays.
var deepField = clip("question" + strings.Repeat(".0", 15))

// endless never ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// bomb is 10 MB of zeros, gzipped.
func bomb() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestBadPathsAndParameters(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	refuse(t, f, []badRequest{
		{name: "unknown route", method: "GET", path: "/v1/patients", status: 404, field: "path", value: "/v1/patients"},
		{name: "root", method: "GET", path: "/", status: 404, field: "path"},
		{name: "unknown method", method: "PUT", path: "/v1/studies", status: 405, field: "method", limit: "GET, HEAD, POST", value: "PUT"},
		{name: "invented method", method: "BREW", path: "/docs", status: 405, field: "method", limit: "GET, HEAD", value: "BREW"},
		{name: "bad id", method: "GET", path: "/v1/studies/1", status: 400, field: "study_id", limit: "uuid", value: `"1"`},
		{name: "upper-case id", method: "GET", path: "/v1/studies/" + strings.ToUpper(nobody), status: 400, field: "study_id"},
		{name: "escaped id", method: "GET", path: "/v1/studies/%00", status: 400, field: "study_id"},
		{name: "traversal", method: "GET", path: "/v1/studies/..%2f..%2fetc%2fpasswd", status: 400, field: "study_id"},
		{name: "unknown id", method: "GET", path: "/v1/studies/" + nobody, status: 404, field: "study_id", value: nobody},
		{name: "delete unknown", method: "DELETE", path: "/v1/studies/" + nobody, status: 404, field: "study_id", value: nobody},
		{name: "ask unknown", path: "/v1/studies/" + nobody + "/questions", kind: jsonKind, body: `{"question":"x"}`, status: 404, field: "study_id", value: nobody},
		{name: "report on unknown", path: "/v1/studies/" + nobody + "/reports", status: 404, field: "study_id", value: nobody},
		{name: "unknown report", method: "GET", path: "/v1/reports/" + nobody, status: 404, field: "report_id", value: nobody},
		{name: "bad report id", method: "GET", path: "/v1/reports/x", status: 400, field: "report_id"},
		{name: "unknown artefact", method: "GET", path: "/v1/studies/" + study.Id + "/artefacts/" + nobody, status: 404, field: "artefact_id", value: nobody},
		{name: "artefact of nobody", method: "GET", path: "/v1/studies/" + nobody + "/artefacts/" + study.Artefacts[0].Id, status: 404, field: "study_id"},
		{name: "answers of nobody", method: "GET", path: "/v1/studies/" + nobody + "/questions", status: 404, field: "study_id"},
		{name: "limit 0", method: "GET", path: "/v1/studies?limit=0", status: 400, field: "limit", limit: "1 to 100", value: "0"},
		{name: "limit 101", method: "GET", path: "/v1/studies?limit=101", status: 400, field: "limit", limit: "1 to 100", value: "101"},
		{name: "limit of words", method: "GET", path: "/v1/studies?limit=ten", status: 400, field: "limit", value: "ten"},
		{name: "limit beyond int64", method: "GET", path: "/v1/studies?limit=99999999999999999999", status: 400, field: "limit"},
		{name: "limit twice", method: "GET", path: "/v1/studies?limit=1&limit=2", status: 400, field: "limit"},
		{name: "bad cursor", method: "GET", path: "/v1/studies?cursor=abc", status: 422, field: "cursor", limit: "next_cursor", value: "abc"},
		{name: "cursor of other characters", method: "GET", path: "/v1/studies?cursor=a.b", status: 400, field: "cursor", limit: "A-Za-z0-9", value: "a.b"},
		{name: "unknown parameter", method: "GET", path: "/v1/studies?page=2", status: 400, field: "page"},
		{name: "parameter of a route without any", method: "GET", path: "/v1/limits?x=1", status: 400, field: "x"},
		{name: "broken query", method: "GET", path: "/v1/studies?limit=%zz", status: 400, field: "query"},
	})
}

func TestBadForms(t *testing.T) {
	f := newFixture(t, nil)
	f.create(item{"metadata", []byte(`{"accession":"A-1"}`)}, item{"text", []byte("note")})
	const studies, vqa = "/v1/studies", "/v1/vqa"
	type parts []item
	var requests []badRequest
	add := func(r badRequest, content parts) {
		r.kind, r.body = form(content...)
		requests = append(requests, r)
	}
	metadata := func(text string) parts { return parts{{"text", []byte("note")}, {"metadata", []byte(text)}} }
	note, question := item{"text", []byte("note")}, item{"question", []byte("q?")}
	many := make(parts, 100_000)
	for i := range many {
		many[i] = item{"text", []byte("x")}
	}
	wav := sound()
	patched := func(at int, value any) []byte { return patch(wav, at, value) }
	add(badRequest{name: "no parts", path: studies, status: 400, field: "body"}, nil)
	add(badRequest{name: "metadata alone", path: studies, status: 422, field: "body", limit: "1 artefact", value: "0"}, parts{{"metadata", []byte(`{}`)}})
	add(badRequest{name: "unknown part", path: studies, status: 422, field: "dicom", limit: "metadata, text, image, audio", value: "dicom"}, parts{note, {"dicom", []byte("x")}})
	add(badRequest{name: "part without a name", path: studies, status: 422, field: "body"}, parts{{"", []byte("x")}})
	add(badRequest{name: "metadata twice", path: studies, status: 422, field: "metadata", limit: "1"}, parts{note, {"metadata", []byte(`{}`)}, {"metadata", []byte(`{}`)}})
	add(badRequest{name: "17 parts", path: studies, status: 413, field: "body", limit: "16 parts"}, many[:17])
	add(badRequest{name: "100,000 parts", path: studies, status: 413, field: "body", limit: "16 parts"}, many)
	add(badRequest{name: "empty text", path: studies, status: 422, field: "text[0]"}, parts{{"text", nil}})
	add(badRequest{name: "second text blank", path: studies, status: 422, field: "text[1]"}, parts{note, {"text", []byte(" \n")}})
	add(badRequest{name: "long text", path: studies, status: 413, field: "text[0]", limit: "65536 bytes"}, parts{{"text", bytes.Repeat([]byte("x"), 64<<10+1)}})
	add(badRequest{name: "text with NUL", path: studies, status: 422, field: "text[0]"}, parts{{"text", []byte("a\x00b")}})
	add(badRequest{name: "text not UTF-8", path: studies, status: 422, field: "text[0]"}, parts{{"text", []byte("a\xffb")}})
	add(badRequest{name: "empty image", path: studies, status: 422, field: "image[0]"}, parts{{"image", nil}})
	add(badRequest{name: "image after a good one", path: studies, status: 415, field: "image[1]"}, parts{{"image", picture(9)}, {"image", []byte("GIF89a and so on")}})
	add(badRequest{name: "text as image", path: studies, status: 415, field: "image[0]"}, parts{{"image", []byte("hello")}})
	add(badRequest{name: "cut-off PNG", path: studies, status: 422, field: "image[0]"}, parts{{"image", picture(9)[:40]}})
	add(badRequest{name: "PNG of 2^31 pixels", path: studies, status: 413, field: "image[0]"}, parts{{"image", wide(picture(9))}})
	add(badRequest{name: "image too large", path: studies, status: 413, field: "image[0]", limit: "33554432 bytes"}, parts{{"image", make([]byte, 32<<20+1)}})
	add(badRequest{name: "empty sound", path: studies, status: 422, field: "audio[0]"}, parts{{"audio", nil}})
	add(badRequest{name: "image as sound", path: studies, status: 415, field: "audio[0]"}, parts{{"audio", picture(9)}})
	add(badRequest{name: "WAV of 0 channels", path: studies, status: 422, field: "audio[0]"}, parts{{"audio", patched(22, uint16(0))}})
	add(badRequest{name: "WAV of 65535 channels", path: studies, status: 422, field: "audio[0]"}, parts{{"audio", patched(22, uint16(65535))}})
	add(badRequest{name: "WAV of 0 Hz", path: studies, status: 422, field: "audio[0]"}, parts{{"audio", patched(24, uint32(0))}})
	add(badRequest{name: "WAV of 7 bits", path: studies, status: 422, field: "audio[0]", value: "7"}, parts{{"audio", patched(34, uint16(7))}})
	add(badRequest{name: "cut-off WAV header", path: studies, status: 422, field: "audio[0]"}, parts{{"audio", wav[:30]}})
	add(badRequest{name: "sound too large", path: studies, status: 413, field: "audio[0]", limit: "33554432 bytes"}, parts{{"audio", make([]byte, 32<<20+1)}})
	add(badRequest{name: "metadata not JSON", path: studies, status: 400, field: "metadata"}, metadata("title"))
	add(badRequest{name: "metadata empty", path: studies, status: 400, field: "metadata"}, metadata(""))
	add(badRequest{name: "metadata too large", path: studies, status: 413, field: "metadata", limit: "16384 bytes"}, metadata(strings.Repeat(" ", 16<<10+1)))
	add(badRequest{name: "metadata of a list", path: studies, status: 422, field: "metadata", limit: "object"}, metadata("[]"))
	add(badRequest{name: "metadata unknown field", path: studies, status: 422, field: "metadata.patient"}, metadata(`{"patient":"x"}`))
	add(badRequest{name: "metadata long title", path: studies, status: 422, field: "metadata.title", limit: "200 characters", value: "201 characters"}, metadata(`{"title":"`+strings.Repeat("x", 201)+`"}`))
	add(badRequest{name: "metadata NUL", path: studies, status: 422, field: "metadata.labels.ward"}, metadata(`{"labels":{"ward":"\u0000"}}`))
	add(badRequest{name: "metadata label of a number", path: studies, status: 422, field: "metadata.labels.ward", limit: "string", value: "7"}, metadata(`{"labels":{"ward":7}}`))
	add(badRequest{name: "metadata 33 labels", path: studies, status: 422, field: "metadata.labels", limit: "32", value: "33"}, metadata(`{"labels":{`+labels(33)+`}}`))
	add(badRequest{name: "metadata label without a name", path: studies, status: 422, field: "metadata.labels", limit: "1 to 64 characters"}, metadata(`{"labels":{"":"x"}}`))
	add(badRequest{name: "metadata deep", path: studies, status: 400, field: clip("metadata.labels" + strings.Repeat(".a", 15)), limit: "16 levels"}, metadata(`{"labels":`+strings.Repeat(`{"a":`, 1000)))
	add(badRequest{name: "accession in use", path: studies, status: 409, field: "metadata.accession", value: "A-1"}, metadata(`{"accession":"A-1"}`))
	add(badRequest{name: "vqa without a question", path: vqa, status: 422, field: "question"}, parts{{"image", picture(9)}})
	add(badRequest{name: "vqa blank question", path: vqa, status: 422, field: "question"}, parts{{"question", []byte(" ")}})
	add(badRequest{name: "vqa long question", path: vqa, status: 413, field: "question", limit: "4096 bytes"}, parts{{"question", make([]byte, 4097)}})
	add(badRequest{name: "vqa NUL", path: vqa, status: 422, field: "question"}, parts{{"question", []byte("a\x00")}})
	add(badRequest{name: "vqa two images", path: vqa, status: 422, field: "image", limit: "1"}, parts{question, {"image", picture(1)}, {"image", picture(2)}})
	add(badRequest{name: "vqa strict maybe", path: vqa, status: 422, field: "strict", limit: "true or false", value: "maybe"}, parts{question, {"strict", []byte("maybe")}})
	add(badRequest{name: "vqa candidates 0", path: vqa, status: 422, field: "candidates", limit: "1 to 100", value: "0"}, parts{question, {"candidates", []byte("0")}})
	for name, value := range map[string]string{"NaN": "NaN", "infinite": "+Inf", "negative": "-1", "above 1": "1.0001", "words": "much", "empty": ""} {
		add(badRequest{name: "vqa review below " + name, path: vqa, status: 422, field: "review_below", limit: "0 to 1", value: value}, parts{question, {"review_below", []byte(value)}})
	}
	add(badRequest{name: "vqa review below too long", path: vqa, status: 413, field: "review_below", limit: "32 bytes"}, parts{question, {"review_below", bytes.Repeat([]byte("0"), 100)}})
	add(badRequest{name: "vqa review below twice", path: vqa, status: 422, field: "review_below", limit: "1"}, parts{question, {"review_below", []byte("1")}, {"review_below", []byte("1")}})
	add(badRequest{name: "vqa degraded unknown", path: vqa, status: 422, field: "degraded", limit: "accept or refuse", value: "maybe"}, parts{question, {"degraded", []byte("maybe")}})
	add(badRequest{name: "vqa degraded empty", path: vqa, status: 422, field: "degraded", limit: "accept or refuse"}, parts{question, {"degraded", nil}})
	add(badRequest{name: "vqa candidates many", path: vqa, status: 422, field: "candidates", limit: "1 to 100"}, parts{question, {"candidates", []byte("many")}})
	add(badRequest{name: "vqa metadata", path: vqa, status: 422, field: "metadata", limit: "question"}, parts{question, {"metadata", []byte("{}")}})
	add(badRequest{name: "vqa strict and long", path: vqa, status: 413, field: "text", limit: "256 tokens"}, parts{question, {"strict", []byte("true")}, {"text", bytes.Repeat([]byte("x "), 1000)}})
	kind, whole := form(note, item{"image", picture(5)})
	requests = append(requests,
		badRequest{name: "cut off", path: studies, kind: kind, body: whole[:len(whole)-30], status: 400, field: "body"},
		badRequest{name: "cut off in a header", path: studies, kind: kind, body: whole[:70], status: 400, field: "body"},
		badRequest{name: "empty body", path: studies, kind: kind, body: "", status: 400, field: "body"},
		badRequest{name: "other boundary", path: studies, kind: "multipart/form-data; boundary=other", body: whole, status: 400, field: "body"},
		badRequest{name: "no boundary", path: studies, kind: "multipart/form-data", body: whole, status: 400, field: "body"},
		badRequest{name: "JSON", path: studies, kind: jsonKind, body: `{}`, status: 415, field: "Content-Type", limit: multipartForm, value: jsonKind},
		badRequest{name: "urlencoded", path: vqa, kind: "application/x-www-form-urlencoded", body: "question=x", status: 415, field: "Content-Type", limit: multipartForm},
		badRequest{name: "gzip", path: studies, kind: kind, header: http.Header{"Content-Encoding": {"gzip"}}, body: bomb(), status: 415, field: "Content-Encoding"},
		badRequest{name: "endless part", path: studies, kind: kind, body: io.MultiReader(bytes.NewReader(whole[:len(whole)-100]), endless{}), status: 413, field: "image[0]", limit: "33554432 bytes"},
		badRequest{name: "endless header", path: studies, kind: kind, body: io.MultiReader(bytes.NewReader(whole[:70]), endless{}), status: 400, field: "body"},
	)
	refuse(t, f, requests)
}

func labels(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"l%d":"x"`, i)
	}
	return strings.Join(list, ",")
}

// patch returns b with a number written at a position, little-endian.
func patch(b []byte, at int, value any) []byte {
	patched := bytes.Clone(b)
	if _, err := binary.Encode(patched[at:], binary.LittleEndian, value); err != nil {
		panic(err)
	}
	return patched
}

// wide returns a PNG whose header claims 65,535 x 65,535 pixels, with the checksum that belongs to it.
func wide(b []byte) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint32(b[16:], 65535)
	binary.BigEndian.PutUint32(b[20:], 65535)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestBodiesOverTheWholeLimit(t *testing.T) {
	f := newFixture(t, func(d *Deps) { d.Limits.UploadBytes = 1000 })
	kind, body := form(item{"text", bytes.Repeat([]byte("x"), 2000)})
	refuse(t, f, []badRequest{
		{name: "announced", path: "/v1/studies", kind: kind, body: body, status: 413, field: "body", limit: "1000 bytes", value: fmt.Sprintf("%d bytes", len(body))},
		{name: "not announced", path: "/v1/studies", kind: kind, body: io.MultiReader(bytes.NewReader(body)), status: 413, field: "body", limit: "1000 bytes"},
	})
}

func TestBadEmbeddings(t *testing.T) {
	f := newFixture(t, nil)
	image := base64.StdEncoding.EncodeToString(picture(4))
	of := func(input string) string { return `{"model":"consilium","input":` + input + `}` }
	var requests []badRequest
	for _, r := range []badRequest{
		{name: "no input", body: `{"model":"consilium"}`, status: 422, field: "input"},
		{name: "no model", body: `{"input":"x"}`, status: 422, field: "model"},
		{name: "unknown field", body: `{"model":"consilium","input":"x","dimensions":64}`, status: 422, field: "dimensions"},
		{name: "unknown model", body: `{"model":"ada","input":"x"}`, status: 404, field: "model", value: "ada"},
		{name: "fusion as encoder", body: `{"model":"consilium-fusion","input":"x"}`, status: 404, field: "model"},
		{name: "wrong encoder", body: `{"model":"consilium-image","input":["x"]}`, status: 422, field: "input.0", limit: "image", value: "text"},
		{name: "unknown encoding", body: `{"model":"consilium","input":"x","encoding_format":"hex"}`, status: 422, field: "encoding_format", limit: "float base64", value: "hex"},
		{name: "null", body: of(`null`), status: 422, field: "input", value: "null"},
		{name: "number", body: of(`7`), status: 422, field: "input", value: "number"},
		{name: "empty list", body: of(`[]`), status: 422, field: "input", limit: "1 to 128", value: "0"},
		{name: "129 items", body: of(`["x"` + strings.Repeat(`,"x"`, 128) + `]`), status: 422, field: "input", limit: "1 to 128", value: "129"},
		{name: "empty text", body: of(`["x",""]`), status: 422, field: "input.1"},
		{name: "token ids", body: of(`[1,2]`), status: 422, field: "input.0", limit: "token ids are not read"},
		{name: "lists of token ids", body: of(`[[1,2]]`), status: 422, field: "input.0", limit: "token ids are not read"},
		{name: "long text", body: of(`["` + strings.Repeat("x", 64<<10+1) + `"]`), status: 413, field: "input.0", limit: "65536 bytes", value: "65537 bytes"},
		{name: "URL", body: of(`[{"type":"image","data":"https://example.org/x.png"}]`), status: 422, field: "input.0.data", value: "https://"},
		{name: "file URL", body: of(`[{"type":"image","data":"file:///etc/passwd"}]`), status: 422, field: "input.0.data", value: "file://"},
		{name: "url field", body: of(`[{"type":"image","url":"https://example.org/x.png"}]`), status: 422, field: "input.0.url"},
		{name: "OpenAI's image_url", body: of(`["x",{"type":"image_url","image_url":{"url":"https://example.org/x.png"}}]`), status: 422, field: "input.1.image_url"},
		{name: "data URL without base64", body: of(`[{"type":"image","data":"data:image/png,abc"}]`), status: 422, field: "input.0.data"},
		{name: "bad base64", body: of(`[{"type":"image","data":"` + image + `!"}]`), status: 422, field: "input.0.data", value: "character"},
		{name: "cut-off image", body: of(`[{"type":"image","data":"` + image[:40] + `"}]`), status: 422, field: "input.0.data"},
		{name: "image as sound", body: of(`[{"type":"audio","data":"` + image + `"}]`), status: 415, field: "input.0.data"},
		{name: "unknown type", body: of(`[{"type":"video","data":"AAAA"}]`), status: 422, field: "input.0.type", limit: "image or audio", value: "video"},
		{name: "no data", body: of(`[{"type":"image"}]`), status: 422, field: "input.0.data"},
		{name: "data of a number", body: of(`[{"type":"image","data":1}]`), status: 422, field: "input.0.data", limit: "string", value: "number"},
		{name: "unknown member", body: of(`[{"type":"image","data":"AAAA","detail":"high"}]`), status: 422, field: "input.0.detail"},
		{name: "NUL", body: of(`["a\u0000"]`), status: 422, field: "input.0"},
		{name: "endless", body: io.MultiReader(strings.NewReader(`{"model":"consilium","input":"`), endless{}), status: 413, field: "body", limit: "16777216 bytes"},
	} {
		r.path, r.kind = "/v1/embeddings", jsonKind
		requests = append(requests, r)
	}
	refuse(t, f, requests)
}

func TestErrorsBecomeProblems(t *testing.T) {
	f := newFixture(t, func(d *Deps) { d.Limits.RequestTime = 2 * time.Second })
	study := f.create()
	secret := errors.New("dial tcp 10.0.0.7:5432: password=hunter2")
	for _, test := range []struct {
		err    error
		status int
		kind   string
		retry  string
	}{
		{analysis.Errorf(analysis.InvalidArgument, "no"), 400, "invalid_argument", ""},
		{analysis.Invalid("image", "no"), 422, "invalid_argument", ""},
		{analysis.Errorf(analysis.UnsupportedMedia, "no"), 415, "unsupported_media", ""},
		{analysis.Errorf(analysis.TooLarge, "no"), 413, "too_large", ""},
		{analysis.Errorf(analysis.NotFound, "no"), 404, "not_found", ""},
		{analysis.Errorf(analysis.Conflict, "no"), 409, "conflict", ""},
		{&analysis.Error{Code: analysis.Overloaded, Message: "busy", RetryAfter: 2500 * time.Millisecond}, 429, "overloaded", "3"},
		{analysis.Errorf(analysis.Overloaded, "busy"), 429, "overloaded", "2"},
		{&analysis.Error{Code: analysis.Unavailable, Message: "the fusion is down", Err: secret}, 503, "unavailable", "2"},
		{&analysis.Error{Code: analysis.BadUpstream, Message: "the fusion answered nonsense", Err: secret}, 502, "bad_upstream", ""},
		{&analysis.Error{Code: "invented", Message: "what"}, 500, "internal", ""},
		{fmt.Errorf("fuse: %w", secret), 500, "internal", ""},
		{errPanic, 500, "internal", ""},
		{errStall, 504, "canceled", ""},
	} {
		f.models.mu.Lock()
		f.models.fail["fusion"] = test.err
		f.models.mu.Unlock()
		response, body := f.do(http.MethodPost, "/v1/studies/"+study.Id+"/questions", http.Header{"Content-Type": {jsonKind}}, strings.NewReader(`{"question":"x"}`))
		problem := f.problem(response, body)
		if problem.Status != test.status || problem.Type != "urn:consilium:problem:"+test.kind || response.Header.Get("Retry-After") != test.retry {
			t.Errorf("%v: answered %+v, retry after %q", test.err, problem, response.Header.Get("Retry-After"))
		}
		if strings.Contains(string(body), "hunter2") || strings.Contains(string(body), "goroutine") {
			t.Errorf("%v: the answer leaks %s", test.err, body)
		}
		if test.status >= 500 && !strings.Contains(f.log.String(), problem.TraceId) {
			t.Errorf("%v: the log does not hold the trace id", test.err)
		}
	}
	if !strings.Contains(f.log.String(), "hunter2") {
		t.Error("the log does not hold the cause")
	}
	answers, err := f.client.ListAnswersWithResponse(context.Background(), study.Id, nil)
	if err != nil || len(answers.JSON200.Answers) != 0 {
		t.Errorf("failed questions left answers: %v, %v", answers.JSON200, err)
	}
}

// TestTooManyUploadsAtOnce has one upload wait in the middle of its body while another comes.
func TestTooManyUploadsAtOnce(t *testing.T) {
	kind, body := form(item{"text", []byte("note")})
	f := newFixture(t, func(d *Deps) { d.Limits.InFlightBytes = int64(len(body)) + 10 })
	reader, writer := io.Pipe()
	first := make(chan error, 1)
	go func() {
		request, err := http.NewRequest(http.MethodPost, f.url+"/v1/studies", reader)
		if err == nil {
			request.Header.Set("Content-Type", kind)
			request.ContentLength = int64(len(body))
			request.Header.Set("Expect", "100-continue") // the body is sent when the server begins to read it
			var response *http.Response
			if response, err = (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}).Do(request); err == nil {
				if response.StatusCode != http.StatusCreated {
					err = fmt.Errorf("the first upload is answered %s", response.Status)
				}
				response.Body.Close()
			}
		}
		first <- err
	}()
	if _, err := writer.Write(body[:10]); err != nil {
		t.Fatal(err)
	}
	response, err := f.client.CreateStudyWithBodyWithResponse(context.Background(), kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if problem := response.ApplicationproblemJSONDefault; problem == nil || problem.Status != http.StatusTooManyRequests || response.HTTPResponse.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %+v, want 429 with Retry-After", response.Status(), problem)
	}
	if _, err := writer.Write(body[10:]); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := f.client.CreateStudyWithBodyWithResponse(context.Background(), kind, bytes.NewReader(body)); err != nil {
		t.Error(err)
	}
}

// TestAClientThatGoesAway breaks the connection in the middle of an upload: nothing is stored.
func TestAClientThatGoesAway(t *testing.T) {
	f := newFixture(t, nil)
	kind, body := form(item{"image", picture(6)}, item{"text", []byte("note")})
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/studies HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body[:len(body)-20])
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil { // until the server has closed its side
		t.Fatal(err)
	}
	conn.Close()
	if list, err := f.client.ListStudiesWithResponse(context.Background(), nil); err != nil || len(list.JSON200.Studies) != 0 || f.files() != 0 {
		t.Errorf("half an upload left %v and %d files, %v", list.JSON200, f.files(), err)
	}
}
