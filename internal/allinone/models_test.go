package allinone

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// standIn returns one of the small models that internal/sandbox/testdata/make_models.py exported from PyTorch.
func standIn(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "sandbox", "testdata", name+".pt"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// sheet is a model card.
type sheet map[string]any

func list(items ...any) []any { return items }

func label(name string, threshold float64) any {
	return map[string]any{"name": name, "threshold": threshold}
}

// noduleCard is the card of the stand-in for a lung-nodule classifier.
func noduleCard() sheet {
	return sheet{
		"name": "lung-nodule", "task": "multi-label", "licence": "CC0-1.0", "format": "torchscript", "modalities": list("image"),
		"labels": list(label("nodule", 0.5), label("bright field", 0.5), label("dark field", 0.5)),
		"input":  map[string]any{"height": 64, "width": 64, "channels": 1, "normalisation": map[string]any{"mean": list(0.5), "std": list(0.25)}},
	}
}

// with returns the card with another value, without the field for nil.
func (c sheet) with(name string, value any) sheet {
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// modelForm returns the form of a model, with the digest of its weights in the card unless the card has one.
func modelForm(t *testing.T, card sheet, content []byte) (contentType string, body *bytes.Buffer) {
	t.Helper()
	if card["sha256"] == nil {
		sum := sha256.Sum256(content)
		card["sha256"] = hex.EncodeToString(sum[:])
	}
	raw, err := json.Marshal(card)
	if err != nil {
		t.Fatal(err)
	}
	contentType, b := form(t, map[string]string{"card": string(raw)}, map[string][]byte{"weights": content})
	return contentType, b.(*bytes.Buffer)
}

// bring stores a model.
func (s *session) bring(card sheet, content []byte) *client.BroughtModel {
	s.t.Helper()
	contentType, body := modelForm(s.t, card, content)
	r, err := s.CreateModelWithBodyWithResponse(s.t.Context(), contentType, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.JSON201 == nil {
		s.t.Fatalf("bring a model: %s %s", r.Status(), r.Body)
	}
	return r.JSON201
}

// judge has a model judge a study.
func (s *session) judge(study, model string) *client.Report {
	s.t.Helper()
	r, err := s.CreateReportWithResponse(s.t.Context(), study, client.ReportRequest{Model: &model})
	if err != nil {
		s.t.Fatal(err)
	}
	if r.JSON201 == nil {
		s.t.Fatalf("report by %s: %s %s", model, r.Status(), r.Body)
	}
	return r.JSON201
}

// probability returns what a report says of a label.
func probability(t *testing.T, report *client.Report, label string) (p float64, present bool) {
	t.Helper()
	for _, sentence := range report.Sections[0].Sentences {
		if e := sentence.Evidence[0]; e.Label == label {
			if e.Model == nil || *e.Model != report.Model.Digest {
				t.Errorf("the finding %s is of the model %v", label, e.Model)
			}
			return e.Probability, e.Present
		}
	}
	t.Fatalf("the report does not judge %q: %+v", label, report.Sections)
	return 0, false
}

// slice is a grey picture, with a bright round spot if radius is more than 0.
func slice(t *testing.T, radius float64) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 256, 256))
	for y := range 256 {
		for x := range 256 {
			v := 100.0
			if radius > 0 {
				d := math.Hypot(float64(x)-150, float64(y)-90)
				v += 150 * math.Exp(-d*d/(2*radius*radius))
			}
			img.SetGray(x, y, color.Gray{Y: uint8(v)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAModelThatAUserBrings goes the whole way with a stand-in for a lung-nodule classifier of CT slices.
func TestAModelThatAUserBrings(t *testing.T) {
	s := platform(t)
	ctx := t.Context()
	first := s.bring(noduleCard(), standIn(t, "nodule"))
	t.Cleanup(func() { _, _ = s.DeleteModelWithResponse(context.Background(), "lung-nodule") })
	if first.Id != "lung-nodule@1" || first.State != client.Loaded || first.Digest != "sha256:"+first.Card.Sha256 {
		t.Errorf("brought %+v", first)
	}
	with := s.store(&client.Upload{Images: [][]byte{slice(t, 12)}, Texts: []string{clinicalNote}})
	without := s.store(&client.Upload{Images: [][]byte{slice(t, 0)}})
	report := s.judge(with.Id, "lung-nodule")
	p, present := probability(t, report, "nodule")
	if q, other := probability(t, s.judge(without.Id, "lung-nodule"), "nodule"); !present || other || p < q+0.3 {
		t.Errorf("nodule: %.3f (%v) with a spot, %.3f (%v) without", p, present, q, other)
	}
	if m := report.Model; m.Licence != "CC0-1.0" || m.Validated || m.BroughtBy != client.User || !strings.Contains(report.Disclaimer, "not a medical device") ||
		!strings.Contains(report.Disclaimer, "has not validated it") || len(report.Notes) != 1 || report.Notes[0].Kind != "resized" {
		t.Errorf("model %+v, disclaimer %q, notes %+v", m, report.Disclaimer, report.Notes)
	}

	// A second version judges differently, the first stays, and both can be let go and come back.
	second := s.bring(noduleCard().with("labels", list(label("nodule", 0.9), label("bright field", 0.5), label("dark field", 0.5))), standIn(t, "nodule-2"))
	if second.Id != "lung-nodule@2" || second.Digest == first.Digest {
		t.Errorf("brought %+v", second)
	}
	newest := s.judge(with.Id, "lung-nodule")
	if newest.Model.Version != 2 || newest.Sections[0].Sentences[0].Evidence[0].Threshold != 0.9 {
		t.Errorf("the newest: %+v", newest.Model)
	}
	if unloaded, err := s.UnloadModelVersionWithResponse(ctx, "lung-nodule", 1); err != nil || unloaded.JSON200 == nil || unloaded.JSON200.State != client.Unloaded {
		t.Fatalf("unload: %v %s", err, unloaded.Body)
	}
	if read, err := s.GetModelVersionWithResponse(ctx, "lung-nodule", 1); err != nil || read.JSON200 == nil || read.JSON200.State != client.Unloaded {
		t.Errorf("unloaded: %v %s", err, read.Body)
	}
	if again, _ := probability(t, s.judge(with.Id, "lung-nodule@1"), "nodule"); again != p {
		t.Errorf("loaded again the first version says %v, before %v", again, p)
	}
	models, err := s.ListModelsWithResponse(ctx)
	if err != nil || models.JSON200 == nil {
		t.Fatalf("list: %v %s", err, models.Body)
	}
	loaded := 0
	for _, m := range models.JSON200.Data {
		if strings.HasPrefix(m.Id, "lung-nodule@") && m.State == client.Loaded && m.Licence == "CC0-1.0" {
			loaded++
		}
	}
	if loaded != 2 {
		t.Errorf("%d versions are loaded: %s", loaded, models.Body)
	}
	if gone, err := s.DeleteModelVersionWithResponse(ctx, "lung-nodule", 2); err != nil || gone.StatusCode() != http.StatusNoContent {
		t.Errorf("delete: %v %s", err, gone.Body)
	}
	if newest := s.judge(with.Id, "lung-nodule"); newest.Model.Version != 1 {
		t.Errorf("after version 2 was deleted the newest is %+v", newest.Model)
	}
}

// TestImageAndTextJudgedTogether stands for an ultrasound image with its pathology text.
func TestImageAndTextJudgedTogether(t *testing.T) {
	s := platform(t)
	s.bring(sheet{
		"name": "breast-ultrasound", "task": "one-of", "licence": "CC0-1.0", "format": "torchscript", "modalities": list("image", "text"),
		"labels": list(label("benign", 0.5), label("malignant", 0.5)),
		"input":  map[string]any{"height": 96, "width": 96, "channels": 3, "normalisation": map[string]any{"scheme": "(x-127)/128"}},
	}, standIn(t, "pathology"))
	t.Cleanup(func() { _, _ = s.DeleteModelWithResponse(context.Background(), "breast-ultrasound") })
	var said []float64
	for _, note := range []string{"Invasive ductal carcinoma, grade 3.", "Fibroadenoma without atypia."} {
		report := s.judge(s.store(&client.Upload{Images: [][]byte{slice(t, 40)}, Texts: []string{note}}).Id, "breast-ultrasound")
		p, _ := probability(t, report, "malignant")
		q, _ := probability(t, report, "benign")
		if math.Abs(p+q-1) > 1e-6 || report.Models["text"] == "" {
			t.Errorf("%q: %v and %v, models %v", note, p, q, report.Models)
		}
		said = append(said, p)
	}
	if said[0] == said[1] {
		t.Errorf("the note does not count: %v", said)
	}
	study := s.store(&client.Upload{Images: [][]byte{slice(t, 40)}})
	status, p := s.problem(http.MethodPost, "/v1/studies/"+study.Id+"/reports", "application/json", strings.NewReader(`{"model":"breast-ultrasound"}`))
	if status != http.StatusUnprocessableEntity || p.Field == nil || *p.Field != "model" {
		t.Errorf("a study without a note: %d %s", status, p.Error())
	}
}

// lite0State is the published state of EfficientNet-Lite0 with a head of three labels.
func lite0State(t *testing.T) []byte {
	t.Helper()
	published, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tensor.ReadPTH(published)
	if err != nil {
		t.Fatal(err)
	}
	head := tensor.Raw{Shape: []int64{3, 1280}, Values: make([]float32, 3*1280)}
	for i := range head.Values {
		head.Values[i] = float32(math.Sin(float64(i))) / 4
	}
	raw["_fc.weight"], raw["_fc.bias"] = head, tensor.Raw{Shape: []int64{3}, Values: make([]float32, 3)}
	path := filepath.Join(t.TempDir(), "state.safetensors")
	if err := tensor.WriteFullSafetensors(path, raw, nil); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func lite0Card(name string) sheet {
	return noduleCard().with("name", name).with("format", "safetensors").with("architecture", "efficientnet-lite0").
		with("input", map[string]any{"height": 224, "width": 224, "channels": 3, "normalisation": map[string]any{"scheme": "(x-127)/128"}})
}

func TestSafetensorsThatAUserBrings(t *testing.T) {
	s := platform(t)
	brought := s.bring(lite0Card("film"), lite0State(t))
	t.Cleanup(func() { _, _ = s.DeleteModelWithResponse(context.Background(), "film") })
	study := s.store(&client.Upload{Images: [][]byte{radiograph(t)}})
	report := s.judge(study.Id, brought.Id)
	if len(report.Sections[0].Sentences) != 3 || report.Model.Name != "film" {
		t.Errorf("report %+v", report)
	}
	if again := s.judge(study.Id, brought.Id); again.Sections[0].Sentences[0].Text != report.Sections[0].Sentences[0].Text {
		t.Errorf("the same study twice: %q and %q", again.Sections[0].Sentences[0].Text, report.Sections[0].Sentences[0].Text)
	}
}

// zipBomb is half a megabyte that unpacks to half a gigabyte.
func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("bomb/data/0")
	for zeros, n := make([]byte, 1<<20), 0; err == nil && n < 512; n++ {
		_, err = f.Write(zeros)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadModelsAreNamedProblems(t *testing.T) {
	s := platform(t)
	// While one module loops until its time is over, everything else goes on.
	looped := make(chan *client.Problem, 1)
	contentType, body := modelForm(t, noduleCard().with("name", "loops"), standIn(t, "loops"))
	go func() {
		r, err := s.CreateModelWithBodyWithResponse(t.Context(), contentType, body)
		if err != nil || r.ApplicationproblemJSONDefault == nil {
			t.Errorf("a module that never ends: %v", err)
			looped <- &client.Problem{}
			return
		}
		looped <- r.ApplicationproblemJSONDefault
	}()
	claims := append([]byte{91, 0, 0, 0, 0, 0, 0, 0}, `{"_fc.weight":{"dtype":"F32","shape":[3,16666666],"data_offsets":[0,199999992]}}            `...)
	for name, test := range map[string]struct {
		card    sheet
		content []byte
		status  int
		field   string
		says    string
	}{
		"wrong digest":       {noduleCard().with("sha256", strings.Repeat("0", 64)), standIn(t, "nodule"), 422, "card.sha256", "digest"},
		"too many labels":    {noduleCard().with("labels", list(label("a", 0.5))), standIn(t, "nodule"), 422, "card.labels", "logit"},
		"too few labels":     {noduleCard(), standIn(t, "fivelabels"), 422, "card.labels", "logit"},
		"other modalities":   {noduleCard().with("modalities", list("image", "text")), standIn(t, "nodule"), 422, "card.modalities", "forward"},
		"throws":             {noduleCard(), standIn(t, "throws"), 422, "weights", "this module never works"},
		"NaN":                {noduleCard(), standIn(t, "notanumber"), 422, "weights", "not finite"},
		"wants all memory":   {noduleCard(), standIn(t, "hoards"), 422, "weights", "memory"},
		"reads a file":       {noduleCard(), standIn(t, "readsfile"), 422, "weights", "operators"},
		"random":             {noduleCard(), standIn(t, "trains"), 422, "weights", "two ways"},
		"zip bomb":           {noduleCard(), zipBomb(t), 422, "weights", "unpacks to too much"},
		"no zip":             {noduleCard(), []byte("a file that is none"), 422, "weights", "zip"},
		"half an archive":    {noduleCard(), standIn(t, "nodule")[:6000], 422, "weights", "archive"},
		"claims 200 MB":      {lite0Card("film"), claims, 422, "weights", "safetensors"},
		"script as state":    {lite0Card("film"), standIn(t, "nodule"), 422, "weights", "safetensors"},
		"no licence":         {noduleCard().with("licence", nil), standIn(t, "nodule"), 422, "card.licence", "missing"},
		"a threshold of two": {noduleCard().with("labels", list(label("a", 2))), standIn(t, "nodule"), 422, "card.labels.0.threshold", ""},
	} {
		t.Run(name, func(t *testing.T) {
			contentType, body := modelForm(t, test.card, test.content)
			status, p := s.problem(http.MethodPost, "/v1/models", contentType, body)
			if status != test.status || p.Field == nil || *p.Field != test.field || !strings.Contains(p.Error(), test.says) {
				t.Errorf("%d %s; want %d about %s with %q", status, p.Error(), test.status, test.field, test.says)
			}
		})
	}
	if answer := s.vqa(map[string]string{"question": "what shape is it?"}, shapes(t)); answer.Confidence == 0 {
		t.Errorf("after all that: %+v", answer)
	}
	s.bring(noduleCard().with("name", "after-all-that"), standIn(t, "nodule"))
	if r, err := s.DeleteModelWithResponse(t.Context(), "after-all-that"); err != nil || r.StatusCode() != http.StatusNoContent {
		t.Errorf("delete: %v %s", err, r.Body)
	}
	if p := <-looped; p.Status != 422 || p.Field == nil || *p.Field != "weights" || p.Limit == nil || *p.Limit != "30s" {
		t.Errorf("a module that never ends: %s", p.Error())
	}
	models, err := s.ListModelsWithResponse(t.Context())
	if err != nil || models.JSON200 == nil {
		t.Fatal(err)
	}
	for _, m := range models.JSON200.Data {
		if m.OwnedBy == "user" {
			t.Errorf("%s was stored", m.Id)
		}
	}
}

func TestAModelOutlivesThePlatform(t *testing.T) {
	s, state := ownPlatform(t)
	s.bring(noduleCard(), standIn(t, "nodule"))
	study := s.store(&client.Upload{Images: [][]byte{slice(t, 12)}})
	before, _ := probability(t, s.judge(study.Id, "lung-nodule"), "nodule")
	if err := s.stack.Stop(); err != nil {
		t.Fatal(err)
	}
	stack, err := boot(t.Context(), state, &logBuffer{})
	if err != nil {
		t.Fatal(err)
	}
	defer stack.Stop()
	again := newSession(t, stack)
	if read, err := again.GetModelWithResponse(t.Context(), "lung-nodule"); err != nil || read.JSON200 == nil || read.JSON200.Versions[0].State != client.Unloaded {
		t.Fatalf("after a restart: %v %s", err, read.Body)
	}
	if after, _ := probability(t, again.judge(study.Id, "lung-nodule"), "nodule"); after != before {
		t.Errorf("after a restart it says %v, before %v", after, before)
	}
}

// TestASliceOfARealCT judges a DICOM file of pydicom's.
func TestASliceOfARealCT(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA names no folder with DICOM files")
	}
	ct, err := os.ReadFile(filepath.Join(data, "dicom", "CT_small.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	s := platform(t)
	s.bring(noduleCard().with("name", "ct"), standIn(t, "nodule"))
	t.Cleanup(func() { _, _ = s.DeleteModelWithResponse(context.Background(), "ct") })
	report := s.judge(s.store(&client.Upload{Images: [][]byte{ct}}).Id, "ct")
	if p, _ := probability(t, report, "nodule"); !(p > 0 && p < 1) || len(report.Notes) == 0 {
		t.Errorf("nodule %v, notes %+v", p, report.Notes)
	}
	t.Logf("%s; notes %+v", report.Sections[0].Sentences[0].Text, report.Notes)
}
