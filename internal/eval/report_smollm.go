package eval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/model/sentence"
	"consilium/internal/model/smolwriter"
	"consilium/internal/narrative"
	"consilium/internal/tensor"
	"consilium/internal/weights"
	"consilium/services/fusion"
	fusionweights "consilium/services/fusion/weights"
)

// SmolLM writes the sentences of reports with SmolLM2. It is measured beside what the platform runs and serves nobody.
type SmolLM struct {
	engine  *tensor.Engine
	base    *smolwriter.Base
	params  *tensor.Params
	model   *smolwriter.Model
	batcher *batch.Batcher[*analysis.SentenceRequest, []string]
	digest  string
}

var _ analysis.SentenceWriter = (*SmolLM)(nil)

// OpenSmolLM fetches the language model if it is not in the cache, with progress on out, and loads it.
func OpenSmolLM(ctx context.Context, out io.Writer, device tensor.Device) (*SmolLM, error) {
	if err := weights.Fetch(ctx, out, "smollm2"); err != nil {
		return nil, err
	}
	path, err := weights.Path("smollm2.gguf")
	if err != nil {
		return nil, err
	}
	raw, metadata, err := tensor.DecodeSafetensors(fusionweights.ReportSmolLM)
	if err != nil {
		return nil, fmt.Errorf("read SmolLM2's prefix: %w", err)
	}
	config, err := smolwriter.ParseConfig(metadata)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fusionweights.ReportSmolLM)
	w := &SmolLM{engine: tensor.NewEngine(tensor.Options{Device: device}), params: tensor.FromRaw(raw), digest: "sha256:" + hex.EncodeToString(sum[:])}
	err = w.engine.Do(ctx, func(a *tensor.Arena) (err error) {
		if w.base, err = smolwriter.NewBase(a, path); err != nil {
			return err
		}
		w.model = smolwriter.New(a, w.params, config, w.base)
		w.model.Fix(a)
		return nil
	})
	if err != nil {
		w.engine.Close()
		return nil, fmt.Errorf("load SmolLM2: %w", err)
	}
	one := func(*analysis.SentenceRequest) int { return 1 }
	w.batcher = batch.New(batch.Config{MaxCost: smolLMBatch, Queue: 4 * smolLMBatch, Workers: 1}, one, w.write)
	return w, nil
}

// smolLMBatch is how many sentences are written at once: reading the weights costs more than what one needs of them.
const smolLMBatch = 16

// WriteSentence implements analysis.SentenceWriter. Sentences that are asked for at the same time are written together.
func (w *SmolLM) WriteSentence(ctx context.Context, r *analysis.SentenceRequest) (*analysis.Drafts, error) {
	texts, err := w.batcher.Do(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("write a sentence with SmolLM2: %w", err)
	}
	return &analysis.Drafts{Model: w.digest, Texts: texts[:min(len(texts), r.Drafts)]}, nil
}

func (w *SmolLM) write(requests []*analysis.SentenceRequest) ([]batch.Result[[]string], error) {
	var inputs []*sentence.Input
	drafts := 1
	for _, r := range requests {
		inputs = append(inputs, fusion.SentenceInput(r))
		drafts = max(drafts, r.Drafts)
	}
	results := make([]batch.Result[[]string], len(requests))
	err := w.engine.Do(context.Background(), func(a *tensor.Arena) error {
		allowed := func(of int, word string) bool { return narrative.Allows(requests[of].Statement, word) }
		for i, texts := range w.model.Write(a, inputs, drafts, allowed) {
			results[i].Value = texts
		}
		return nil
	})
	return results, err
}

// Close frees the nets.
func (w *SmolLM) Close() {
	w.batcher.Close()
	_ = w.engine.Do(context.Background(), func(a *tensor.Arena) error { // the engine is open
		w.model.Free(a)
		w.params.Free(a)
		w.base.Free(a)
		return nil
	})
	w.engine.Close()
}
