package allinone

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
)

// pngHeader is a PNG that claims a size and holds no pixel.
func pngHeader(width, height uint32) []byte {
	be := binary.BigEndian
	header := be.AppendUint32(be.AppendUint32([]byte("IHDR"), width), height)
	header = append(header, 8, 6, 0, 0, 0)
	b := be.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), 13)
	b = append(b, header...)
	return be.AppendUint32(b, crc32.ChecksumIEEE(header))
}

// wavBomb is a WAV file whose LIST chunk claims a gigabyte.
func wavBomb() []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, 1<<30)...)
	b = append(b, "WAVELIST"...)
	return append(le.AppendUint32(b, 1<<30), "INFO"...)
}

func TestBadUploadsAreRefusedAndStoreNothing(t *testing.T) {
	s := platform(t)
	picture, sound := shapes(t), tone()
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint("text", i)] = "x"
	}
	for name, upload := range map[string]struct {
		fields map[string]string
		files  map[string][]byte
		field  string // what the problem has to name, "" for anything
	}{
		"nothing":              {},
		"metadata only":        {fields: map[string]string{"metadata": "{}"}},
		"empty image":          {files: map[string][]byte{"image": {}}, field: "image"},
		"empty sound":          {files: map[string][]byte{"audio": {}}, field: "audio"},
		"empty text":           {fields: map[string]string{"text": ""}, field: "text"},
		"text as image":        {files: map[string][]byte{"image": []byte("no picture at all")}, field: "image"},
		"sound as image":       {files: map[string][]byte{"image": sound}, field: "image"},
		"image as sound":       {files: map[string][]byte{"audio": picture}, field: "audio"},
		"GIF":                  {files: map[string][]byte{"image": []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x00;")}, field: "image"},
		"cut image":            {files: map[string][]byte{"image": picture[:len(picture)/2]}, field: "image"},
		"huge claimed image":   {files: map[string][]byte{"image": pngHeader(30000, 30000)}, field: "image"},
		"huge claimed chunk":   {files: map[string][]byte{"audio": wavBomb()}, field: "audio"},
		"cut sound":            {files: map[string][]byte{"audio": sound[:20]}, field: "audio"},
		"good and bad":         {files: map[string][]byte{"image": picture, "audio": []byte("RIFF")}, field: "audio"},
		"unknown part":         {files: map[string][]byte{"video": picture}, field: "video"},
		"too many parts":       {fields: many},
		"text with a NUL":      {fields: map[string]string{"text": "a\x00b"}, field: "text"},
		"text that is no text": {fields: map[string]string{"text": "\xff\xfe"}, field: "text"},
		"long text":            {fields: map[string]string{"text": strings.Repeat("x", 65<<10)}, field: "text"},
		"metadata no JSON":     {fields: map[string]string{"metadata": "{", "text": "x"}, field: "metadata"},
		"metadata unknown":     {fields: map[string]string{"metadata": `{"colour":"red"}`, "text": "x"}, field: "metadata"},
		"metadata wrong type":  {fields: map[string]string{"metadata": `{"title":7}`, "text": "x"}, field: "metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			contentType, body := form(t, upload.fields, upload.files)
			status, p := s.problem(http.MethodPost, "/v1/studies", contentType, body)
			if status < 400 || status >= 500 {
				t.Errorf("status %d: %s", status, p.Detail)
			}
			if upload.field != "" && (p.Field == nil || !strings.HasPrefix(*p.Field, upload.field)) {
				t.Errorf("the problem does not name %s: %s", upload.field, p.Error())
			}
		})
	}
	list, err := s.ListStudiesWithResponse(t.Context(), nil)
	if err != nil || list.JSON200 == nil || len(list.JSON200.Studies) != 0 {
		t.Errorf("something was stored: %v %s", err, list.Body)
	}
}

// endless is a body that never ends by itself.
type endless struct{ sent int }

func (e *endless) Read(b []byte) (int, error) {
	if e.sent > 256<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	e.sent += len(b)
	return len(b), nil
}

func TestBadRequestsAreProblems(t *testing.T) {
	s := platform(t)
	study := s.store(&client.Upload{Images: [][]byte{shapes(t)}})
	questions := "/v1/studies/" + study.Id + "/questions"
	nobody := "0198c0de-0000-7000-8000-000000000000"
	const js = "application/json"
	for name, request := range map[string]struct {
		method, path, contentType, body string
		status                          int
		field                           string
	}{
		"no question":          {"POST", questions, js, `{}`, 0, "question"},
		"empty question":       {"POST", questions, js, `{"question":""}`, 0, "question"},
		"blank question":       {"POST", questions, js, `{"question":"  "}`, 0, "question"},
		"long question":        {"POST", questions, js, `{"question":"` + strings.Repeat("x", 5000) + `"}`, 0, "question"},
		"question with a NUL":  {"POST", questions, js, `{"question":"a\u0000b"}`, 0, "question"},
		"unknown field":        {"POST", questions, js, `{"question":"x","mood":"good"}`, 0, "mood"},
		"wrong type":           {"POST", questions, js, `{"question":7}`, 0, "question"},
		"no JSON":              {"POST", questions, js, `question`, 400, ""},
		"two values":           {"POST", questions, js, `{"question":"x"}{}`, 400, ""},
		"deep JSON":            {"POST", questions, js, strings.Repeat("[", 10000), 400, ""},
		"no body":              {"POST", questions, js, "", 0, ""},
		"wrong content type":   {"POST", questions, "text/plain", `{"question":"x"}`, 415, ""},
		"too many candidates":  {"POST", questions, js, `{"question":"x","candidates":1000}`, 0, "candidates"},
		"foreign artefact":     {"POST", questions, js, `{"question":"x","artefact_ids":["` + nobody + `"]}`, 0, "artefact_ids"},
		"unknown study":        {"POST", "/v1/studies/" + nobody + "/questions", js, `{"question":"x"}`, 404, ""},
		"unknown study report": {"POST", "/v1/studies/" + nobody + "/reports", js, `{}`, 404, ""},
		"unknown study delete": {"DELETE", "/v1/studies/" + nobody, "", "", 404, ""},
		"unknown report":       {"GET", "/v1/reports/" + nobody, "", "", 404, ""},
		"id that is none":      {"GET", "/v1/studies/7", "", "", 0, ""},
		"id with tricks":       {"GET", "/v1/studies/..%2f..%2fetc%2fpasswd", "", "", 0, ""},
		"bad limit":            {"GET", "/v1/studies?limit=0", "", "", 0, "limit"},
		"bad cursor":           {"GET", "/v1/studies?cursor=x", "", "", 0, "cursor"},
		"unknown route":        {"GET", "/v2/nothing", "", "", 404, ""},
		"wrong method":         {"PUT", "/v1/studies", "", "", 405, ""},
		"form that is none":    {"POST", "/v1/studies", "multipart/form-data; boundary=x", "nothing of the kind", 0, ""},
		"form without end":     {"POST", "/v1/studies", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhal", 0, ""},
		"study as JSON":        {"POST", "/v1/studies", js, `{}`, 415, ""},
		"embed nothing":        {"POST", "/v1/embeddings", js, `{"model":"consilium","input":[]}`, 0, "input"},
		"embed no model":       {"POST", "/v1/embeddings", js, `{"model":"gpt","input":"x"}`, 0, "model"},
		"embed no image":       {"POST", "/v1/embeddings", js, `{"model":"consilium","input":[{"type":"image","data":"aGVsbG8="}]}`, 0, ""},
		"embed a URL":          {"POST", "/v1/embeddings", js, `{"model":"consilium","input":[{"type":"image","data":"http://127.0.0.1/x.png"}]}`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, p := s.problem(request.method, request.path, request.contentType, strings.NewReader(request.body))
			if status < 400 || status >= 500 || request.status != 0 && status != request.status {
				t.Errorf("status %d, want %d: %s", status, request.status, p.Detail)
			}
			if request.field != "" && (p.Field == nil || !strings.Contains(*p.Field, request.field)) {
				t.Errorf("the problem does not name %s: %s", request.field, p.Error())
			}
		})
	}
	if answer := s.ask(study.Id, "what shape is it?"); answer.Text == "" {
		t.Error("no answer after all that")
	}
}

func TestAnUploadOverTheLimitIsCutOff(t *testing.T) {
	s := platform(t)
	head := "--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n"
	body := &endless{}
	status, p := s.problem(http.MethodPost, "/v1/studies", "multipart/form-data; boundary=x", io.MultiReader(strings.NewReader(head), body))
	if status != http.StatusRequestEntityTooLarge || p.Limit == nil {
		t.Errorf("status %d: %s", status, p.Error())
	}
	if body.sent > 128<<20 {
		t.Errorf("it read %d bytes", body.sent)
	}
}

func TestBadStatelessQuestions(t *testing.T) {
	s := platform(t)
	for name, test := range map[string]struct {
		fields map[string]string
		files  map[string][]byte
	}{
		"no question":    {files: map[string][]byte{"image": shapes(t)}},
		"blank question": {fields: map[string]string{"question": " "}, files: map[string][]byte{"image": shapes(t)}},
		"no picture":     {fields: map[string]string{"question": "x"}, files: map[string][]byte{"image": []byte("x")}},
		"bad candidates": {fields: map[string]string{"question": "x", "candidates": "many"}},
		"bad strict":     {fields: map[string]string{"question": "x", "strict": "maybe"}},
		"strict and cut": {fields: map[string]string{"question": strings.Repeat("word ", 400), "strict": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			contentType, body := form(t, test.fields, test.files)
			if status, p := s.problem(http.MethodPost, "/v1/vqa", contentType, body); status < 400 || status >= 500 {
				t.Errorf("status %d: %s", status, p.Error())
			}
		})
	}
	if answer := s.vqa(map[string]string{"question": strings.Repeat("word ", 400)}, shapes(t)); len(answer.Notes) == 0 {
		t.Error("a question that was cut is not said to be")
	}
	var none bytes.Buffer
	if status, _ := s.problem(http.MethodPost, "/v1/vqa", "multipart/form-data", &none); status < 400 || status >= 500 {
		t.Errorf("a form without a boundary: status %d", status)
	}
}
