package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/blob"
)

// shelf runs models that users brought: logits that depend on the picture's bytes and nothing else. It holds two.
type shelf struct {
	mu     sync.Mutex
	held   map[string]*analysis.ModelCard
	order  []string
	refuse error // of LoadModel
	down   error // of everything
	logits int   // in place of the card's number, if not 0
	// begun and proceed, if not nil, have LoadModel tell that it has begun and wait.
	begun, proceed chan struct{}
}

func (s *shelf) LoadModel(_ context.Context, version *analysis.ModelVersion, weights io.Reader) error {
	if s.begun != nil {
		s.begun <- struct{}{}
		<-s.proceed
	}
	content, err := io.ReadAll(weights)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if s.refuse != nil {
		return s.refuse
	}
	if blob.Digest(content) != version.Card.SHA256 || int64(len(content)) != version.Bytes {
		return fmt.Errorf("%d bytes of another digest came", len(content))
	}
	if len(s.order) == 2 {
		delete(s.held, s.order[0])
		s.order = s.order[1:]
	}
	s.held[version.ID], s.order = &version.Card, append(s.order, version.ID)
	return nil
}

func (s *shelf) UnloadModel(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
	return s.down
}

func (s *shelf) LoadedModels(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order), s.down
}

func (s *shelf) RunModel(_ context.Context, id string, image []byte, text []float32) (*analysis.Judgement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	card := s.held[id]
	if card == nil {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "the model is not loaded"}
	}
	n := len(card.Labels)
	if s.logits > 0 {
		n = s.logits
	}
	j := &analysis.Judgement{Notes: []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: "as a test does"}}}
	for i := range n {
		j.Logits = append(j.Logits, float32(len(image)%7)-3+float32(i)+float32(len(text)))
	}
	return j, nil
}

// card returns a card for weights after change.
func card(weights []byte, change func(map[string]any)) []byte {
	c := map[string]any{
		"name": "lung-nodule", "task": "multi-label", "licence": "CC-BY-4.0", "format": "torchscript", "sha256": blob.Digest(weights),
		"labels":     []any{map[string]any{"name": "nodule", "threshold": 0.4}, map[string]any{"name": "calcified", "threshold": 0.6}},
		"modalities": []any{"image"},
		"input":      map[string]any{"height": 64, "width": 64, "channels": 1, "normalisation": map[string]any{"mean": []any{0.5}, "std": []any{0.25}}},
	}
	if change != nil {
		change(c)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return raw
}

func (f *fixture) bring(items ...item) (*client.CreateModelResponse, error) {
	contentType, body := form(items...)
	return f.client.CreateModelWithBodyWithResponse(context.Background(), contentType, bytes.NewReader(body))
}

func (f *fixture) mustBring(name, weights string) *client.BroughtModel {
	f.t.Helper()
	raw := card([]byte(weights), func(c map[string]any) { c["name"] = name })
	r, err := f.bring(item{"card", raw}, item{"weights", []byte(weights)})
	if err != nil || r.JSON201 == nil {
		f.t.Fatal(r.Status(), err, string(r.Body))
	}
	if want := fmt.Sprintf("/v1/models/%s/versions/%d", name, r.JSON201.Version); r.Headers201.Location != want {
		f.t.Errorf("location %s, want %s", r.Headers201.Location, want)
	}
	return r.JSON201
}

func TestAModelFromBeginningToEnd(t *testing.T) {
	f := newFixture(t, nil)
	ctx := context.Background()
	first := f.mustBring("lung-nodule", "weights")
	second := f.mustBring("lung-nodule", "better weights")
	third := f.mustBring("breast", "other weights") // the shelf holds two: the first is let go
	if first.Version != 1 || second.Version != 2 || second.Id != "lung-nodule@2" || third.Version != 1 || first.State != client.Loaded ||
		first.Digest != "sha256:"+blob.Digest([]byte("weights")) || first.Bytes != 7 || first.Card.Labels[1].Threshold != 0.6 {
		t.Errorf("brought %+v, %+v, %+v", first, second, third)
	}
	list, err := f.client.ListModelsWithResponse(ctx)
	if err != nil || list.JSON200 == nil {
		t.Fatal(err, string(list.Body))
	}
	var listed []string
	for _, m := range list.JSON200.Data {
		if c := m.Calibration; (c != nil) != (m.Role == client.ModelRoleText) || c != nil && (c.Samples != 3 || c.MeanCosine != 0.99 || c.LeastCosine != 0.97) {
			t.Errorf("%s has the calibration %+v", m.Id, c)
		}
		if m.OwnedBy == "user" {
			listed = append(listed, fmt.Sprint(m.Id, " ", m.Version, " ", m.Role, " ", m.State, " ", m.Licence))
		}
	}
	want := []string{"breast@1 1 brought loaded CC-BY-4.0", "lung-nodule@2 2 brought loaded CC-BY-4.0", "lung-nodule@1 1 brought unloaded CC-BY-4.0"}
	if !slices.Equal(listed, want) || len(list.JSON200.Data) != 7 {
		t.Errorf("listed %q of %d, want %q", listed, len(list.JSON200.Data), want)
	}
	read, err := f.client.GetModelWithResponse(ctx, "lung-nodule")
	if err != nil || read.JSON200 == nil || len(read.JSON200.Versions) != 2 || read.JSON200.Versions[0].Version != 2 || read.JSON200.Versions[1].State != client.Unloaded {
		t.Errorf("read %v %s", err, read.Body)
	}
	if loaded, err := f.client.LoadModelVersionWithResponse(ctx, "lung-nodule", 1); err != nil || loaded.JSON200 == nil || loaded.JSON200.State != client.Loaded {
		t.Errorf("load: %v %s", err, loaded.Body)
	}
	if unloaded, err := f.client.UnloadModelVersionWithResponse(ctx, "lung-nodule", 1); err != nil || unloaded.JSON200 == nil || unloaded.JSON200.State != client.Unloaded {
		t.Errorf("unload: %v %s", err, unloaded.Body)
	}
	if one, err := f.client.GetModelVersionWithResponse(ctx, "lung-nodule", 1); err != nil || one.JSON200 == nil || one.JSON200.State != client.Unloaded {
		t.Errorf("read one: %v %s", err, one.Body)
	}

	study := f.create()
	for model, version := range map[string]int{"lung-nodule": 2, "lung-nodule@1": 1} { // the first is loaded when it is asked for
		r, err := f.client.CreateReportWithResponse(ctx, study.Id, client.ReportRequest{Model: &model})
		if err != nil || r.JSON201 == nil {
			t.Fatal(err, string(r.Body))
		}
		report := r.JSON201
		if m := report.Model; m == nil || m.Name != "lung-nodule" || m.Version != version || m.Licence != "CC-BY-4.0" || m.BroughtBy != client.User || m.Validated || report.Models["brought"] != m.Digest {
			t.Errorf("%s: the report is of %+v, models %v", model, m, report.Models)
		}
		evidence := report.Sections[0].Sentences[0].Evidence[0]
		if len(report.Sections[0].Sentences) != 2 || evidence.Model == nil || *evidence.Model != report.Model.Digest || evidence.Present != (evidence.Probability >= evidence.Threshold) {
			t.Errorf("%s: sections %+v", model, report.Sections)
		}
		if !strings.Contains(report.Disclaimer, "not a medical device") || !strings.Contains(report.Disclaimer, "this platform has not validated it") || !strings.Contains(report.Disclaimer, "CC-BY-4.0") {
			t.Errorf("%s: disclaimer %q", model, report.Disclaimer)
		}
		if len(report.NotAssessed) != 2 || !strings.Contains(report.NotAssessed[0].Reason, "does not read the note") {
			t.Errorf("%s: not assessed %+v", model, report.NotAssessed)
		}
		again, err := f.client.GetReportWithResponse(ctx, report.Id)
		if err != nil || again.JSON200 == nil || again.JSON200.Model == nil || *again.JSON200.Model != *report.Model {
			t.Errorf("%s: read again: %v %s", model, err, again.Body)
		}
	}
	own, err := f.client.CreateReportWithResponse(ctx, study.Id, client.ReportRequest{})
	if err != nil || own.JSON201 == nil || own.JSON201.Model != nil || strings.Contains(own.JSON201.Disclaimer, "brought") {
		t.Errorf("the platform's own report: %v %s", err, own.Body)
	}

	files := f.files()
	if r, err := f.client.DeleteModelVersionWithResponse(ctx, "lung-nodule", 2); err != nil || r.StatusCode() != http.StatusNoContent {
		t.Errorf("delete: %v %s", err, r.Body)
	}
	if again := f.mustBring("lung-nodule", "best weights"); again.Version != 3 {
		t.Errorf("version %d after 2 was deleted", again.Version)
	}
	if r, err := f.client.DeleteModelWithResponse(ctx, "lung-nodule"); err != nil || r.StatusCode() != http.StatusNoContent {
		t.Errorf("delete all: %v %s", err, r.Body)
	}
	if n := f.files(); n != files-2 || len(f.brought.held) != 0 {
		t.Errorf("%d files, before %d; %d models held", n, files, len(f.brought.held))
	}
}

func TestBadModelsStoreNothing(t *testing.T) {
	f := newFixture(t, nil)
	weights := []byte("weights")
	good := item{"weights", weights}
	with := func(change func(map[string]any)) []item { return []item{{"card", card(weights, change)}, good} }
	set := func(value any, path ...string) []item {
		return with(func(c map[string]any) {
			for _, name := range path[:len(path)-1] {
				c = c[name].(map[string]any)
			}
			if c[path[len(path)-1]] = value; value == nil {
				delete(c, path[len(path)-1])
			}
		})
	}
	label := func(name any, threshold any) []any {
		return []any{map[string]any{"name": "nodule", "threshold": 0.5}, map[string]any{"name": name, "threshold": threshold}}
	}
	tests := map[string]struct {
		items  []item
		status int
		field  string
	}{
		"no card":                     {[]item{good}, 422, "card"},
		"no weights":                  {[]item{{"card", card(weights, nil)}}, 422, "weights"},
		"empty weights":               {[]item{{"card", card(nil, nil)}, {"weights", nil}}, 422, "weights"},
		"two cards":                   {[]item{{"card", card(weights, nil)}, {"card", card(weights, nil)}, good}, 422, "card"},
		"two weights":                 {[]item{good, good, {"card", card(weights, nil)}}, 422, "weights"},
		"another part":                {[]item{{"colour", []byte("red")}}, 422, "colour"},
		"empty card":                  {[]item{{"card", nil}, good}, 400, "card"},
		"card no JSON":                {[]item{{"card", []byte("{")}, good}, 400, "card"},
		"card no YAML":                {[]item{{"card", []byte("a: b: c: [")}, good}, 400, "card"},
		"card a list":                 {[]item{{"card", []byte("- a\n- b")}, good}, 422, "card"},
		"card of one word":            {[]item{{"card", []byte("hello")}, good}, 422, "card"},
		"YAML bomb":                   {[]item{{"card", yamlBomb()}, good}, 400, "card"},
		"YAML not a number":           {[]item{{"card", []byte("name: .nan")}, good}, 400, "card"},
		"card too large":              {[]item{{"card", bytes.Repeat([]byte(" "), analysis.MaxCardBytes+1)}, good}, 413, "card"},
		"another digest":              {[]item{{"card", card([]byte("others"), nil)}, good}, 422, "card.sha256"},
		"unknown field":               {set("red", "colour"), 422, "card.colour"},
		"no name":                     {set(nil, "name"), 422, "card.name"},
		"name with a slash":           {set("../a", "name"), 422, "card.name"},
		"our name":                    {set("consilium-image", "name"), 422, "card.name"},
		"no task":                     {set(nil, "task"), 422, "card.task"},
		"another task":                {set("segmentation", "task"), 422, "card.task"},
		"no labels":                   {set(nil, "labels"), 422, "card.labels"},
		"empty labels":                {set([]any{}, "labels"), 422, "card.labels"},
		"one of one":                  {with(func(c map[string]any) { c["task"], c["labels"] = "one-of", label("x", 0.5)[:1] }), 422, "card.labels"},
		"label twice":                 {set(label("Nodule", 0.5), "labels"), 422, "card.labels.1.name"},
		"label of spaces":             {set(label(" ", 0.5), "labels"), 422, "card.labels.1.name"},
		"label of two lines":          {set(label("a\nb", 0.5), "labels"), 422, "card.labels.1.name"},
		"label with a NUL":            {set(label("a\x00", 0.5), "labels"), 422, "card.labels.1.name"},
		"no threshold":                {set([]any{map[string]any{"name": "a"}}, "labels"), 422, "card.labels.0.threshold"},
		"threshold 0":                 {set(label("a", 0), "labels"), 422, "card.labels.1.threshold"},
		"threshold 1":                 {set(label("a", 1), "labels"), 422, "card.labels.1.threshold"},
		"threshold 2":                 {set(label("a", 2), "labels"), 422, "card.labels.1.threshold"},
		"threshold in words":          {set(label("a", "half"), "labels"), 422, "card.labels.1.threshold"},
		"no modalities":               {set(nil, "modalities"), 422, "card.modalities"},
		"only text":                   {set([]any{"text"}, "modalities"), 422, "card.modalities"},
		"sound":                       {set([]any{"image", "audio"}, "modalities"), 422, "card.modalities"},
		"image twice":                 {set([]any{"image", "image"}, "modalities"), 422, "card.modalities"},
		"no input":                    {set(nil, "input"), 422, "card.input"},
		"no height":                   {set(nil, "input", "height"), 422, "card.input.height"},
		"a huge picture":              {set(4096, "input", "width"), 422, "card.input.width"},
		"half a pixel":                {set(64.5, "input", "width"), 422, "card.input.width"},
		"two channels":                {set(2, "input", "channels"), 422, "card.input.channels"},
		"three channels, one mean":    {set(3, "input", "channels"), 422, "card.input.normalisation.mean"},
		"no normalisation":            {set(map[string]any{}, "input", "normalisation"), 422, "card.input.normalisation"},
		"scheme and mean":             {set("(x-127)/128", "input", "normalisation", "scheme"), 422, "card.input.normalisation"},
		"another scheme":              {set(map[string]any{"scheme": "x/255"}, "input", "normalisation"), 422, "card.input.normalisation.scheme"},
		"no std":                      {set(nil, "input", "normalisation", "std"), 422, "card.input.normalisation.std"},
		"std 0":                       {set([]any{0}, "input", "normalisation", "std"), 422, "card.input.normalisation.std.0"},
		"no licence":                  {set(nil, "licence"), 422, "card.licence"},
		"a blank licence":             {set(" ", "licence"), 422, "card.licence"},
		"no digest":                   {set(nil, "sha256"), 422, "card.sha256"},
		"a short digest":              {set("abc", "sha256"), 422, "card.sha256"},
		"no format":                   {set(nil, "format"), 422, "card.format"},
		"a pickle":                    {set("pickle", "format"), 422, "card.format"},
		"script of architecture":      {set("efficientnet-lite0", "architecture"), 422, "card.architecture"},
		"safetensors of none":         {set("safetensors", "format"), 422, "card.architecture"},
		"safetensors of another size": {with(func(c map[string]any) { c["format"], c["architecture"] = "safetensors", "efficientnet-lite0" }), 422, "card.input"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			contentType, body := form(test.items...)
			response, content := f.do(http.MethodPost, "/v1/models", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))
			p := f.problem(response, content)
			if p.Status != test.status || p.Field == nil || *p.Field != test.field && !strings.HasPrefix(*p.Field, test.field+".") {
				t.Errorf("got %s, want %d about %s", content, test.status, test.field)
			}
		})
	}
	f.brought.refuse = analysis.Invalid("weights", "the module throws")
	contentType, body := form(with(nil)...)
	if p := f.problem(f.do(http.MethodPost, "/v1/models", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))); p.Status != 422 || *p.Field != "weights" {
		t.Errorf("a model that does not pass: %+v", p)
	}
	f.brought.refuse, f.brought.down = nil, analysis.Errorf(analysis.Unavailable, "the vision encoder is not reachable")
	if p := f.problem(f.do(http.MethodPost, "/v1/models", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))); p.Status != 503 {
		t.Errorf("without the encoder: %+v", p)
	}
	if p := f.problem(f.do(http.MethodPost, "/v1/models", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body[:len(body)/2]))); p.Status != 400 || *p.Field != "body" {
		t.Errorf("half a form: %+v", p)
	}
	list, err := f.client.ListModelsWithResponse(context.Background())
	if err != nil || list.JSON200 == nil || len(list.JSON200.Data) != 4 || f.files() != 0 {
		t.Errorf("something was stored: %v %s, %d files", err, list.Body, f.files())
	}
}

// yamlBomb is a kilobyte that would expand to 10^9 words.
func yamlBomb() []byte {
	b := []byte("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		alias := fmt.Sprintf("*a%d", i)
		b = fmt.Appendf(b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(alias+",", 10), ","))
	}
	return b
}

func TestACardInYAML(t *testing.T) {
	f := newFixture(t, nil)
	weights := []byte("weights")
	yaml := "# a comment\nname: breast-ultrasound\ntask: one-of\nlabels:\n- {name: benign, threshold: 0.5}\n- {name: malignant, threshold: 0.3}\nmodalities: [image, text]\n" +
		"input:\n  height: 96\n  width: 128\n  channels: 3\n  normalisation: {scheme: (x-127)/128}\nlicence: research only\nsha256: \"" + blob.Digest(weights) + "\"\nformat: torchscript\n"
	r, err := f.bring(item{"weights", weights}, item{"card", []byte(yaml)}) // in this order too
	if err != nil || r.JSON201 == nil {
		t.Fatal(err, string(r.Body))
	}
	if c := r.JSON201.Card; c.Input.Width != 128 || *c.Input.Normalisation.Scheme != "(x-127)/128" || len(c.Modalities) != 2 || c.Labels[1].Threshold != 0.3 {
		t.Errorf("card %+v", c)
	}
	model := "breast-ultrasound"
	report, err := f.client.CreateReportWithResponse(context.Background(), f.create().Id, client.ReportRequest{Model: &model})
	if err != nil || report.JSON201 == nil || report.JSON201.Models["text"] != "text-digest" || len(report.JSON201.NotAssessed) != 1 {
		t.Fatal(err, string(report.Body))
	}
	sum := 0.0
	for _, s := range report.JSON201.Sections[0].Sentences {
		sum += s.Evidence[0].Probability
	}
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("the probabilities of labels that exclude one another sum to %v", sum)
	}
	for name, items := range map[string][]item{"no note": {{"image", picture(10)}}, "no image": {{"text", []byte("a note")}}} {
		study := f.create(items...)
		p := f.problem(f.do(http.MethodPost, "/v1/studies/"+study.Id+"/reports", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(`{"model":"breast-ultrasound"}`)))
		if p.Status != 422 || p.Field == nil || *p.Field != "model" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestModelsThatAreNotThere(t *testing.T) {
	f := newFixture(t, nil)
	f.mustBring("nodule", "weights")
	study := f.create()
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/models/none", "", 404}, {"DELETE", "/v1/models/none", "", 404}, {"GET", "/v1/models/nodule/versions/2", "", 404},
		{"DELETE", "/v1/models/nodule/versions/2", "", 404}, {"POST", "/v1/models/nodule/versions/2/load", "", 404},
		{"POST", "/v1/models/nodule/versions/2/unload", "", 404}, {"GET", "/v1/models/nodule/versions/0", "", 400},
		{"GET", "/v1/models/nodule/versions/x", "", 400}, {"GET", "/v1/models/nodule/versions/99999999999", "", 400}, {"GET", "/v1/models/UP", "", 400},
		{"GET", "/v1/models/..%2f..%2fetc", "", 400}, {"POST", "/v1/studies/" + study.Id + "/reports", `{"model":"none"}`, 404},
		{"POST", "/v1/studies/" + study.Id + "/reports", `{"model":"nodule@2"}`, 404}, {"POST", "/v1/studies/" + study.Id + "/reports", `{"model":"nodule@0"}`, 422},
		{"POST", "/v1/studies/" + study.Id + "/reports", `{"model":"a b"}`, 422}, {"POST", "/v1/studies/" + study.Id + "/reports", `{"model":7}`, 422},
	} {
		p := f.problem(f.do(test.method, test.path, http.Header{"Content-Type": {"application/json"}}, strings.NewReader(test.body)))
		if p.Status != test.status || p.Field == nil {
			t.Errorf("%s %s %s: %+v, want %d", test.method, test.path, test.body, p, test.status)
		}
	}
}

func TestAModelThatFailsStoresNoReport(t *testing.T) {
	f := newFixture(t, nil)
	f.mustBring("nodule", "weights")
	study := f.create()
	report := func() int {
		return f.problem(f.do(http.MethodPost, "/v1/studies/"+study.Id+"/reports", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(`{"model":"nodule"}`))).Status
	}
	f.brought.logits = 5
	if status := report(); status != 502 {
		t.Errorf("five logits for two labels: %d", status)
	}
	f.brought.logits, f.brought.down = 0, analysis.Errorf(analysis.Unavailable, "the vision encoder is not reachable")
	if status := report(); status != 503 {
		t.Errorf("without the encoder: %d", status)
	}
	list, err := f.client.GetModelWithResponse(context.Background(), "nodule")
	if err != nil || list.JSON200 == nil || list.JSON200.Versions[0].State != client.Unknown {
		t.Errorf("the state without the encoder: %v %s", err, list.Body)
	}
	f.brought.down = nil
	if err := f.brought.UnloadModel(context.Background(), f.brought.order[0]); err != nil {
		t.Fatal(err)
	}
	f.brought.refuse = analysis.Invalid("weights", "they changed")
	if status := report(); status != 502 {
		t.Errorf("a stored model that does not load any more: %d", status)
	}
}

func TestModelUploadsAreBounded(t *testing.T) {
	f := newFixture(t, nil)
	f.brought.begun, f.brought.proceed = make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	for i := range maxModelUploads {
		group.Go(func() { f.mustBring(fmt.Sprint("m", i), "weights") })
	}
	for range maxModelUploads { // both are being checked
		<-f.brought.begun
	}
	contentType, body := form(item{"card", card([]byte("x"), nil)}, item{"weights", []byte("x")})
	if p := f.problem(f.do(http.MethodPost, "/v1/models", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))); p.Status != http.StatusTooManyRequests {
		t.Errorf("one more: %+v", p)
	}
	close(f.brought.proceed)
	group.Wait()
	// What announces more than may come is refused before it is read.
	request, err := http.NewRequest(http.MethodPost, f.url+"/v1/models", io.LimitReader(endlessZeros{}, modelFormBytes+1))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = modelFormBytes + 1
	request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body over the limit: %d", response.StatusCode)
		}
	}
}

type endlessZeros struct{}

func (endlessZeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
