package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"consilium/internal/analysis"
)

// ModelInfo is what a server tells about its model.
type ModelInfo struct {
	// Digest is the digest of the weights; it is the model's only version.
	Digest string
	// Probe proves that the model infers, by comparing a real forward pass with a stored result.
	Probe func(context.Context) error
	// Calibration is that of a model that computes in fewer bits than float32, else nil.
	Calibration *analysis.Calibration
	// Log gets what the caller of a failed request may not see.
	Log *slog.Logger
}

// Of returns the info of another model in the same process.
func (i ModelInfo) Of(model Model) ModelInfo {
	return infoOf(model, i.Log)
}

const (
	// maxHeldBytes bounds the bodies that are held at the same time.
	maxHeldBytes = 512 << 20
	// minHeldBytes is what a request counts at least; its answer is larger than its body.
	minHeldBytes = 1 << 20
)

// server serves one model.
type server struct {
	*contract
	info  ModelInfo
	run   func(ctx context.Context, r *request) ([]Tensor, error)
	ready *readiness
	held  *semaphore.Weighted // bytes of bodies
	mux   *http.ServeMux
	// beside are models that the same process serves under their own names.
	beside []*server
}

// request is a decoded request.
type request struct {
	inputs     []Tensor
	parameters parameters
	requested  []tensorHeader
}

// wants reports whether the caller wants this output; a request that names none wants all.
func (r *request) wants(name string) bool {
	return len(r.requested) == 0 || slices.ContainsFunc(r.requested, func(h tensorHeader) bool { return h.Name == name })
}

// metadata describes the model.
type metadata struct {
	Name       string         `json:"name"`
	Versions   []string       `json:"versions"`
	Platform   string         `json:"platform"`
	Inputs     []Spec         `json:"inputs"`
	Outputs    []Spec         `json:"outputs"`
	Parameters map[string]any `json:"parameters"`
}

func newServer(c *contract, info ModelInfo, run func(context.Context, *request) ([]Tensor, error)) *server {
	if info.Log == nil {
		info.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{contract: c, info: info, run: run, ready: &readiness{probe: info.Probe}, held: semaphore.NewWeighted(maxHeldBytes), mux: http.NewServeMux()}
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request) error) {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, h) })
	}
	handle("GET /v2", s.serverMetadata)
	handle("GET /v2/health/live", s.live)
	handle("GET /v2/health/ready", s.serverReady)
	handle("POST /v2/repository/index", s.index)
	for _, base := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		handle("GET "+base, s.modelMetadata)
		handle("GET "+base+"/ready", s.modelReady)
		handle("POST "+base+"/infer", s.infer)
	}
	handle("/", func(_ http.ResponseWriter, r *http.Request) error {
		return analysis.Errorf(analysis.NotFound, "no route %s %s", clip(r.Method), clip(r.URL.Path))
	})
	return s
}

// answer calls h; the error it returns becomes the answer here and nowhere else.
func (s *server) answer(w http.ResponseWriter, r *http.Request, h func(http.ResponseWriter, *http.Request) error) {
	err := s.checkPath(r)
	if err == nil {
		err = h(w, r)
	}
	if err == nil {
		return
	}
	e := public(err, s.part)
	if status := statusOf[e.Code]; status >= 500 {
		s.info.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err.Error())
	}
	writeFault(w, e)
}

func (s *server) checkPath(r *http.Request) error {
	if model := r.PathValue("model"); model != "" && model != s.model {
		return analysis.Errorf(analysis.NotFound, "no model %s, this server holds %s", clip(model), s.model)
	}
	if version := r.PathValue("version"); version != "" && version != s.info.Digest {
		return analysis.Errorf(analysis.NotFound, "no version %s of model %s, this server holds %s", clip(version), s.model, s.info.Digest)
	}
	return nil
}

func (s *server) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"name": "consilium", "version": s.info.Digest, "extensions": []string{"binary_tensor_data"}})
	return nil
}

func (s *server) live(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"live": true})
	return nil
}

func (s *server) serverReady(w http.ResponseWriter, r *http.Request) error {
	for _, m := range append([]*server{s}, s.beside...) {
		if err := m.checkReady(r.Context()); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"ready": true})
	return nil
}

func (s *server) modelReady(w http.ResponseWriter, r *http.Request) error {
	if err := s.checkReady(r.Context()); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": s.model, "ready": true})
	return nil
}

// checkReady returns an Unavailable error unless the probe passes.
func (s *server) checkReady(ctx context.Context) error {
	err := s.ready.check(ctx)
	if err == nil {
		return nil
	}
	return &analysis.Error{Code: analysis.Unavailable, Message: "the " + s.part + " does not pass its probe", Err: err}
}

func (s *server) modelMetadata(w http.ResponseWriter, _ *http.Request) error {
	m := metadata{
		Name: s.model, Versions: []string{s.info.Digest}, Platform: "consilium",
		Inputs: s.inputs, Outputs: s.outputs,
		Parameters: map[string]any{"digest": s.info.Digest, "max_rows": s.maxRows, "max_request_bytes": s.maxRequestBytes},
	}
	if s.info.Calibration != nil {
		m.Parameters["calibration"] = s.info.Calibration
	}
	writeJSON(w, http.StatusOK, m)
	return nil
}

// index answers Triton's listing of models; the filter that a client may send is not looked at, since there are few.
func (s *server) index(w http.ResponseWriter, r *http.Request) error {
	list := []map[string]string{}
	for _, m := range append([]*server{s}, s.beside...) {
		state, reason := "READY", ""
		if err := m.checkReady(r.Context()); err != nil {
			state, reason = "UNAVAILABLE", public(err, m.part).Message
		}
		list = append(list, map[string]string{"name": m.model, "version": m.info.Digest, "state": state, "reason": reason})
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *server) infer(w http.ResponseWriter, r *http.Request) error {
	size := max(r.ContentLength, minHeldBytes)
	if r.ContentLength < 0 || size > s.maxRequestBytes {
		size = s.maxRequestBytes // all that may be read of a body of unknown length, or of one that is about to be refused
	}
	if !s.held.TryAcquire(size) {
		return &analysis.Error{
			Code: analysis.Overloaded, Message: "the " + s.part + " holds too many requests", RetryAfter: time.Second,
			Limit: fmt.Sprintf("%d bytes", maxHeldBytes), Value: "more",
		}
	}
	defer s.held.Release(size)
	m, inputs, err := s.readRequest(w, r)
	if err != nil {
		return err
	}
	byDefault, asBinary, err := s.outputForm(m)
	if err != nil {
		return invalid(err)
	}
	ctx := r.Context()
	priority, _, err := m.Parameters.number(priorityParameter, math.MaxInt32)
	if err != nil {
		return invalid(err)
	}
	if priority >= bulkPriority {
		ctx = analysis.WithBulk(ctx)
	}
	outputs, err := s.run(ctx, &request{inputs: inputs, parameters: m.Parameters, requested: m.Outputs})
	if err != nil {
		return err
	}
	for i := range outputs {
		if err := outputs[i].checkFinite(); err != nil {
			return fmt.Errorf("answer of the %s: %w", s.part, err)
		}
	}
	form := func(name string) bool {
		if binary, said := asBinary[name]; said {
			return binary
		}
		return byDefault
	}
	headers, err := headersOf(outputs, form)
	if err != nil {
		return fmt.Errorf("answer of the %s: %w", s.part, err)
	}
	parts, headerLength, err := assemble(&message{Model: s.model, Version: s.info.Digest, ID: m.ID, Outputs: headers}, outputs, form)
	if err != nil {
		return fmt.Errorf("answer of the %s: %w", s.part, err)
	}
	writeAnswer(w, parts, headerLength)
	return nil
}

// writeAnswer writes the parts that assemble made.
func writeAnswer(w http.ResponseWriter, parts [][]byte, headerLength int) {
	w.Header().Set("Content-Type", "application/json")
	if headerLength >= 0 {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set(headerLengthField, strconv.Itoa(headerLength))
	}
	w.Header().Set("Content-Length", strconv.Itoa(sizeOf(parts)))
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return // the caller is gone; there is nobody left to tell
		}
	}
}

// outputForm reads which outputs are wanted as binary data: byName says it where the request does, else byDefault.
func (s *server) outputForm(m *message) (byDefault bool, byName map[string]bool, err error) {
	byDefault, _, err = m.Parameters.flag("binary_data_output")
	if err != nil {
		return false, nil, err
	}
	byName = map[string]bool{}
	for _, h := range m.Outputs {
		if !slices.ContainsFunc(s.outputs, func(spec Spec) bool { return spec.Name == h.Name }) {
			return false, nil, &tensorError{h.Name, errors.New("the model has no such output")}
		}
		for name := range h.Parameters {
			if name != "binary_data" {
				return false, nil, &tensorError{h.Name, fmt.Errorf("unknown parameter %s", clip(name))}
			}
		}
		binary, said, err := h.Parameters.flag("binary_data")
		if err != nil {
			return false, nil, &tensorError{h.Name, err}
		}
		if said {
			byName[h.Name] = binary
		}
	}
	return byDefault, byName, nil
}

// readRequest reads and checks a request's body. Its errors have a Code.
func (s *server) readRequest(w http.ResponseWriter, r *http.Request) (*message, []Tensor, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, nil, analysis.Errorf(analysis.UnsupportedMedia, "the body has the content encoding %q, only identity is read", clip(encoding))
	}
	tooLarge := func(found string) error {
		return &analysis.Error{
			Code: analysis.TooLarge, Message: "the body of a request to the " + s.part + " is too large",
			Limit: fmt.Sprintf("%d bytes", s.maxRequestBytes), Value: found,
		}
	}
	if r.ContentLength > s.maxRequestBytes {
		w.Header().Set("Connection", "close") // rather than reading what was announced
		return nil, nil, tooLarge(fmt.Sprintf("%d bytes", r.ContentLength))
	}
	body, err := readBody(http.MaxBytesReader(w, r.Body, s.maxRequestBytes), r.ContentLength, s.maxRequestBytes)
	if err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return nil, nil, tooLarge("more")
		}
		return nil, nil, &analysis.Error{Code: analysis.InvalidArgument, Message: "the body of the request broke off", Err: err}
	}
	length, err := headerLengthOf(r.Header)
	if err != nil {
		return nil, nil, invalid(err)
	}
	m, data, err := parse(body, length)
	if err != nil {
		return nil, nil, invalid(err)
	}
	if err := s.checkMessage(m); err != nil {
		return nil, nil, invalid(err)
	}
	inputs, err := decode(m.Inputs, data, s.inputs, s.maxRows)
	if err != nil {
		return nil, nil, invalid(err)
	}
	for i := range inputs {
		if inputs[i].Shape[0] == 0 {
			return nil, nil, analysis.Invalid(inputs[i].Name, "holds nothing")
		}
	}
	return m, inputs, nil
}

func (s *server) checkMessage(m *message) error {
	if len(m.ID) > 256 {
		return &limitError{"the id of the request is too long", "256 bytes", fmt.Sprintf("%d bytes", len(m.ID))}
	}
	for name := range m.Parameters {
		if name != "binary_data_output" && name != priorityParameter && !slices.Contains(s.flags, name) && !slices.Contains(s.numbers, name) {
			return fmt.Errorf("unknown parameter %s", clip(name))
		}
	}
	return nil
}

// invalid gives an error of decoding its code and, if it is about a tensor, the tensor's name as the field.
func invalid(err error) error {
	e := &analysis.Error{Code: analysis.InvalidArgument, Message: clip(err.Error())}
	var tensor *tensorError
	if errors.As(err, &tensor) {
		e.Field, e.Message = clip(tensor.name), clip(tensor.err.Error())
	}
	var limit *limitError
	if errors.As(err, &limit) {
		e.Code, e.Message, e.Limit, e.Value = analysis.TooLarge, limit.message, limit.limit, limit.value
	}
	return e
}

// checkFinite returns an error if t holds a number that is not finite.
func (t *Tensor) checkFinite() error {
	before := 0
	for _, values := range t.places() {
		if at := analysis.Infinite(values); at >= 0 {
			return &tensorError{t.Name, fmt.Errorf("holds %v at position %d", values[at], before+at)}
		}
		before += len(values)
	}
	return nil
}
