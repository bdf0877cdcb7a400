package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"consilium"
	"consilium/gateway/api"
	"consilium/gateway/client"
)

func TestRoutesAreThoseOfTheDescription(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, item := range spec.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	handler, err := New(newFixture(t, nil).deps)
	if err != nil {
		t.Fatal(err)
	}
	if err := chi.Walk(handler.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served = append(served, method+" "+route)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described\n%s\nserved\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}

func TestDescriptionRepeatsTheLimits(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	schemas, parameters := spec.Components.Schemas, spec.Components.Parameters
	list := schemas["EmbeddingRequest"].Value.Properties["input"].Value.OneOf[1].Value
	for name, pair := range map[string][2]int{
		"candidates": {int(*schemas["CandidateCount"].Value.Max), maxCandidates},
		"question":   {int(*schemas["QuestionText"].Value.MaxLength), maxQuestionBytes},
		"page":       {int(*parameters["Limit"].Value.Schema.Value.Max), maxPageItems},
		"page size":  {int(parameters["Limit"].Value.Schema.Value.Default.(float64)), defaultPageItems},
		"embeddings": {int(*list.MaxItems), maxEmbeddingInputs},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: openapi.yaml says %d, the code %d", name, pair[0], pair[1])
		}
	}
}

func TestAStudyFromBeginningToEnd(t *testing.T) {
	f := newFixture(t, nil)
	ctx := context.Background()
	study := f.create()
	if study.Title != "Chest film" || study.Labels["ward"] != "7" || len(study.Artefacts) != 3 {
		t.Fatalf("stored %+v", study)
	}
	got, err := f.client.GetStudyWithResponse(ctx, study.Id)
	if err != nil || !reflect.DeepEqual(got.JSON200, study) {
		t.Errorf("read %+v, %v, want %+v", got.JSON200, err, study)
	}
	for i, want := range []struct {
		mediaType string
		content   []byte
	}{{"text/plain; charset=utf-8", []byte("Cough for a week.")}, {"image/png", picture(10)}, {"audio/wav", sound()}} {
		response, err := f.client.GetArtefactWithResponse(ctx, study.Id, study.Artefacts[i].Id)
		if err != nil || response.HTTPResponse.Header.Get("Content-Type") != want.mediaType || !bytes.Equal(response.Body, want.content) {
			t.Errorf("artefact %d: %v, %v", i, response.Status(), err)
		}
	}

	three := 3
	asked, err := f.client.AskStudyWithResponse(ctx, study.Id, client.QuestionRequest{Question: "What colour?", Candidates: &three})
	if err != nil || asked.JSON200 == nil {
		t.Fatal(asked.Status(), err, string(asked.Body))
	}
	answer := asked.JSON200
	if answer.Text != "red" || answer.Confidence != 0.5 || len(answer.Candidates) != 2 || answer.Candidates[0].Text != "blue" {
		t.Errorf("answered %q %v %v", answer.Text, answer.Confidence, answer.Candidates)
	}
	if len(answer.Artefacts) != 3 || len(answer.Modalities) != 3 || answer.Attention == nil || len(answer.Attention.Values) != 49 || len(answer.Notes) != 4 {
		t.Errorf("the answer carries %d artefacts, %d modalities, %d notes, attention %v", len(answer.Artefacts), len(answer.Modalities), len(answer.Notes), answer.Attention)
	}
	if want := map[string]string{"text": "text-digest", "image": "image-digest", "audio": "audio-digest", "fusion": "fusion-digest"}; !maps.Equal(answer.Models, want) {
		t.Errorf("models %v, want %v", answer.Models, want)
	}
	if answer.TraceId != asked.HTTPResponse.Header.Get("X-Trace-Id") || !strings.Contains(asked.HTTPResponse.Header.Get("Server-Timing"), "fusion;dur=") || !strings.Contains(asked.HTTPResponse.Header.Get("Server-Timing"), "reliance;dur=") || len(answer.Timing) != 6 {
		t.Errorf("trace %s, timing %v, header %v", answer.TraceId, answer.Timing, asked.HTTPResponse.Header)
	}
	answers, err := f.client.ListAnswersWithResponse(ctx, study.Id, nil)
	if err != nil || len(answers.JSON200.Answers) != 1 || !reflect.DeepEqual(&answers.JSON200.Answers[0], answer) {
		t.Errorf("listed %+v, %v, want %+v", answers.JSON200, err, answer)
	}

	reported, err := f.client.CreateReportWithResponse(ctx, study.Id, client.ReportRequest{})
	if err != nil || reported.JSON201 == nil {
		t.Fatal(reported.Status(), err, string(reported.Body))
	}
	report := reported.JSON201
	if report.Status != "preliminary" || !strings.Contains(report.Disclaimer, "not a medical device") || len(report.Sections) != 2 || report.Sections[0].Sentences[0].Evidence[0].Label != "pneumonia" {
		t.Errorf("report %+v", report)
	}
	if reported.HTTPResponse.Header.Get("Location") != "/v1/reports/"+report.Id {
		t.Errorf("location %q", reported.HTTPResponse.Header.Get("Location"))
	}
	read, err := f.client.GetReportWithResponse(ctx, report.Id)
	if err != nil || !reflect.DeepEqual(read.JSON200, report) {
		t.Errorf("read %+v, %v, want %+v", read.JSON200, err, report)
	}

	if deleted, err := f.client.DeleteStudyWithResponse(ctx, study.Id); err != nil || deleted.StatusCode() != http.StatusNoContent {
		t.Fatal(deleted.Status(), err)
	}
	for _, path := range []string{"/v1/studies/" + study.Id, "/v1/studies/" + study.Id + "/questions", "/v1/reports/" + report.Id, "/v1/studies/" + study.Id + "/artefacts/" + study.Artefacts[0].Id} {
		if response, _ := f.do(http.MethodGet, path, nil, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("after the deletion %s answers %d", path, response.StatusCode)
		}
	}
	if n := f.files(); n != 0 {
		t.Errorf("%d files outlive the study", n)
	}
}

func TestReportWithoutABody(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create(item{"text", []byte("note")})
	response, body := f.do(http.MethodPost, "/v1/studies/"+study.Id+"/reports", nil, nil)
	var report api.Report
	if err := json.Unmarshal(body, &report); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(response.Status, err)
	}
	if len(report.Sections[0].Sentences) != 0 || len(report.NotAssessed) != 3 {
		t.Errorf("a report on a note alone: %+v", report)
	}
}

func TestTheNewestArtefactOfEachModalityIsUsed(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create(item{"image", picture(1)}, item{"text", []byte("first")}, item{"image", picture(2)}, item{"text", []byte("second")})
	ids := make([]string, len(study.Artefacts))
	for i, a := range study.Artefacts {
		ids[i] = a.Id
	}
	for name, test := range map[string]struct {
		choose []string
		want   []string
	}{
		"newest": {nil, []string{ids[3], ids[2]}},
		"named":  {[]string{ids[0], ids[1]}, []string{ids[1], ids[0]}},
		"only":   {[]string{ids[0]}, []string{ids[0]}},
	} {
		request := client.QuestionRequest{Question: "q?"}
		if test.choose != nil {
			request.ArtefactIds = &test.choose
		}
		response, err := f.client.AskStudyWithResponse(context.Background(), study.Id, request)
		if err != nil || response.JSON200 == nil {
			t.Fatal(name, response.Status(), err)
		}
		var used []string
		for _, a := range response.JSON200.Artefacts {
			used = append(used, a.Id)
		}
		if !slices.Equal(used, test.want) {
			t.Errorf("%s: used %v, want %v", name, used, test.want)
		}
	}
}

func TestVqa(t *testing.T) {
	f := newFixture(t, nil)
	contentType, body := form(item{"question", []byte("What colour?")}, item{"image", picture(3)}, item{"candidates", []byte("2")}, item{"strict", []byte("true")})
	response, err := f.client.VqaWithBodyWithResponse(context.Background(), contentType, bytes.NewReader(body))
	if err != nil || response.JSON200 == nil {
		t.Fatal(response.Status(), err, string(response.Body))
	}
	if a := response.JSON200; a.Text != "red" || len(a.Candidates) != 1 || len(a.Modalities) != 2 || a.Question != "What colour?" {
		t.Errorf("answered %+v", a)
	}
	if n := f.files(); n != 0 {
		t.Errorf("a stateless question stored %d files", n)
	}
}

func TestEmbeddings(t *testing.T) {
	f := newFixture(t, nil)
	image := base64.StdEncoding.EncodeToString(picture(4))
	audio := base64.StdEncoding.EncodeToString(sound())
	for name, test := range map[string]struct {
		body string
		dims []int
	}{
		"one text":  {`{"model":"consilium","input":"hello"}`, []int{384}},
		"texts":     {`{"model":"consilium-text","input":["a","b"],"encoding_format":"float"}`, []int{384, 384}},
		"base64":    {`{"model":"consilium","input":["a"],"encoding_format":"base64"}`, []int{384}},
		"mixed":     {`{"model":"consilium","input":["a",{"type":"image","data":"` + image + `"},{"type":"audio","data":"data:audio/wav;base64,` + audio + `"},"b"]}`, []int{384, 1280, 128, 384}},
		"one image": {`{"model":"consilium-image","input":[{"data":"` + image + `","type":"image"}]}`, []int{1280}},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := f.client.CreateEmbeddingsWithBodyWithResponse(context.Background(), "application/json", strings.NewReader(test.body))
			if err != nil || response.JSON200 == nil {
				t.Fatal(response.Status(), err, string(response.Body))
			}
			var dims []int
			for i, e := range response.JSON200.Data {
				if e.Index != i || e.Model != string(e.Modality)+"-digest" {
					t.Errorf("position %d holds %d of %s", i, e.Index, e.Model)
				}
				values, err := e.Embedding.AsEmbeddingEmbedding0()
				if err != nil {
					raw, rawErr := e.Embedding.AsEmbeddingEmbedding1()
					if rawErr != nil {
						t.Fatal(err, rawErr)
					}
					for ; len(raw) >= 4; raw = raw[4:] {
						values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
					}
				}
				dims = append(dims, len(values))
				if sum := norm(values); sum == 0 || math.IsNaN(sum) {
					t.Errorf("embedding %d has the norm %v", i, sum)
				}
			}
			if !slices.Equal(dims, test.dims) {
				t.Errorf("dimensions %v, want %v", dims, test.dims)
			}
		})
	}
}

func norm(values []float32) (sum float64) {
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

func TestService(t *testing.T) {
	f := newFixture(t, nil)
	for path, want := range map[string]string{
		"/healthz": `"alive"`, "/readyz": `"ready"`, "/v1/models": `"consilium-fusion"`, "/v1/limits": `"upload_parts":16`,
		"/metrics": "consilium_http_request", "/openapi.yaml": "openapi: 3.0.3", "/docs": "askStudy",
	} {
		response, body := f.do(http.MethodGet, path, nil, nil)
		if response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s answers %d without %q: %.200s", path, response.StatusCode, want, body)
		}
	}
	if response, _ := f.do(http.MethodHead, "/healthz", nil, nil); response.StatusCode != http.StatusOK {
		t.Errorf("HEAD /healthz answers %d", response.StatusCode)
	}
	response, body := f.do(http.MethodGet, "/docs", nil, nil)
	if strings.Contains(string(body), "{{") || strings.Contains(string(body), "://") && strings.Contains(string(body), "src=") {
		t.Error("the page is not complete or loads something")
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, sourceHash(pageScript)) || strings.Contains(policy, "unsafe") {
		t.Errorf("the page's policy is %q", policy)
	}
	if _, body := f.do(http.MethodGet, "/metrics", nil, nil); !bytes.Contains(body, []byte(`route="/v1/limits"`)) {
		t.Error("the metrics do not name the routes")
	}
}

func TestReadiness(t *testing.T) {
	f := newFixture(t, nil)
	for _, test := range []struct {
		down   string
		status int
		says   string
	}{{"redis", http.StatusOK, "degraded"}, {"image", http.StatusServiceUnavailable, "unready"}} {
		f.models.mu.Lock()
		f.models.fail = map[string]error{test.down: errPanic}
		f.models.mu.Unlock()
		response, body := f.do(http.MethodGet, "/readyz", nil, nil)
		if response.StatusCode != test.status || !bytes.Contains(body, []byte(`"`+test.says+`"`)) {
			t.Errorf("without %s: %d %s", test.down, response.StatusCode, body)
		}
	}
	if _, body := f.do(http.MethodGet, "/v1/models", nil, nil); bytes.Contains(body, []byte("consilium-image")) || !bytes.Contains(body, []byte("consilium-text")) {
		t.Errorf("with the image encoder down the models are %s", body)
	}
}
