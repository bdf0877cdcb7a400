package allinone

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"slices"
	"testing"

	"consilium/gateway/client"
)

func TestStudyToReportToDeletion(t *testing.T) {
	s := platform(t)
	name := "All three modalities"
	image, sound := radiograph(t), tone()
	study := s.store(&client.Upload{
		Metadata: client.StudyMetadata{Title: &name, Labels: &map[string]string{"ward": "3"}},
		Texts:    []string{clinicalNote}, Images: [][]byte{image}, Sounds: [][]byte{sound},
	})
	if study.Title != name || study.Labels["ward"] != "3" || len(study.Artefacts) != 3 {
		t.Errorf("stored %+v", study)
	}
	content := map[client.Modality][]byte{client.ModalityText: []byte(clinicalNote), client.ModalityImage: image, client.ModalityAudio: sound}
	for _, a := range study.Artefacts {
		want := sha256.Sum256(content[a.Modality])
		if a.Sha256 != hex.EncodeToString(want[:]) || a.Bytes != int64(len(content[a.Modality])) {
			t.Errorf("%s: stored %d bytes with sha256 %s", a.Modality, a.Bytes, a.Sha256)
		}
		r, err := s.GetArtefactWithResponse(t.Context(), study.Id, a.Id)
		if err != nil || r.StatusCode() != http.StatusOK || !bytes.Equal(r.Body, content[a.Modality]) {
			t.Errorf("%s: other bytes come back, %v", a.Modality, err)
		}
	}

	answer := s.ask(study.Id, "is there a red shape?")
	checkEvidence(t, "answer", answer.Modalities, answer.Attention, answer.Models, 3)
	if answer.Text == "" || answer.Confidence <= 0 || answer.Confidence > 1 || len(answer.Candidates) == 0 || len(answer.Artefacts) != 3 {
		t.Errorf("answered %+v", answer)
	}
	if len(answer.Reliance) != 2 || answer.Reliance[0].Modality != client.ModalityImage || answer.Reliance[1].Modality != client.ModalityAudio || len(answer.Degraded) != 0 {
		t.Errorf("reliance %+v, degraded %+v", answer.Reliance, answer.Degraded)
	}
	last := answer.Confidence
	for _, c := range answer.Candidates {
		if c.Probability > last {
			t.Errorf("candidates are not sorted: %+v", answer.Candidates)
		}
		last = c.Probability
	}

	created, err := s.CreateReportWithResponse(t.Context(), study.Id, client.ReportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if created.JSON201 == nil {
		t.Fatalf("report: %s %s", created.Status(), created.Body)
	}
	report := created.JSON201
	checkEvidence(t, "report", report.Modalities, report.Attention, report.Models, 3)
	for _, section := range report.Sections {
		for _, sentence := range section.Sentences {
			if sentence.Text == "" || len(sentence.Evidence) == 0 && sentence.Measurements == nil {
				t.Errorf("a sentence without evidence: %+v", sentence)
			}
		}
	}
	for _, sentence := range report.Sections[0].Sentences {
		if len(sentence.Evidence) == 0 { // it rests on a measurement
			continue
		}
		f := sentence.Evidence[0]
		if (f.Activation != nil) != (f.Modality == client.ModalityImage) {
			t.Errorf("%s is judged from %s and has the activation %v", f.Label, f.Modality, f.Activation)
		}
		if f.Activation == nil {
			continue
		}
		drawn, err := s.GetFindingActivationWithResponse(t.Context(), report.Id, f.Label)
		if err != nil || drawn.StatusCode() != http.StatusOK || !bytes.HasPrefix(drawn.Body, []byte("\x89PNG")) {
			t.Errorf("the activation of %s: %s %v", f.Label, drawn.Status(), err)
		}
	}
	again, err := s.GetReportWithResponse(t.Context(), report.Id)
	if err != nil || again.JSON200 == nil {
		t.Fatalf("read the report again: %v %s", err, again.Body)
	}
	first, _ := json.Marshal(report)
	second, _ := json.Marshal(again.JSON200)
	if !bytes.Equal(first, second) {
		t.Errorf("the stored report differs:\n%s\n%s", first, second)
	}
	answers, err := s.ListAnswersWithResponse(t.Context(), study.Id, nil)
	if err != nil || answers.JSON200 == nil || len(answers.JSON200.Answers) != 1 || answers.JSON200.Answers[0].Id != answer.Id {
		t.Errorf("answers of the study: %v %s", err, answers.Body)
	}

	if r, err := s.DeleteStudyWithResponse(t.Context(), study.Id); err != nil || r.StatusCode() != http.StatusNoContent {
		t.Fatalf("delete: %v %s", err, r.Body)
	}
	for _, path := range []string{"/v1/studies/" + study.Id, "/v1/reports/" + report.Id, "/v1/reports/" + report.Id + "/attention.png", "/v1/studies/" + study.Id + "/questions",
		"/v1/studies/" + study.Id + "/artefacts/" + study.Artefacts[0].Id} {
		if status, _ := s.problem(http.MethodGet, path, "", nil); status != http.StatusNotFound {
			t.Errorf("%s: status %d after the deletion", path, status)
		}
	}
}

// checkEvidence looks at what every result has to carry, with this many modalities present.
func checkEvidence(t *testing.T, what string, modalities []client.ModalityWeight, attention *client.Attention, models client.Models, present int) {
	t.Helper()
	sum := 0.0
	for _, m := range modalities {
		sum += m.Weight
		if m.Weight < 0 || m.Entropy < 0 || m.Entropy > 1 {
			t.Errorf("%s: %+v", what, m)
		}
	}
	if len(modalities) != present || math.Abs(sum-1) > 1e-4 {
		t.Errorf("%s: %d modalities with weights that sum to %v, want %d and 1", what, len(modalities), sum, present)
	}
	if attention == nil || attention.Rows != 7 || attention.Cols != 7 || len(attention.Values) != 49 {
		t.Fatalf("%s: attention %+v", what, attention)
	}
	sum = 0
	for _, v := range attention.Values {
		sum += float64(v)
	}
	if math.Abs(sum-1) > 1e-3 {
		t.Errorf("%s: the attention sums to %v", what, sum)
	}
	if models["fusion"] == "" || models["image"] == "" {
		t.Errorf("%s: models %v", what, models)
	}
}

// TestAnswersAreRight asks the questions about the first pictures of the easy-VQA test set; docs/results.md has
// the figure for all of them.
func TestAnswersAreRight(t *testing.T) {
	s := platform(t)
	var rows [][]any // question, answer, number of the picture
	if err := json.Unmarshal(file(t, "easy-vqa", "data", "test", "questions.json"), &rows); err != nil {
		t.Fatal(err)
	}
	image := shapes(t)
	asked, right := 0, 0
	for _, row := range rows {
		if row[2] != float64(0) {
			continue
		}
		answer := s.vqa(map[string]string{"question": row[0].(string), "review_below": "0"}, image)
		checkEvidence(t, "answer", answer.Modalities, answer.Attention, answer.Models, 2)
		asked++
		if answer.Text == row[1] {
			right++
		} else {
			t.Logf("%q: answered %q (%.3f), right is %q", row[0], answer.Text, answer.Confidence, row[1])
		}
	}
	if asked == 0 || float64(right) < 0.9*float64(asked) {
		t.Errorf("%d of %d answers are right", right, asked)
	}
	if list, err := s.ListStudiesWithResponse(t.Context(), nil); err != nil || list.JSON200 == nil || len(list.JSON200.Studies) != 0 {
		t.Errorf("questions without a study left one: %v %s", err, list.Body)
	}
}

// vqa asks without storing anything.
func (s *session) vqa(fields map[string]string, image []byte) *client.StatelessAnswer {
	s.t.Helper()
	contentType, body := form(s.t, fields, map[string][]byte{"image": image})
	r, err := s.VqaWithBodyWithResponse(s.t.Context(), contentType, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.JSON200 == nil {
		s.t.Fatalf("vqa %v: %s %s", fields, r.Status(), r.Body)
	}
	return r.JSON200
}

// form is a multipart form of fields and files.
func form(t *testing.T, fields map[string]string, files map[string][]byte) (contentType string, body io.Reader) {
	t.Helper()
	b := &bytes.Buffer{}
	w := multipart.NewWriter(b)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		part, err := w.CreateFormFile(name, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b
}

// TestAnAnswerReliesOnThePictureThatItIsAbout asks what only the picture can tell.
func TestAnAnswerReliesOnThePictureThatItIsAbout(t *testing.T) {
	s := platform(t)
	answer := s.vqa(map[string]string{"question": "what is the color of the shape?", "review_below": "1"}, shapes(t))
	if len(answer.Reliance) != 1 || answer.Reliance[0].Modality != client.ModalityImage {
		t.Fatalf("reliance %+v", answer.Reliance)
	}
	r := answer.Reliance[0]
	t.Logf("%q (%.3f) relies on the image with %.3f: blank %+v, shuffled %+v", answer.Candidates[0].Text, answer.Confidence, r.Score, r.Blank, r.Shuffled)
	if r.Score < 0.5 || r.Score != max(r.Blank.Divergence, r.Shuffled.Divergence) || r.Blank.Changed != (r.Blank.Answer != answer.Candidates[0].Text) {
		t.Errorf("reliance %+v of the answer %q (%v)", r, answer.Candidates[0].Text, answer.Confidence)
	}
	if answer.Status != client.NeedsReview || answer.Confidence != answer.Candidates[0].Probability {
		t.Errorf("below 1 the answer is %+v", answer)
	}
}

func TestTheSameQuestionGetsTheSameAnswer(t *testing.T) {
	s := platform(t)
	study := s.store(&client.Upload{Images: [][]byte{shapes(t)}})
	first, second := s.ask(study.Id, "what is the color of the shape?"), s.ask(study.Id, "what is the color of the shape?")
	if first.Text != second.Text || first.Confidence != second.Confidence || first.Models["fusion"] != second.Models["fusion"] {
		t.Errorf("answered %q (%v), then %q (%v)", first.Text, first.Confidence, second.Text, second.Confidence)
	}
	if first.Id == second.Id {
		t.Error("the second answer was not stored")
	}
}

func TestReportNeedsNoImage(t *testing.T) {
	s := platform(t)
	study := s.store(&client.Upload{Texts: []string{clinicalNote}})
	r, err := s.CreateReportWithResponse(t.Context(), study.Id, client.ReportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r.JSON201 == nil {
		t.Fatalf("report on a note: %s %s", r.Status(), r.Body)
	}
	if len(r.JSON201.Modalities) != 1 || r.JSON201.Modalities[0].Modality != client.ModalityText || r.JSON201.Attention != nil {
		t.Errorf("modalities %+v, attention %v", r.JSON201.Modalities, r.JSON201.Attention)
	}
}

func TestEmbeddingsOfEveryModality(t *testing.T) {
	s := platform(t)
	body, err := json.Marshal(map[string]any{"model": "consilium", "input": []any{
		"a red circle",
		map[string]any{"type": "image", "data": shapes(t)},
		map[string]any{"type": "audio", "data": tone()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.CreateEmbeddingsWithBodyWithResponse(t.Context(), "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if r.JSON200 == nil || len(r.JSON200.Data) != 3 {
		t.Fatalf("embed: %s %s", r.Status(), r.Body)
	}
	for i, want := range []struct {
		modality client.Modality
		dim      int // 0: the encoder's choice
	}{{client.ModalityText, 384}, {client.ModalityImage, 1280}, {client.ModalityAudio, 0}} {
		e := r.JSON200.Data[i]
		vector, err := e.Embedding.AsEmbeddingEmbedding0()
		if err != nil || e.Index != i || e.Modality != want.modality || len(vector) == 0 || want.dim != 0 && len(vector) != want.dim || e.Model == "" {
			t.Errorf("embedding %d: %v of %d values by %q, %v", i, e.Modality, len(vector), e.Model, err)
		}
	}
}

func TestTheServiceDescribesItself(t *testing.T) {
	s := platform(t)
	models, err := s.ListModelsWithResponse(t.Context())
	if err != nil || models.JSON200 == nil {
		t.Fatalf("models: %v %s", err, models.Body)
	}
	for _, id := range []string{"consilium-text", "consilium-image", "consilium-radiograph", "consilium-audio", "consilium-fusion"} {
		if !slices.ContainsFunc(models.JSON200.Data, func(m client.Model) bool { return m.Id == id && m.State == "loaded" }) {
			t.Errorf("no model %s among %s", id, models.Body)
		}
	}
	ready, err := s.GetReadinessWithResponse(t.Context())
	if err != nil || ready.StatusCode() != http.StatusOK {
		t.Errorf("readiness: %v %s", err, ready.Body)
	}
	for path, kind := range map[string]string{"/docs": "text/html", "/openapi.yaml": "application/openapi+yaml", "/metrics": "text/plain", "/healthz": "application/json", "/v1/limits": "application/json"} {
		r, err := s.http.Get(s.stack.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || len(content) == 0 || !bytes.HasPrefix([]byte(r.Header.Get("Content-Type")), []byte(kind)) {
			t.Errorf("%s: %s, %s, %d bytes", path, r.Status, r.Header.Get("Content-Type"), len(content))
		}
	}
}
