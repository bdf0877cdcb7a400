package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"consilium/gateway/api"
	"consilium/gateway/client"
	"consilium/gateway/conform"
	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/knowledge"
	"consilium/internal/pipeline"
	"consilium/internal/postgres"
	"consilium/internal/postgres/pgtest"
	"consilium/internal/serve"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	pgtest.Main(m, postgres.Migrate)
}

// models implements the encoders and the fusion: features that depend on the input's bytes and nothing else, in
// the shapes of the real ones.
type models struct {
	mu   sync.Mutex
	fail map[string]error // by role
}

func (m *models) setFail(fail map[string]error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *models) features(ctx context.Context, modality analysis.Modality, inputs ...[]byte) ([]*analysis.Features, error) {
	m.mu.Lock()
	err := m.fail[string(modality)]
	m.mu.Unlock()
	if errors.Is(err, errStall) {
		<-ctx.Done()
		return nil, ctx.Err()
	} else if err != nil {
		return nil, err
	}
	shape := map[analysis.Modality]struct{ dim, tokens, tokenDim, rows, cols int }{
		analysis.Text: {384, 3, 384, 0, 0}, analysis.Image: {1280, 49, 1280, 7, 7}, analysis.Audio: {128, 8, 128, 0, 0},
	}[modality]
	var features []*analysis.Features
	for _, input := range inputs {
		sum := sha256.Sum256(input)
		fill := func(n int) []float32 {
			values := make([]float32, n)
			for i := range values {
				values[i] = float32(sum[(i+i/len(sum))%len(sum)]) / 255 // no two tokens are the same
			}
			return values
		}
		features = append(features, &analysis.Features{
			Modality: modality, Vector: fill(shape.dim), Tokens: fill(shape.tokens * shape.tokenDim), TokenCount: shape.tokens, TokenDim: shape.tokenDim,
			Rows: shape.rows, Cols: shape.cols, Model: string(modality) + "-digest",
			Notes: []analysis.Note{{Modality: modality, Kind: "resized", Detail: "as a test does"}},
		})
	}
	return features, nil
}

func (m *models) EncodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	var raw [][]byte
	for _, text := range texts {
		if strict && len(text) > 1000 {
			return nil, &analysis.Error{Code: analysis.TooLarge, Field: "text", Message: "the text is longer than 256 tokens", Limit: "256 tokens", Value: "999 tokens"}
		}
		raw = append(raw, []byte(text))
	}
	return m.features(ctx, analysis.Text, raw...)
}

func (m *models) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	return m.features(ctx, analysis.Image, images...)
}

func (m *models) EncodeAudio(ctx context.Context, sounds [][]byte, _ bool) ([]*analysis.Features, error) {
	return m.features(ctx, analysis.Audio, sounds...)
}

func (m *models) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail["fusion"]; errors.Is(err, errStall) {
		<-ctx.Done()
		return nil, ctx.Err()
	} else if errors.Is(err, errPanic) {
		panic(err)
	} else if err != nil {
		return nil, err
	}
	results := make([]*analysis.Result, len(requests))
	for i, request := range requests {
		results[i] = fused(request)
	}
	return results, nil
}

func fused(request *analysis.FuseRequest) *analysis.Result {
	result := &analysis.Result{Models: map[string]string{"fusion": "fusion-digest"}}
	var present []analysis.Modality
	for _, p := range []struct {
		modality analysis.Modality
		there    bool
	}{{analysis.Text, request.Text != nil || request.Question != nil}, {analysis.Image, request.Image != nil}, {analysis.Audio, request.Audio != nil}} {
		if p.there {
			present = append(present, p.modality)
		}
	}
	for _, modality := range present {
		result.Modalities = append(result.Modalities, analysis.ModalityWeight{Modality: modality, Weight: 1 / float64(len(present)), Entropy: 0.5})
	}
	if request.Image != nil {
		result.Attention = &analysis.Grid{Rows: 7, Cols: 7, Values: make([]float32, 49)}
		result.Attention.Values[0] = 1
	}
	if request.Task == analysis.Report {
		if request.Image != nil {
			result.Findings = []analysis.Finding{{Label: "pneumonia", Probability: 0.75, Threshold: 0.5, Present: true, Modality: analysis.Image,
				Activation: &analysis.Grid{Rows: 7, Cols: 7, Values: append([]float32{0, 0.5, 1}, make([]float32, 46)...)}}}
		}
		return result
	}
	names := []string{"red", "blue", "green", "yes", "no"}
	if request.Candidates > 0 {
		names = names[:min(len(names), request.Candidates)]
	}
	for i, name := range names {
		result.Answers = append(result.Answers, analysis.Candidate{Text: name, Probability: 1 / float64(int(2)<<i)})
	}
	return result
}

// Align implements analysis.Aligner: the same bytes have the same vector, whatever their modality.
func (m *models) Align(_ context.Context, f *analysis.Features) ([]float32, error) {
	vector, sum := make([]float32, analysis.VectorDim), 0.0
	for i := range vector {
		vector[i] = f.Vector[i] - 0.5
		sum += float64(vector[i]) * float64(vector[i])
	}
	for i := range vector {
		vector[i] /= float32(math.Sqrt(sum))
	}
	return vector, nil
}

// What the models can be told to do instead of answering.
var (
	errStall = errors.New("wait for the end of the request")
	errPanic = errors.New("panic")
)

// fixture is a gateway on a database and a blob folder of its own.
type fixture struct {
	t      *testing.T
	url    string
	models *models
	// brought runs the models that users bring.
	brought *shelf
	client  *client.ClientWithResponses
	log     *logBuffer
	blobs   string
	// transport sends what do sends.
	transport http.RoundTripper
	deps      Deps
	// store is the deps' stores, on the database at that address.
	store    *postgres.Store
	database string
}

// logBuffer is a log that the server writes while the test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newFixture starts a gateway whose every answer is held against openapi.yaml; change, if not nil, changes what it stands on.
func newFixture(t *testing.T, change func(*Deps)) *fixture {
	t.Helper()
	f := &fixture{t: t, models: &models{fail: map[string]error{}}, brought: &shelf{held: map[string]*analysis.ModelCard{}}, log: &logBuffer{}, blobs: t.TempDir()}
	blobs, err := blob.Open(f.blobs, DefaultLimits.ImageBytes)
	if err != nil {
		t.Fatal(err)
	}
	f.database = pgtest.New(t)
	store, err := postgres.Open(context.Background(), f.database, blobs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	graph, err := knowledge.New(store.KnowledgeStatic(), store.KnowledgeJournal(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	path := &pipeline.Pipeline{Text: f.models, Vision: f.models, Radiographs: f.models, Audio: f.models, Fusion: f.models}
	deps := Deps{Store: store, Reports: store, Instances: store, Jobs: store, Exporter: store, Scratch: blobs.Scratch, Knowledge: graph, DICOMSecret: bytes.Repeat([]byte{7}, 32), CursorSecret: bytes.Repeat([]byte{8}, 32), Analyzer: path, Embedder: path, Judge: &pipeline.Judge{Text: f.models, Models: store, Runner: f.brought}, Limits: DefaultLimits, ReviewBelow: 0.5, Bands: analysis.DefaultBands, Log: serve.NewLogger(f.log, serve.Config{LogFormat: "json"}, "gateway")}
	digest := func(of string) Digest {
		return func(context.Context) (string, error) { return of + "-digest", nil }
	}
	deps.Space = &Space{Vectors: store, Contents: store, Embedder: path, Aligner: f.models, AlignerDigest: digest("fusion"),
		Digests: map[analysis.Modality]Digest{analysis.Text: digest("text"), analysis.Image: digest("image"), analysis.Audio: digest("audio")}}
	for _, role := range []string{"text", "image", "audio", "fusion"} {
		failing := func() error { f.models.mu.Lock(); defer f.models.mu.Unlock(); return f.models.fail[role] }
		deps.Parts = append(deps.Parts, Part{Name: role + "-part", Role: role, Required: true,
			Ready:  func(context.Context) error { return failing() },
			Digest: func(context.Context) (string, error) { return role + "-digest", failing() }})
	}
	deps.Parts[0].Calibration = func(context.Context) (*analysis.Calibration, error) {
		return &analysis.Calibration{Precision: "int8", Samples: 3, MeanCosine: 0.99, LeastCosine: 0.97}, nil
	}
	deps.Parts = append(deps.Parts, Part{Name: "redis", Ready: func(context.Context) error {
		f.models.mu.Lock()
		defer f.models.mu.Unlock()
		return f.models.fail["redis"]
	}})
	if change != nil {
		change(&deps)
	}
	f.deps, f.store = deps, store
	handler, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(conform.New(t).Handler(handler))
	t.Cleanup(server.Close)
	f.url, f.transport = server.URL, http.DefaultTransport
	if f.client, err = client.NewClientWithResponses(server.URL); err != nil {
		t.Fatal(err)
	}
	return f
}

// do sends a request as it is and returns the answer.
func (f *fixture) do(method, path string, header http.Header, body io.Reader) (*http.Response, []byte) {
	f.t.Helper()
	request, err := http.NewRequest(method, f.url+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := f.transport.RoundTrip(request)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response, content
}

func (f *fixture) problem(response *http.Response, body []byte) api.Problem {
	f.t.Helper()
	var problem api.Problem
	if err := json.Unmarshal(body, &problem); err != nil || response.Header.Get("Content-Type") != "application/problem+json" {
		f.t.Fatalf("answered %d %s, want a problem: %.300s", response.StatusCode, response.Header.Get("Content-Type"), body)
	}
	if problem.Status != response.StatusCode || problem.TraceId != response.Header.Get("X-Trace-Id") {
		f.t.Errorf("problem %+v with status %d and trace %s", problem, response.StatusCode, response.Header.Get("X-Trace-Id"))
	}
	return problem
}

// files returns how many blobs are stored.
func (f *fixture) files() (n int) {
	f.t.Helper()
	if err := filepath.WalkDir(f.blobs, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	}); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// item is one part of a form.
type item struct {
	name    string
	content []byte
}

func form(items ...item) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range items {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", p.name, p.name)}})
		if err == nil {
			_, err = part.Write(p.content)
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// picture returns a PNG of one colour.
func picture(shade uint8) []byte {
	img := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range img.Pix {
		img.Pix[i] = color.Gray{Y: shade}.Y
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// sound returns a WAV file of a tenth of a second of silence: 16-bit PCM, mono, 8 kHz.
func sound() []byte {
	const rate, frames = 8000, 800
	var b bytes.Buffer
	b.WriteString("RIFF")
	for _, v := range []any{uint32(36 + 2*frames), [8]byte([]byte("WAVEfmt ")), uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16),
		[4]byte([]byte("data")), uint32(2 * frames), make([]int16, frames)} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// create stores a study with one artefact of each kind unless items says otherwise, and returns it.
func (f *fixture) create(items ...item) *client.Study {
	f.t.Helper()
	if items == nil {
		items = []item{{"metadata", []byte(`{"title":"Chest film","labels":{"ward":"7"}}`)}, {"text", []byte("Cough for a week.")}, {"image", picture(10)}, {"audio", sound()}}
	}
	contentType, body := form(items...)
	response, err := f.client.CreateStudyWithBodyWithResponse(context.Background(), contentType, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if response.JSON201 == nil {
		f.t.Fatalf("store a study: %s %s", response.Status(), response.Body)
	}
	return response.JSON201
}
