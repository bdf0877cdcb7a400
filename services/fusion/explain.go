package fusion

import (
	"context"
	"fmt"
	"math"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
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
	if err := r.load(tensor.Random(seed), 1, kernels.Best()); err != nil {
		r.engine.Close()
		return err
	}
	defer r.Close()
	return use(r)
}

// Explain fuses as Fuse does and returns what the result is made of. Errors are those of Fuse.
func (s *Service) Explain(ctx context.Context, r *analysis.FuseRequest) (*Explanation, error) {
	if err := s.check(r, map[checkedAs]bool{}); err != nil {
		return nil, err
	}
	results, err := s.read(ctx, []net.Input{input(r)})
	if err != nil {
		return nil, fmt.Errorf("explain a result: %w", err)
	}
	read := &results[0]
	e := &Explanation{Alone: map[analysis.Modality][]float64{}}
	if r.Task == analysis.Question {
		e.Answers, e.Fused = s.config.Answers, softmax(read.Logits, s.config.Temperature)
	} else {
		for i, l := range s.config.Findings {
			e.Answers, e.Fused = append(e.Answers, l.Name), append(e.Fused, l.Probability(float64(read.Logits[i])))
		}
	}
	for i, m := range analysis.Modalities {
		switch logits := read.Alone[i]; {
		case logits == nil:
		case r.Task == analysis.Question:
			e.Alone[m] = softmax(logits, 1)
		default:
			for _, v := range logits {
				e.Alone[m] = append(e.Alone[m], 1/(1+math.Exp(-float64(v))))
			}
		}
	}
	byModality := func(weights [3]float64) map[analysis.Modality]float64 {
		of := map[analysis.Modality]float64{}
		for i, w := range weights {
			if read.Present(i) {
				of[analysis.Modalities[i]] = w
			}
		}
		return of
	}
	e.Weights = byModality(read.Weights)
	for rule := range net.Rules {
		e.ByRule[rule] = byModality(read.ByRule(s.gate, rule))
	}
	return e, nil
}
