package fusion

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
	"consilium/internal/model/sentence"
	"consilium/internal/narrative"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

//go:embed weights/report.safetensors
var writerWeights []byte

//go:embed weights/golden.report.json
var writerGolden []byte

// Writer is the decoder that writes the sentences of reports. It implements analysis.SentenceWriter, on the engine of the
// service that it belongs to.
type Writer struct {
	engine *tensor.Engine
	model  *sentence.Model
	digest string
}

var _ analysis.SentenceWriter = (*Writer)(nil)

func newWriter(engine *tensor.Engine) (*Writer, error) {
	raw, metadata, err := tensor.DecodeSafetensors(writerWeights)
	if err != nil {
		return nil, fmt.Errorf("read the report decoder's weights: %w", err)
	}
	config, err := sentence.ParseConfig(metadata)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(writerWeights)
	w := &Writer{engine: engine, digest: "sha256:" + hex.EncodeToString(sum[:])}
	err = engine.Do(context.Background(), func(a *tensor.Arena) error {
		params := tensor.FromRaw(raw)
		w.model = sentence.New(a, params, config)
		if level := kernels.Best(); engine.Device() == tensor.CPU && level > kernels.Plain {
			w.model.Hasten(a, params, level)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the report decoder's weights: %w", err)
	}
	return w, nil
}

// Writer returns the decoder of reports. It ends with the service.
func (s *Service) Writer() *Writer { return s.writer }

// Digest identifies the weights.
func (w *Writer) Digest() string { return w.digest }

// Config returns the shape of the decoder.
func (w *Writer) Config() sentence.Config { return w.model.Config() }

// WriteSentence implements analysis.SentenceWriter: drafts of the words that the statement allows. A request that the net
// cannot take is InvalidArgument.
func (w *Writer) WriteSentence(ctx context.Context, r *analysis.SentenceRequest) (*analysis.Drafts, error) {
	if err := w.check(r); err != nil {
		return nil, err
	}
	in := SentenceInput(r)
	drafts := &analysis.Drafts{Model: w.digest}
	err := w.engine.Do(ctx, func(a *tensor.Arena) error {
		drafts.Texts = w.model.Write(a, in, r.Drafts, func(word string) bool { return narrative.Allows(r.Statement, word) })
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("write a sentence: %w", err)
	}
	return drafts, nil
}

// SentenceInput is a request as nets take it.
func SentenceInput(r *analysis.SentenceRequest) *sentence.Input {
	in := &sentence.Input{
		Image: r.Image.Tokens, Judged: map[string]float64{}, Present: map[string]bool{}, Asserts: map[string]bool{},
		Side: r.Statement.Side, GroundGlass: r.Statement.GroundGlass,
	}
	for _, f := range r.Findings {
		if o := chexpert.Of(f.Label); o != "" {
			in.Judged[o], in.Present[o] = level(f), f.Present
		}
	}
	for _, a := range r.Statement.Asserts {
		in.Asserts[a.Observation] = a.Present
	}
	return in
}

// level maps a probability to one half at its threshold, as the net has learnt it: thresholds of labels differ.
func level(f analysis.Finding) float64 {
	switch {
	case f.Present && f.Threshold < 1:
		return 0.5 + 0.5*(f.Probability-f.Threshold)/(1-f.Threshold)
	case !f.Present && f.Threshold > 0:
		return 0.5 * f.Probability / f.Threshold
	}
	return f.Probability
}

// check returns an InvalidArgument error for a request that the net cannot take.
func (w *Writer) check(r *analysis.SentenceRequest) error {
	c := w.model.Config()
	if r.Drafts < 1 || r.Drafts > analysis.MaxDrafts {
		return analysis.Invalid("drafts", "want 1 to %d, found %d", analysis.MaxDrafts, r.Drafts)
	}
	if r.Image == nil {
		return analysis.Invalid("image", "a sentence needs the features of an image")
	}
	if err := r.Image.Check(); err != nil {
		return analysis.Invalid("image", "%v", err)
	}
	if r.Image.Modality != analysis.Image || int64(r.Image.Rows) != c.Grid || int64(r.Image.Cols) != c.Grid || int64(r.Image.TokenDim) != c.ImageDim {
		return analysis.Invalid("image", "want a grid of %d x %d with %d values a cell, found %d x %d with %d", c.Grid, c.Grid, c.ImageDim, r.Image.Rows, r.Image.Cols, r.Image.TokenDim)
	}
	if len(r.Statement.Asserts) == 0 {
		return analysis.Invalid("statement", "a sentence needs something to state")
	}
	for _, a := range r.Statement.Asserts {
		if !slices.Contains(c.Observations, a.Observation) {
			return analysis.Invalid("statement", "unknown observation %q", a.Observation)
		}
	}
	if side := r.Statement.Side; !slices.Contains([]string{"", analysis.RightSide, analysis.LeftSide, analysis.BothSides}, side) {
		return analysis.Invalid("side", "unknown side %q", side)
	}
	for _, f := range r.Findings {
		if !(f.Probability >= 0 && f.Probability <= 1 && f.Threshold >= 0 && f.Threshold <= 1) {
			return analysis.Invalid("findings", "%s has the probability %v and the threshold %v, want 0 to 1", f.Label, f.Probability, f.Threshold)
		}
	}
	return nil
}

// Probe writes a fixed sentence and compares it with the stored one.
func (w *Writer) Probe(ctx context.Context) error {
	var want string
	if err := json.Unmarshal(writerGolden, &want); err != nil {
		return fmt.Errorf("read the golden sentence: %w", err)
	}
	drafts, err := w.WriteSentence(ctx, w.goldenRequest())
	if err != nil {
		return fmt.Errorf("probe the report decoder: %w", err)
	}
	if len(drafts.Texts) == 0 || drafts.Texts[0] != want {
		return fmt.Errorf("probe the report decoder: it wrote %q, want %q first", drafts.Texts, want)
	}
	return nil
}

// goldenRequest asks with waves for an image.
func (w *Writer) goldenRequest() *analysis.SentenceRequest {
	c := w.model.Config()
	image := &analysis.Features{Modality: analysis.Image, TokenCount: int(c.Grid * c.Grid), TokenDim: int(c.ImageDim), Rows: int(c.Grid), Cols: int(c.Grid), Vector: []float32{1}}
	for i := range image.TokenCount * image.TokenDim {
		image.Tokens = append(image.Tokens, float32(math.Sin(0.37*float64(i)))*0.5)
	}
	return &analysis.SentenceRequest{
		Statement: analysis.Statement{Asserts: []analysis.Assertion{{Observation: chexpert.PleuralEffusion}}}, Image: image,
		Findings: []analysis.Finding{{Label: "Effusion", Probability: 0.05, Threshold: 0.5, Modality: analysis.Image}}, Drafts: 4,
	}
}
