package bench

import (
	"context"
	"fmt"

	"consilium/internal/analysis"
	"consilium/internal/pipeline"
)

// questions times the fusion of a question about a picture, and then whole questions.
func (b *bench) questions(ctx context.Context) error {
	puzzles, err := puzzles(1)
	if err != nil {
		return err
	}
	asked := &recorder{Fuser: b.Fusion}
	p := &pipeline.Pipeline{Text: b.Text, Vision: b.Vision, Fusion: asked}
	if _, err := p.Analyze(ctx, &analysis.Request{Task: analysis.Question, Question: puzzles[0].question, Image: puzzles[0].picture}); err != nil {
		return err
	}
	if len(asked.requests) != 3 {
		return fmt.Errorf("time the fusion: a question about a picture made %d requests, want 3", len(asked.requests))
	}
	for _, c := range []struct {
		name, about string
		requests    []*analysis.FuseRequest
	}{
		{"fusion-forward-ms", "the features of a question and of a picture to an answer", asked.requests[:1]},
		{"fusion-three-ms", "the same, also with the picture blank and with its tokens shuffled, in one call", asked.requests},
	} {
		rows, others, err := b.measure(ctx, &Case{Name: c.name, About: c.about, Items: len(c.requests)},
			[]entrant{single("consilium", func(ctx context.Context) ([][]float32, error) {
				results, err := b.Fusion.Fuse(ctx, c.requests)
				if err != nil {
					return nil, err
				}
				return probabilities(results), nil
			})})
		if err != nil {
			return err
		}
		b.add(milliseconds(c.name, "p50-ms", c.about, others, rows[0].seconds))
	}
	return b.gateway(ctx)
}

// recorder remembers what was asked of a fusion.
type recorder struct {
	analysis.Fuser
	requests []*analysis.FuseRequest
}

// Fuse implements analysis.Fuser.
func (r *recorder) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	r.requests = append(r.requests, requests...)
	return r.Fuser.Fuse(ctx, requests)
}

// probabilities returns those of the answers of each result.
func probabilities(results []*analysis.Result) [][]float32 {
	out := make([][]float32, len(results))
	for i, r := range results {
		for _, c := range r.Answers {
			out[i] = append(out[i], float32(c.Probability))
		}
	}
	return out
}
