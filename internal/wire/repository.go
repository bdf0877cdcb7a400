package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"consilium/internal/analysis"
)

// repositoryPart names the part in messages.
const repositoryPart = "model repository"

// modelID is the form of the names under which models that users brought are served.
var modelID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

const (
	// maxLoadHeader bounds the JSON in front of the weights; the card may be written with every character escaped.
	maxLoadHeader = 8 * analysis.MaxCardBytes
	maxLoadBytes  = maxLoadHeader + analysis.MaxModelBytes + 1
	// maxHeldModels bounds a list of models.
	maxHeldModels = 1024
)

// modelContract is that of one model that a user brought.
func modelContract(id string) *contract {
	return &contract{
		model: id, part: repositoryPart, modality: analysis.Image,
		inputs: []Spec{
			{Name: "image", Datatype: BYTES, Shape: []int{1}, base64: true},
			{Name: "text", Datatype: FP32, Shape: []int{1, textDim}, optional: true},
		},
		outputs: []Spec{
			{Name: "logits", Datatype: FP32, Shape: []int{1, -1}},
			{Name: "notes", Datatype: BYTES, Shape: []int{1}},
		},
		maxRows: 1, maxRequestBytes: 36 << 20,
	}
}

// loadHeader is the JSON in front of the weights.
type loadHeader struct {
	ID      string             `json:"id"`
	Version int                `json:"version"`
	Card    analysis.ModelCard `json:"card"`
}

type repositoryServer struct {
	models analysis.ModelRunner
	info   ModelInfo
	held   *semaphore.Weighted
}

// WithModels serves models that users brought beside what next serves. A model is loaded by a body of JSON, as long as
// the header Inference-Header-Content-Length says, and the weights behind it; it is then a model of the protocol
// under its id, whose only version is that id.
func WithModels(next http.Handler, models analysis.ModelRunner, info ModelInfo) http.Handler {
	if info.Log == nil {
		info.Log = slog.New(slog.DiscardHandler)
	}
	s := &repositoryServer{models: models, info: info, held: semaphore.NewWeighted(maxHeldBytes)}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*repositoryServer, http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			one := s.one(r.PathValue("model"))
			one.answer(w, r, func(w http.ResponseWriter, r *http.Request) error { return h(s, w, r) })
		})
	}
	handle("GET /v2/repository/models", (*repositoryServer).list)
	handle("POST /v2/repository/models/{model}/load", (*repositoryServer).load)
	handle("POST /v2/repository/models/{model}/unload", (*repositoryServer).unload)
	mux.HandleFunc("POST /v2/models/{model}/infer", func(w http.ResponseWriter, r *http.Request) {
		if id := r.PathValue("model"); modelID.MatchString(id) {
			one := s.one(id)
			one.answer(w, r, one.infer)
			return
		}
		next.ServeHTTP(w, r)
	})
	mux.Handle("/", next)
	return mux
}

// one is a server of one model.
func (s *repositoryServer) one(id string) *server {
	info := s.info
	info.Digest = id
	return &server{contract: modelContract(id), info: info, held: s.held, run: func(ctx context.Context, r *request) ([]Tensor, error) {
		var text []float32
		if t := find(r.inputs, "text"); t != nil {
			text = t.Floats
		}
		made, err := s.models.RunModel(ctx, id, find(r.inputs, "image").Bytes[0], text)
		if err != nil {
			return nil, err
		}
		notes, err := json.Marshal(orEmpty(made.Notes))
		if err != nil {
			return nil, fmt.Errorf("write the notes: %w", err)
		}
		var outputs []Tensor
		for _, t := range []Tensor{floats("logits", made.Logits, 1, len(made.Logits)), byteStrings("notes", [][]byte{notes})} {
			if r.wants(t.Name) {
				outputs = append(outputs, t)
			}
		}
		return outputs, nil
	}}
}

func (s *repositoryServer) list(w http.ResponseWriter, r *http.Request) error {
	ids, err := s.models.LoadedModels(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": orEmpty(ids)})
	return nil
}

func (s *repositoryServer) load(w http.ResponseWriter, r *http.Request) error {
	length, err := headerLengthOf(r.Header)
	if err != nil {
		return invalid(err)
	}
	if length < 1 || length > maxLoadHeader {
		return analysis.Invalid(headerLengthField, "want 1 to %d bytes, found %d", maxLoadHeader, length)
	}
	if r.ContentLength > maxLoadBytes {
		w.Header().Set("Connection", "close") // rather than reading what was announced
		return &analysis.Error{Code: analysis.TooLarge, Field: "weights", Message: "the weights are too large",
			Limit: fmt.Sprintf("%d bytes", analysis.MaxModelBytes), Value: fmt.Sprintf("%d bytes", r.ContentLength-int64(length))}
	}
	body := http.MaxBytesReader(w, r.Body, maxLoadBytes)
	// A client that is still sending would lose the answer.
	defer func() { _, _ = io.Copy(io.Discard, body) }()
	raw := make([]byte, length)
	if _, err := io.ReadFull(body, raw); err != nil {
		return &analysis.Error{Code: analysis.InvalidArgument, Message: "the body of the request broke off", Err: err}
	}
	var head loadHeader
	if err := checkJSON(raw); err != nil {
		return invalid(err)
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return invalid(fmt.Errorf("parse the JSON: %w", err))
	}
	if id := r.PathValue("model"); id != head.ID || !modelID.MatchString(id) {
		return analysis.Invalid("id", "want a UUID, the same in path and body, found %s and %s", clip(id), clip(head.ID))
	}
	if err := s.models.LoadModel(r.Context(), &analysis.ModelVersion{ID: head.ID, Version: head.Version, Card: head.Card}, body); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": head.ID, "ready": true})
	return nil
}

func (s *repositoryServer) unload(w http.ResponseWriter, r *http.Request) error {
	if err := s.models.UnloadModel(r.Context(), r.PathValue("model")); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": clip(r.PathValue("model")), "ready": false})
	return nil
}

// ModelRunner is a model repository in another process.
type ModelRunner struct {
	base    string
	options ClientOptions
}

var _ analysis.ModelRunner = (*ModelRunner)(nil)

// NewModelRunner returns a client of the repository that the vision encoder at baseURL holds.
func NewModelRunner(baseURL string, options ClientOptions) (*ModelRunner, error) {
	if options.Transport == nil {
		options.Transport = NewTransport()
	}
	if _, err := newClient(modelContract(""), baseURL, options); err != nil {
		return nil, err
	}
	return &ModelRunner{strings.TrimSuffix(baseURL, "/"), options}, nil
}

// call returns a client of one model whose paths begin with prefix and the id, and have nothing to do with others'.
func (m *ModelRunner) call(prefix, id string) (*client, error) {
	c, err := newClient(modelContract(id), m.base, m.options)
	if err != nil {
		return nil, err
	}
	if id != "" && !modelID.MatchString(id) {
		return nil, fmt.Errorf("call a model: %q is no id of one", clip(id))
	}
	c.base = strings.TrimSuffix(m.base+prefix+id, "/")
	return c, nil
}

// LoadModel implements analysis.ModelRunner. The weights are sent as they are read; the version says how many they are.
func (m *ModelRunner) LoadModel(ctx context.Context, version *analysis.ModelVersion, weights io.Reader) error {
	c, err := m.call("/v2/repository/models/", version.ID)
	if err != nil {
		return err
	}
	head, err := json.Marshal(loadHeader{version.ID, version.Version, version.Card})
	if err != nil {
		return fmt.Errorf("write the card: %w", err)
	}
	c.timeout = max(c.timeout, analysis.MaxModelLoadTime+time.Minute)
	header := http.Header{"Content-Type": {"application/octet-stream"}, headerLengthField: {strconv.Itoa(len(head))}}
	body := io.MultiReader(strings.NewReader(string(head)), weights)
	_, _, err = c.send(ctx, http.MethodPost, "/load", header, body, int64(len(head))+version.Bytes, nil)
	return err
}

// UnloadModel implements analysis.ModelRunner.
func (m *ModelRunner) UnloadModel(ctx context.Context, id string) error {
	c, err := m.call("/v2/repository/models/", id)
	if err != nil {
		return err
	}
	_, _, err = c.do(ctx, http.MethodPost, "/unload", nil)
	return err
}

// LoadedModels implements analysis.ModelRunner.
func (m *ModelRunner) LoadedModels(ctx context.Context) ([]string, error) {
	c, err := m.call("/v2/repository/models", "")
	if err != nil {
		return nil, err
	}
	body, _, err := c.do(ctx, http.MethodGet, "", nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Models []string `json:"models"`
	}
	if err := checkJSON(body); err != nil {
		return nil, c.broken(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Models) > maxHeldModels {
		return nil, c.broken(errors.Join(err, fmt.Errorf("%d models", len(answer.Models))))
	}
	return answer.Models, nil
}

// RunModel implements analysis.ModelRunner.
func (m *ModelRunner) RunModel(ctx context.Context, id string, image []byte, text []float32) (*analysis.Judgement, error) {
	c, err := m.call("/v2/models/", id)
	if err != nil {
		return nil, err
	}
	inputs := []Tensor{byteStrings("image", [][]byte{image})}
	if text != nil {
		inputs = append(inputs, floats("text", text, 1, len(text)))
	}
	outputs, _, err := c.infer(ctx, nil, inputs)
	if err != nil {
		return nil, err
	}
	logits := find(outputs, "logits").Floats
	if len(logits) > analysis.MaxCardLabels {
		return nil, c.broken(fmt.Errorf("%d logits, more than %d", len(logits), analysis.MaxCardLabels))
	}
	for i, v := range logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, c.broken(fmt.Errorf("logit %d is %v", i, v))
		}
	}
	notes, err := readNotes(find(outputs, "notes").Bytes[0], analysis.Image)
	if err != nil {
		return nil, c.broken(err)
	}
	return &analysis.Judgement{Logits: logits, Notes: notes}, nil
}
