// Package fusion is the service that fuses the features of text, image and sound into answers and findings.
package fusion

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"sync"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	net "consilium/internal/model/fusion"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

//go:embed weights/fusion.safetensors
var weights []byte

// defaultCandidates is how many answers are returned when the request does not say.
const defaultCandidates = 5

// maxTokens bounds the tokens of one modality: a question of 256 beside a note of 256, or a sound of 30 seconds.
const maxTokens = 1024

// Service implements analysis.Fuser.
type Service struct {
	engine *tensor.Engine
	params *tensor.Params
	model  *net.Model // computes on the engine, unless there is
	fast   *net.Fast  // on kernels, where the processor has the instructions
	turn   sync.Mutex // guards fast, which computes one thing at a time, and closed
	closed bool
	config net.Config
	gate   net.Gate
	digest string
	writer *Writer
	calls  *batch.Batcher[[]*analysis.FuseRequest, []*analysis.Result]
}

const (
	// queue is how many calls may wait.
	queue = 1024
	// batchTokens bounds the tokens of the calls that are answered together. Few are enough to keep the processor busy, and whoever
	// comes next waits for them.
	batchTokens = 512
	// maxThreads is where more threads no longer answer a request sooner.
	maxThreads = 4
)

var _ analysis.Fuser = (*Service)(nil)

// New loads the net. Close ends it.
func New(cfg Config) (*Service, error) { return newAt(cfg, kernels.Best()) }

// newAt loads the net for a processor of a level.
func newAt(cfg Config, level kernels.Level) (*Service, error) {
	device, err := tensor.ParseDevice(cfg.Device)
	if err != nil {
		return nil, fmt.Errorf("start the fusion service: %w", err)
	}
	raw, metadata, err := tensor.DecodeSafetensors(weights)
	if err != nil {
		return nil, fmt.Errorf("read the fusion's weights: %w", err)
	}
	config, err := net.ParseConfig(metadata)
	if err != nil {
		return nil, err
	}
	config.Gate = cfg.Gate
	s := &Service{
		engine: tensor.NewEngine(tensor.Options{Device: device, Threads: cfg.Threads}),
		config: config,
		digest: digest(cfg.Gate),
	}
	if err = s.load(tensor.FromRaw(raw), cfg.Threads, level); err != nil {
		s.engine.Close()
		return nil, err
	}
	if s.writer, err = newWriter(s.engine); err != nil {
		s.Close()
		return nil, err
	}
	clear(raw)           // the net holds its own copy
	debug.FreeOSMemory() // else these values would stay resident until Go gets round to it
	return s, nil
}

// load makes the net of its parameters and begins to answer.
func (s *Service) load(params *tensor.Params, threads int, level kernels.Level) error {
	s.params = params
	most := 1 // libtorch takes one request after another
	err := s.engine.Do(context.Background(), func(a *tensor.Arena) error {
		s.model = net.New(a, params, s.config)
		s.gate = s.model.Gate(a)
		if s.engine.Device() == tensor.CPU && level > kernels.Plain {
			if threads == 0 {
				threads = min(runtime.NumCPU(), maxThreads)
			}
			s.fast = net.NewFast(a, s.model, params, threads, level)
			params.Free(a)
			most = batchTokens
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the fusion's weights: %w", err)
	}
	s.calls = batch.New(batch.Config{MaxCost: most, Queue: queue, Workers: 1}, cost, s.fuse)
	return nil
}

// cost is the tokens of a call.
func cost(requests []*analysis.FuseRequest) (tokens int) {
	for _, r := range requests {
		for _, f := range []*analysis.Features{r.Question, r.Text, r.Image, r.Audio} {
			if f != nil {
				tokens += f.TokenCount
			}
		}
	}
	return tokens
}

// Close waits for the calls that were taken and ends the service. Calls after it fail.
func (s *Service) Close() error {
	s.calls.Close()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.closed = true
	_ = s.engine.Do(context.Background(), func(a *tensor.Arena) error { // an engine that is closed has freed before
		s.params.Free(a)
		if s.fast != nil {
			s.fast.Free()
		}
		if s.writer != nil {
			s.writer.model.Free()
		}
		return nil
	})
	s.engine.Close()
	return nil
}

// digest names the weights and, if it is not the default, the gate's rule: what two rules answer is neither cached nor
// stored under one name.
func digest(gate net.Rule) string {
	sum := sha256.Sum256(weights)
	d := "sha256:" + hex.EncodeToString(sum[:])
	if gate != net.Learned {
		d += "+" + gate.String()
	}
	return d
}

// Digest identifies the weights and the rule of the gate.
func (s *Service) Digest() string { return s.digest }

// Fuse implements analysis.Fuser.
func (s *Service) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	if err := analysis.CheckFuseRequests(requests); err != nil {
		return nil, err
	}
	checked := map[checkedAs]bool{}
	for _, r := range requests {
		if err := s.check(r, checked); err != nil {
			return nil, err
		}
	}
	return s.calls.Do(ctx, requests)
}

// fuse answers calls together.
func (s *Service) fuse(calls [][]*analysis.FuseRequest) ([]batch.Result[[]*analysis.Result], error) {
	var inputs []net.Input
	for _, requests := range calls {
		for _, r := range requests {
			inputs = append(inputs, input(r))
		}
	}
	read, err := s.read(context.Background(), inputs)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	results := make([]batch.Result[[]*analysis.Result], len(calls))
	for i, requests := range calls {
		for _, r := range requests {
			result := s.result(r, &read[0])
			read = read[1:]
			if err := finite(result); err != nil {
				results[i].Err = err
			}
			results[i].Value = append(results[i].Value, result)
		}
	}
	return results, nil
}

// input is a request as the net takes it.
func input(r *analysis.FuseRequest) net.Input {
	tokens := func(f *analysis.Features) []float32 {
		if f == nil {
			return nil
		}
		return f.Tokens
	}
	return net.Input{Question: tokens(r.Question), Text: tokens(r.Text), Image: tokens(r.Image), Audio: tokens(r.Audio)}
}

// read has the net answer inputs. On libtorch each has an arena of its own, since a report leaves some megabytes in it.
func (s *Service) read(ctx context.Context, inputs []net.Input) (results []net.Result, err error) {
	if s.fast != nil {
		err = s.onKernels(ctx, func(f *net.Fast) { results = f.Read(inputs) })
		return results, err
	}
	for _, in := range inputs {
		err := s.engine.Do(ctx, func(a *tensor.Arena) error {
			results = append(results, s.model.Read(a, in))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// onKernels calls use when it is its turn.
func (s *Service) onKernels(ctx context.Context, use func(*net.Fast)) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed {
		return analysis.Errorf(analysis.Unavailable, "the service is stopping")
	}
	use(s.fast)
	return nil
}

// result is what the net said to a request.
func (s *Service) result(r *analysis.FuseRequest, read *net.Result) *analysis.Result {
	result := &analysis.Result{Models: map[string]string{"fusion": s.digest}}
	if r.Task == analysis.Question {
		result.Answers = s.answers(softmax(read.Logits, s.config.Temperature), r.Candidates)
	} else {
		result.Findings = s.findings(r, read)
	}
	for i, m := range analysis.Modalities {
		if read.Present(i) {
			result.Modalities = append(result.Modalities, analysis.ModalityWeight{Modality: m, Weight: read.Weights[i],
				Entropy: math.Min(1, math.Max(0, read.Entropies[i]))})
		}
	}
	if r.Image != nil {
		result.Attention = &analysis.Grid{Rows: r.Image.Rows, Cols: r.Image.Cols, Values: read.Attention}
	}
	return result
}

// Align returns the unit vector (C) of features in the space that text, image and sound share, for retrieval.
func (s *Service) Align(ctx context.Context, f *analysis.Features) ([]float32, error) {
	if f == nil {
		return nil, analysis.Invalid("features", "there are no features to align")
	}
	i := slices.Index(analysis.Modalities, f.Modality)
	if i < 0 {
		return nil, analysis.Invalid("features", "unknown modality %q", f.Modality)
	}
	if err := s.checkFeatures("features", f, f.Modality); err != nil {
		return nil, err
	}
	var out []float32
	var err error
	if s.fast != nil {
		err = s.onKernels(ctx, func(fast *net.Fast) { out = fast.Align(i, f.Tokens) })
	} else {
		err = s.engine.Do(ctx, func(a *tensor.Arena) error {
			t := net.Tokens{Values: a.FromFloat32(f.Tokens, 1, int64(f.TokenCount), int64(f.TokenDim)), Mask: a.Ones(1, int64(f.TokenCount))}
			out = a.Float32s(s.model.Align(a, i, t))
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("align %s features: %w", f.Modality, err)
	}
	return out, nil
}

// check returns an InvalidArgument error for a request that the net cannot take. Features that other
// requests of the call share are checked once.
func (s *Service) check(r *analysis.FuseRequest, checked map[checkedAs]bool) error {
	switch r.Task {
	case analysis.Question:
		if r.Question == nil {
			return analysis.Invalid("question", "a question needs the features of its text")
		}
	case analysis.Report:
		if r.Question != nil {
			return analysis.Invalid("question", "a report takes no question")
		}
		if r.Text == nil && r.Image == nil && r.Audio == nil {
			return analysis.Invalid("features", "a report needs the features of a text, an image or a sound")
		}
	default:
		return analysis.Invalid("task", "unknown task %q", r.Task)
	}
	if r.Candidates < 0 {
		return analysis.Invalid("candidates", "want 0 or more, found %d", r.Candidates)
	}
	for _, f := range []struct {
		field    string
		features *analysis.Features
		modality analysis.Modality
	}{
		{"question", r.Question, analysis.Text},
		{"text", r.Text, analysis.Text},
		{"image", r.Image, analysis.Image},
		{"audio", r.Audio, analysis.Audio},
	} {
		as := checkedAs{f.features, f.modality}
		if f.features == nil || checked[as] {
			continue
		}
		checked[as] = true
		if err := s.checkFeatures(f.field, f.features, f.modality); err != nil {
			return err
		}
	}
	return nil
}

// checkedAs are features and what they were checked to be.
type checkedAs struct {
	features *analysis.Features
	modality analysis.Modality
}

// checkFeatures returns an error that names field for features that the net cannot take as modality.
func (s *Service) checkFeatures(field string, f *analysis.Features, modality analysis.Modality) error {
	if err := f.Check(); err != nil {
		return analysis.Invalid(field, "%v", err)
	}
	if f.Modality != modality {
		return analysis.Invalid(field, "want %s features, found %s", modality, f.Modality)
	}
	dims := map[analysis.Modality]int64{analysis.Text: s.config.TextDim, analysis.Image: s.config.ImageDim, analysis.Audio: s.config.AudioDim}
	if int64(f.TokenDim) != dims[modality] {
		return analysis.Invalid(field, "want tokens of %d values, found %d", dims[modality], f.TokenDim)
	}
	if f.TokenCount > maxTokens {
		return &analysis.Error{Code: analysis.TooLarge, Field: field, Message: "too many tokens",
			Limit: fmt.Sprintf("%d tokens", maxTokens), Value: fmt.Sprintf("%d tokens", f.TokenCount)}
	}
	if modality == analysis.Image && (int64(f.Rows) != s.config.Grid || int64(f.Cols) != s.config.Grid) {
		return analysis.Invalid(field, "want a grid of %d x %d, found %d x %d", s.config.Grid, s.config.Grid, f.Rows, f.Cols)
	}
	return nil
}

// softmax returns the probabilities of logits divided by the temperature.
func softmax(logits []float32, temperature float64) []float64 {
	most, sum := float64(slices.Max(logits)), 0.0
	p := make([]float64, len(logits))
	for i, v := range logits {
		p[i] = math.Exp((float64(v) - most) / temperature)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func (s *Service) answers(p []float64, n int) []analysis.Candidate {
	if n == 0 {
		n = defaultCandidates
	}
	all := make([]analysis.Candidate, len(p))
	for i, text := range s.config.Answers {
		all[i] = analysis.Candidate{Text: text, Probability: p[i]}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Probability > all[j].Probability })
	return all[:min(n, len(all))]
}

// finite refuses a result that finite features of absurd size could blow up to.
func finite(r *analysis.Result) error {
	values := []float64{}
	for _, c := range r.Answers {
		values = append(values, c.Probability)
	}
	for _, f := range r.Findings {
		values = append(values, f.Probability)
		if f.Activation != nil {
			for _, v := range f.Activation.Values {
				values = append(values, float64(v))
			}
		}
	}
	for _, m := range r.Modalities {
		values = append(values, m.Weight, m.Entropy)
	}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return analysis.Invalid("features", "the features are outside what the net can compute with")
		}
	}
	return nil
}
