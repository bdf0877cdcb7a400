// Package textencoder is the service that turns texts into sentence and token vectors.
package textencoder

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/model/minilm"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/internal/weights"
	"consilium/internal/wordpiece"
)

// preprocessing names what happens around the weights. It is part of the digest, so that a change of it makes stored
// vectors old.
const preprocessing = "wordpiece uncased; 256 tokens; mean; L2"

// arithmetic8 names how the layers of 8 bits compute, for the digest.
const arithmetic8 = "8 bits a row; turned by Hadamard's matrix of 128"

// probe is what testdata/make_golden.py wrote: the vector that PyTorch gives probeText.
//
//go:embed probe.safetensors
var probe []byte

const probeText = "The chest radiograph shows no consolidation."

// int8Plan is the Calibration that says which layers are computed in 8 bits (int8.md).
//
//go:embed int8.json
var int8Plan []byte

// minProbeCosine is far above what another text reaches, and far below what rounding costs; with 8 bits it is what the
// worst of 1,000 texts may reach;
// 16 bits cost at most 0.00011.
const minProbeCosine, minProbeCosine8, minProbeCosine16 = 0.9999, 0.97, 0.9995

// Service implements analysis.TextEncoder.
type Service struct {
	tokenizer *wordpiece.Tokenizer
	engine    *tensor.Engine
	params    *tensor.Params
	model     *minilm.Model
	fast      *minilm.Fast // runs in place of model where the processor has the instructions
	file      *tensor.Mapped
	batcher   *batch.Batcher[[]int32, encoding]
	digest    string
	record    *analysis.Calibration // of 8 bits
	probe     []float32
	least     float64 // cosine of the probe
}

var _ analysis.TextEncoder = (*Service)(nil)

// encoding is what the net makes of one sequence of T tokens.
type encoding struct {
	vector []float32 // (D)
	tokens []float32 // (T, D)
}

// New loads the net. Close ends the service.
func New(cfg Config) (*Service, error) {
	opt, err := tensor.ParseOptions(cfg.Device, cfg.GPUPrecision)
	if err != nil {
		return nil, fmt.Errorf("start the text encoder: %w", err)
	}
	return newOn(cfg, opt)
}

// newOn loads the net where, and in the precision that, opt says.
func newOn(cfg Config, opt tensor.Options) (_ *Service, err error) {
	vocabulary, err := read("minilm/vocab.txt")
	if err != nil {
		return nil, err
	}
	path, err := weights.Path("minilm/model.safetensors")
	if err != nil {
		return nil, fmt.Errorf("start the text encoder: %w", err)
	}
	file, err := tensor.MapSafetensors(path)
	if err != nil {
		return nil, fmt.Errorf("read the text encoder's weights: %w", err)
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	s := &Service{least: minProbeCosine, file: file}
	parts := [][]byte{file.Bytes(), vocabulary} // of the digest
	if rounding := opt.Rounding(); rounding != "" {
		parts, s.least = append(parts, []byte(rounding)), minProbeCosine16
	}
	var plan minilm.Plan
	if cfg.Precision == analysis.Int8 {
		if opt.Device != tensor.CPU {
			return nil, fmt.Errorf("start the text encoder: %s runs on the device cpu, found %s", analysis.Int8, cfg.Device)
		}
		var c *Calibration
		if plan, c, err = readPlan(); err != nil {
			return nil, err
		}
		parts, s.least = append(parts, []byte(strings.Join(c.Layers, " ")), []byte(arithmetic8)), minProbeCosine8
		s.record = &analysis.Calibration{Precision: string(analysis.Int8), Samples: c.Texts, MeanCosine: c.MeanCosine, LeastCosine: c.LeastCosine}
	}
	s.digest = tensor.Digest(append(parts, []byte(preprocessing))...)
	if s.tokenizer, err = wordpiece.New(vocabulary); err != nil {
		return nil, fmt.Errorf("start the text encoder: %w", err)
	}
	if s.tokenizer.Len() != int(minilm.L6.Vocabulary) {
		return nil, fmt.Errorf("start the text encoder: the vocabulary has %d pieces, want %d", s.tokenizer.Len(), minilm.L6.Vocabulary)
	}
	raw, _, err := tensor.DecodeSafetensors(probe)
	if err != nil {
		return nil, fmt.Errorf("read the text encoder's probe: %w", err)
	}
	s.probe = raw["vector"].Values
	if raw, _, err = tensor.DecodeSafetensors(file.Bytes()); err != nil {
		return nil, fmt.Errorf("read the text encoder's weights: %w", err)
	}
	words, err := file.Floats(minilm.Words)
	if err != nil {
		return nil, fmt.Errorf("read the text encoder's weights: %w", err)
	}
	s.params = tensor.FromRaw(raw)
	opt.Threads = cfg.Threads
	s.engine = tensor.NewEngine(opt)
	most := batchTokens
	err = s.engine.Do(context.Background(), func(a *tensor.Arena) error {
		s.model = minilm.New(a, s.params, minilm.L6)
		if level := kernels.Best(); opt.OnProcessor() && (level > kernels.Plain || plan != nil) {
			s.fast = minilm.NewFast(a, s.model, words, threads(cfg.Threads), level, plan)
			s.params.Free(a)
		}
		most = a.MaxCost(tokenBytes, most, MaxTexts*MaxTokens)
		return nil
	})
	if err != nil {
		s.engine.Close()
		return nil, fmt.Errorf("load the text encoder's weights: %w", err)
	}
	clear(raw) // the engine holds its own copy, and of the file only the words that texts have are read again
	if err = file.Forget(); err != nil {
		s.engine.Close()
		return nil, fmt.Errorf("load the text encoder's weights: %w", err)
	}
	debug.FreeOSMemory() // else these values would stay resident until Go gets round to it
	s.batcher = batch.New(batch.Config{MaxCost: most, Queue: queue, Workers: 1},
		func(ids []int32) int { return len(ids) }, batch.Halving(tensor.ErrMemory, s.runBatch))
	return s, nil
}

// threads returns how many threads compute together on the kernels of the processor.
func threads(setting int) int {
	if setting > 0 {
		return setting
	}
	return min(runtime.NumCPU(), maxThreads)
}

// readPlan returns the layers that compute in 8 bits, and what they were chosen by.
func readPlan() (minilm.Plan, *Calibration, error) {
	c := &Calibration{}
	if err := json.Unmarshal(int8Plan, c); err != nil {
		return nil, nil, fmt.Errorf("read the text encoder's 8-bit layers: %w", err)
	}
	plan := minilm.Plan{}
	for _, name := range c.Layers {
		plan[name] = true
	}
	return plan, c, nil
}

// read returns the bytes of an artefact.
func read(name string) ([]byte, error) {
	path, err := weights.Path(name)
	if err != nil {
		return nil, fmt.Errorf("start the text encoder: %w", err)
	}
	return os.ReadFile(path)
}

// Digest identifies the weights, the vocabulary and the preprocessing.
func (s *Service) Digest() string { return s.digest }

// Calibration is how near 8 bits are to float32, nil where those are not used.
func (s *Service) Calibration() *analysis.Calibration { return s.record }

// Close takes no more calls, waits for those that are running and frees the net. It may be called more than once.
func (s *Service) Close() error {
	s.batcher.Close()
	_ = s.engine.Do(context.Background(), func(a *tensor.Arena) error { // an engine that is closed has freed before
		s.params.Free(a)
		if s.fast != nil {
			s.fast.Free()
		}
		return s.file.Close()
	})
	s.engine.Close()
	return nil
}

// EncodeText implements analysis.TextEncoder. A call with more than MaxTexts texts, or with one of more than
// MaxTextBytes, is TooLarge; a text that is not UTF-8 or holds a NUL is InvalidArgument.
func (s *Service) EncodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	if len(texts) > MaxTexts {
		return nil, &analysis.Error{
			Code: analysis.TooLarge, Field: "text", Message: "there are too many texts in one call",
			Limit: fmt.Sprintf("%d texts", MaxTexts), Value: fmt.Sprintf("%d texts", len(texts)),
		}
	}
	for i, text := range texts {
		if err := analysis.ValidateText(field(i), text, MaxTextBytes); err != nil {
			return nil, err
		}
	}
	sequences, features := make([][]int32, len(texts)), make([]*analysis.Features, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ids, found := s.sequence(text)
		sequences[i] = ids
		features[i] = &analysis.Features{Modality: analysis.Text, TokenCount: len(ids), TokenDim: int(minilm.L6.Dim), Model: s.digest}
		if found == len(ids) {
			continue
		}
		if strict {
			return nil, &analysis.Error{
				Code: analysis.TooLarge, Field: field(i), Message: "the text has too many tokens",
				Limit: fmt.Sprintf("%d tokens", MaxTokens), Value: fmt.Sprintf("%d tokens", found),
			}
		}
		features[i].Notes = []analysis.Note{{
			Modality: analysis.Text, Kind: "truncated", Detail: fmt.Sprintf("cut from %d to %d tokens", found, MaxTokens),
		}}
	}
	encodings, err := s.batcher.DoAll(ctx, sequences)
	if err != nil {
		return nil, fmt.Errorf("encode %d texts: %w", len(texts), err)
	}
	for i, e := range encodings {
		features[i].Vector, features[i].Tokens = e.vector, e.tokens
	}
	return features, nil
}

// field names the text at position i in an error.
func field(i int) string { return "text[" + strconv.Itoa(i) + "]" }

// sequence returns the ids of text between [CLS] and [SEP], at most MaxTokens, and how many there were.
func (s *Service) sequence(text string) (ids []int32, found int) {
	ids = s.tokenizer.Append([]int32{s.tokenizer.CLS()}, text)
	if found = len(ids) + 1; found > MaxTokens {
		ids = slices.Clone(ids[:MaxTokens-1])
	}
	return append(ids, s.tokenizer.SEP()), found
}

// runBatch encodes the sequences of one batch.
func (s *Service) runBatch(sequences [][]int32) ([]batch.Result[encoding], error) {
	encodings, err := s.forward(context.Background(), sequences)
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result[encoding], len(encodings))
	for i, e := range encodings {
		results[i].Value = e
	}
	return results, nil
}

// forward runs the net on sequences and returns one encoding for each, in order.
func (s *Service) forward(ctx context.Context, sequences [][]int32) ([]encoding, error) {
	packing, err := minilm.L6.Pack(sequences)
	if err != nil {
		return nil, err
	}
	var tokens, vectors []float32
	err = s.engine.Do(ctx, func(a *tensor.Arena) error {
		if s.fast != nil {
			tokens, vectors = s.fast.Forward(packing)
			return nil
		}
		t, v := s.model.Forward(a, packing)
		tokens, vectors = a.Float32s(t), a.Float32s(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	dim := int(minilm.L6.Dim)
	encodings := make([]encoding, len(sequences))
	for _, i := range packing.Order {
		n := len(sequences[i]) * dim
		// Copies, so that one text's features do not keep the whole batch in memory.
		encodings[i] = encoding{vector: slices.Clone(vectors[:dim]), tokens: slices.Clone(tokens[:n])}
		vectors, tokens = vectors[dim:], tokens[n:]
	}
	return encodings, nil
}

// Probe encodes one sentence and compares its vector with the one that PyTorch computed. It does not wait in the
// queue, so that a busy encoder is not taken for a broken one.
func (s *Service) Probe(ctx context.Context) error {
	ids, _ := s.sequence(probeText)
	encodings, err := s.forward(ctx, [][]int32{ids})
	if err != nil {
		return fmt.Errorf("probe the text encoder: %w", err)
	}
	if c := tensor.Cosine(encodings[0].vector, s.probe); !(c >= s.least) {
		return fmt.Errorf("probe the text encoder: cosine %.6f to the stored vector, want at least %v", c, s.least)
	}
	return nil
}
