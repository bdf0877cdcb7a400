package eval

import (
	"io"
	"math"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
	"consilium/internal/narrative"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// TestSmolLM writes sentences with the published net under the trained prefix, two at the same time.
func TestSmolLM(t *testing.T) {
	if _, err := weights.Path("smollm2.gguf"); err != nil {
		t.Skip(err)
	}
	w, err := OpenSmolLM(t.Context(), io.Discard, tensor.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	image := &analysis.Features{Modality: analysis.Image, TokenCount: 49, TokenDim: 1280, Rows: 7, Cols: 7}
	for i := range 49 * 1280 {
		image.Tokens = append(image.Tokens, float32(math.Abs(math.Sin(0.37*float64(i)))))
	}
	findings := []analysis.Finding{{Label: "Effusion", Probability: 0.1, Threshold: 0.5, Modality: analysis.Image}}
	facts := narrative.FactsOf(findings, nil)
	statement := facts.Statement(chexpert.PleuralEffusion)
	requests := make([]*analysis.SentenceRequest, 2)
	for i := range requests {
		requests[i] = &analysis.SentenceRequest{Statement: statement, Image: image, Findings: findings, Drafts: 4}
	}
	results, err := w.write(requests)
	if err != nil {
		t.Fatal(err)
	}
	drafts, err := w.WriteSentence(t.Context(), requests[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(drafts.Texts) == 0 || len(drafts.Texts) > 4 || drafts.Texts[0] != results[0].Value[0] || drafts.Texts[0] != results[1].Value[0] {
		t.Errorf("drafts %q alone, %q beside another", drafts.Texts, results)
	}
	fit := 0
	for _, text := range drafts.Texts {
		if facts.Carries(statement, text) == nil {
			fit++
		}
	}
	if fit == 0 {
		t.Errorf("none of %q says that there is no effusion", drafts.Texts)
	}
}
