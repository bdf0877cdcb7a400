package fusion

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"math"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
)

// goldens hold what the committed weights answered to goldenRequest when they were made, by the gate's rule; `go test
// -update` in this folder writes them.
//
//go:embed weights/golden.*.json
var goldens embed.FS

// goldenPath is where the answer under a rule lies.
func goldenPath(gate net.Rule) string { return "weights/golden." + gate.String() + ".json" }

// tolerance is how far a probability, weight or entropy of the golden answer may be off: other processors and CUDA
// devices round differently.
const tolerance = 2e-3

// Probe answers a fixed request and compares the answer with the stored one, so that a service is ready only if its
// computation is right.
func (s *Service) Probe(ctx context.Context) error {
	var want analysis.Result
	golden, err := goldens.ReadFile(goldenPath(s.config.Gate))
	if err == nil {
		err = json.Unmarshal(golden, &want)
	}
	if err != nil {
		return fmt.Errorf("read the golden answer: %w", err)
	}
	got, err := analysis.FuseOne(ctx, s, s.goldenRequest())
	if err != nil {
		return fmt.Errorf("probe the fusion: %w", err)
	}
	return compare(got, &want)
}

func compare(got, want *analysis.Result) error {
	if len(got.Answers) != len(want.Answers) || len(got.Modalities) != len(want.Modalities) {
		return fmt.Errorf("probe the fusion: %d answers and %d modalities, want %d and %d",
			len(got.Answers), len(got.Modalities), len(want.Answers), len(want.Modalities))
	}
	near := func(what string, got, want float64) error {
		if !(math.Abs(got-want) <= tolerance) {
			return fmt.Errorf("probe the fusion: %s is %.4f, want %.4f", what, got, want)
		}
		return nil
	}
	for i, w := range want.Answers {
		if err := near("the probability of "+w.Text, got.Answers[i].Probability, w.Probability); err != nil {
			return err
		}
	}
	for i, w := range want.Modalities {
		if err := near("the weight of "+string(w.Modality), got.Modalities[i].Weight, w.Weight); err != nil {
			return err
		}
		if err := near("the entropy of "+string(w.Modality), got.Modalities[i].Entropy, w.Entropy); err != nil {
			return err
		}
	}
	return nil
}

// goldenRequest asks with waves for features, in all three modalities.
func (s *Service) goldenRequest() *analysis.FuseRequest {
	wave := func(m analysis.Modality, tokens int, dim int64, phase float64) *analysis.Features {
		f := &analysis.Features{Modality: m, TokenCount: tokens, TokenDim: int(dim), Vector: []float32{1}}
		for i := range tokens * int(dim) {
			f.Tokens = append(f.Tokens, float32(math.Sin(phase+0.37*float64(i)))*0.5)
		}
		return f
	}
	image := wave(analysis.Image, int(s.config.Grid*s.config.Grid), s.config.ImageDim, 2)
	image.Rows, image.Cols = int(s.config.Grid), int(s.config.Grid)
	return &analysis.FuseRequest{
		Task:       analysis.Question,
		Question:   wave(analysis.Text, 6, s.config.TextDim, 1),
		Image:      image,
		Audio:      wave(analysis.Audio, 9, s.config.AudioDim, 3),
		Candidates: len(s.config.Answers),
	}
}
