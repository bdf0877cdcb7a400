// Package fusion is the service that fuses the features of text, image and sound into answers and findings.
package fusion

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"sort"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	net "consilium/internal/model/fusion"
	"consilium/internal/tensor"
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
	model  *net.Model
	config net.Config
	digest string
	writer *Writer
	// turns are taken one request at a time, those that somebody waits for first.
	turns *batch.Batcher[*analysis.FuseRequest, *analysis.Result]
}

// queue is how many requests may wait.
const queue = 1024

var _ analysis.Fuser = (*Service)(nil)

// New loads the net. Close ends it.
func New(cfg Config) (*Service, error) {
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
	err = s.engine.Do(context.Background(), func(a *tensor.Arena) error {
		s.model = net.New(a, tensor.FromRaw(raw), config)
		return nil
	})
	if err != nil {
		s.engine.Close()
		return nil, fmt.Errorf("load the fusion's weights: %w", err)
	}
	if s.writer, err = newWriter(s.engine); err != nil {
		s.engine.Close()
		return nil, err
	}
	s.takeTurns()
	return s, nil
}

// takeTurns begins to answer requests.
func (s *Service) takeTurns() {
	s.turns = batch.New(batch.Config{MaxCost: 1, Queue: queue, Workers: 1}, func(*analysis.FuseRequest) int { return 1 },
		func(requests []*analysis.FuseRequest) ([]batch.Result[*analysis.Result], error) {
			result, err := s.fuse(requests[0])
			return []batch.Result[*analysis.Result]{{Value: result, Err: err}}, nil
		})
}

// Close waits for the calls that were taken and ends the service. Calls after it fail.
func (s *Service) Close() error {
	s.turns.Close()
	_ = s.engine.Do(context.Background(), func(*tensor.Arena) error { // an engine that is closed has freed before
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
	for _, r := range requests {
		if err := s.check(r); err != nil {
			return nil, err
		}
	}
	results := make([]*analysis.Result, len(requests))
	for i, r := range requests {
		result, err := s.turns.Do(ctx, r)
		if err != nil {
			return nil, err
		}
		results[i] = result
	}
	return results, nil
}

func (s *Service) fuse(r *analysis.FuseRequest) (*analysis.Result, error) {
	result := &analysis.Result{Models: map[string]string{"fusion": s.digest}}
	err := s.engine.Do(context.Background(), func(a *tensor.Arena) error {
		var out net.Output
		if r.Task == analysis.Question {
			out = s.model.Forward(a, s.batch(a, r))
			result.Answers = s.answers(s.probabilities(a, out.Logits), r.Candidates)
		} else {
			out, result.Findings = s.report(a, r)
		}
		result.Modalities = modalities(a.Float64s(out.Weights), a.Float64s(out.Entropies), a.Float64s(out.Present))
		if r.Image != nil {
			result.Attention = &analysis.Grid{Rows: r.Image.Rows, Cols: r.Image.Cols, Values: a.Float32s(out.Attention)}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	if err := finite(result); err != nil {
		return nil, err
	}
	return result, nil
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
	err := s.engine.Do(ctx, func(a *tensor.Arena) error {
		out = a.Float32s(s.model.Align(a, i, tokens(a, f)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("align %s features: %w", f.Modality, err)
	}
	return out, nil
}

// check returns an InvalidArgument error for a request that the net cannot take.
func (s *Service) check(r *analysis.FuseRequest) error {
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
		if f.features == nil {
			continue
		}
		if err := s.checkFeatures(f.field, f.features, f.modality); err != nil {
			return err
		}
	}
	return nil
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

// batch makes a batch of one. To the net, the text of a question is the question and the study's note after it.
func (s *Service) batch(a *tensor.Arena, r *analysis.FuseRequest) net.Batch {
	in := net.Batch{Image: tokens(a, r.Image), Audio: tokens(a, r.Audio)}
	if r.Task == analysis.Question {
		in.Question = tokens(a, r.Question)
	}
	in.Text = tokens(a, r.Question, r.Text)
	return in
}

// tokens joins features of one modality; nil ones are absent.
func tokens(a *tensor.Arena, parts ...*analysis.Features) net.Tokens {
	var values []float32
	var count, dim int64
	for _, f := range parts {
		if f != nil {
			values = append(values, f.Tokens...)
			count, dim = count+int64(f.TokenCount), int64(f.TokenDim)
		}
	}
	if count == 0 {
		return net.Tokens{}
	}
	return net.Tokens{Values: a.FromFloat32(values, 1, count, dim), Mask: a.Ones(1, count)}
}

// probabilities are those of the answers with the logits (1, V), calibrated.
func (s *Service) probabilities(a *tensor.Arena, logits tensor.T) []float64 {
	return a.Float64s(a.Softmax(a.DivScalar(logits, s.config.Temperature), 1))
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

func modalities(weights, entropies, present []float64) []analysis.ModalityWeight {
	var out []analysis.ModalityWeight
	for i, m := range analysis.Modalities {
		if present[i] == 1 {
			out = append(out, analysis.ModalityWeight{Modality: m, Weight: weights[i],
				Entropy: math.Min(1, math.Max(0, entropies[i]))})
		}
	}
	return out
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
