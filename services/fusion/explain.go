package fusion

import (
	"context"
	"errors"
	"fmt"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// Explanation is what an answer or a report is made of, for whoever measures the gate.
type Explanation struct {
	Answers []string  // the vocabulary, or the labels of the findings, in the order of every distribution
	Fused   []float64 // the probability of each, from all modalities, as in the result
	// Alone has, for each modality that is present, the same from that modality alone, not calibrated.
	Alone   map[analysis.Modality][]float64
	Weights map[analysis.Modality]float64 // of the gate, by which Fused was decoded
	// ByRule has the weights that every rule makes of the modalities' own answers.
	ByRule [net.Rules]map[analysis.Modality]float64
}

// WithRandomWeights calls use with the same service but for its weights, which are drawn from seed: for whoever tests
// whether what it says depends on what it has learnt (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292). It ends with
// use.
func (s *Service) WithRandomWeights(seed uint64, use func(*Service) error) error {
	r := &Service{
		engine: tensor.NewEngine(tensor.Options{Device: s.engine.Device(), Threads: 1}),
		config: s.config, digest: fmt.Sprintf("random:%d", seed),
	}
	r.takeTurns()
	defer r.Close()
	params := tensor.Random(seed)
	do := func(fn func(a *tensor.Arena)) error {
		return r.engine.Do(context.Background(), func(a *tensor.Arena) error { fn(a); return nil })
	}
	if err := do(func(a *tensor.Arena) { r.model = net.New(a, params, r.config) }); err != nil {
		return fmt.Errorf("draw the fusion's weights: %w", err)
	}
	err := use(r)
	return errors.Join(err, do(params.Free))
}

// Explain fuses as Fuse does and returns what the result is made of. Errors are those of Fuse.
func (s *Service) Explain(ctx context.Context, r *analysis.FuseRequest) (*Explanation, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	e := &Explanation{Answers: s.config.Answers, Alone: map[analysis.Modality][]float64{}}
	probability := func(a *tensor.Arena, logits tensor.T) tensor.T { return a.Softmax(logits, 1) }
	if r.Task == analysis.Report {
		e.Answers = nil
		for _, l := range s.config.Findings {
			e.Answers = append(e.Answers, l.Name)
		}
		probability = (*tensor.Arena).Sigmoid
	}
	err := s.engine.Do(ctx, func(a *tensor.Arena) error {
		in := s.batch(a, r)
		out := s.model.Forward(a, in)
		if r.Task == analysis.Question {
			e.Fused = s.probabilities(a, out.Logits)
		} else {
			for i, logit := range a.Float64s(out.Logits) {
				e.Fused = append(e.Fused, s.config.Findings[i].Probability(logit))
			}
		}
		present := a.Float32s(out.Present)
		for i, m := range analysis.Modalities {
			if present[i] == 1 {
				e.Alone[m] = a.Float64s(probability(a, out.Alone[i]))
			}
		}
		byModality := func(weights tensor.T) map[analysis.Modality]float64 {
			of := map[analysis.Modality]float64{}
			for i, w := range a.Float64s(weights) {
				if present[i] == 1 {
					of[analysis.Modalities[i]] = w
				}
			}
			return of
		}
		e.Weights = byModality(out.Weights)
		for rule := range net.Rules {
			e.ByRule[rule] = byModality(s.model.Weigh(a, in, out, rule))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("explain a result: %w", err)
	}
	return e, nil
}
