package fusion

import (
	"context"
	"fmt"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
)

// Explanation is what an answer is made of, for whoever measures the gate.
type Explanation struct {
	Answers []string  // the vocabulary, in the order of every distribution
	Fused   []float64 // the probability of each answer, from all modalities
	// Alone has, for each modality that is present, the probability of each answer from that modality alone.
	Alone   map[analysis.Modality][]float64
	Weights map[analysis.Modality]float64 // of the gate
}

// Explain answers a question as Fuse does and returns what the answer is made of. Errors are those of Fuse.
func (s *Service) Explain(ctx context.Context, r *analysis.FuseRequest) (*Explanation, error) {
	if r.Task != analysis.Question {
		return nil, analysis.Invalid("task", "want a question, found %q", r.Task)
	}
	if err := s.check(r); err != nil {
		return nil, err
	}
	e := &Explanation{Answers: s.config.Answers, Alone: map[analysis.Modality][]float64{}, Weights: map[analysis.Modality]float64{}}
	err := s.engine.Do(ctx, func(a *tensor.Arena) error {
		out := s.model.Forward(a, s.batch(a, r))
		e.Fused = widened(a.Float32s(a.Softmax(out.Logits, 1)))
		weights, present := a.Float32s(out.Weights), a.Float32s(out.Present)
		for i, m := range analysis.Modalities {
			if present[i] == 1 {
				e.Alone[m], e.Weights[m] = widened(a.Float32s(a.Softmax(out.Alone[i], 1))), float64(weights[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("explain an answer: %w", err)
	}
	return e, nil
}

func widened(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
