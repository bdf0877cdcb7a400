package pipeline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"golang.org/x/sync/errgroup"

	"consilium/internal/analysis"
)

// rely measures how much the answers of fused depend on the image and on the sound: it asks the same question with
// one of them blanked, then shuffled, and compares the distributions. A measurement that a part is too busy or
// too down for is a loss like an encoder's.
func (p *Pipeline) rely(ctx context.Context, fuse *analysis.FuseRequest, fused *analysis.Result, lost *losses) ([]analysis.Reliance, error) {
	if fuse.Image == nil && fuse.Audio == nil {
		return nil, nil
	}
	defer Stage(ctx, "reliance")()
	parts := []*analysis.Features{fuse.Image, fuse.Audio}
	measured := make([]*analysis.Reliance, len(parts))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, features := range parts {
		if features == nil {
			continue
		}
		group.Go(guarded(func() (err error) {
			if measured[i], err = p.relyOn(groupCtx, features, fuse, fused); err != nil {
				return lost.bear(features.Modality, unmeasured(features.Modality, err))
			}
			return nil
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var reliance []analysis.Reliance
	for _, r := range measured {
		if r != nil {
			reliance = append(reliance, *r)
		}
	}
	return reliance, nil
}

// unmeasured says that a modality counted, but that its reliance is unknown.
func unmeasured(modality analysis.Modality, err error) error {
	code := analysis.CodeOf(err)
	if code != analysis.Unavailable && code != analysis.Overloaded {
		return err
	}
	return &analysis.Error{Code: code, Message: fmt.Sprintf("how much the answer depends on the %s could not be measured", noun(modality)), Err: err}
}

// relyOn measures the reliance on one modality.
func (p *Pipeline) relyOn(ctx context.Context, features *analysis.Features, fuse *analysis.FuseRequest, fused *analysis.Result) (*analysis.Reliance, error) {
	blank, err := p.blank(ctx, features)
	if err != nil {
		return nil, err
	}
	reliance := &analysis.Reliance{Modality: features.Modality}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, change := range []struct {
		features *analysis.Features
		into     *analysis.Counterfactual
	}{{blank, &reliance.Blank}, {shuffled(features), &reliance.Shuffled}} {
		group.Go(guarded(func() (err error) {
			*change.into, err = p.whatIf(groupCtx, change.features, fuse, fused)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	reliance.Score = math.Max(reliance.Blank.Divergence, reliance.Shuffled.Divergence)
	return reliance, nil
}

// whatIf asks again with other features of one modality.
func (p *Pipeline) whatIf(ctx context.Context, features *analysis.Features, fuse *analysis.FuseRequest, fused *analysis.Result) (analysis.Counterfactual, error) {
	changed := *fuse
	if features.Modality == analysis.Image {
		changed.Image = features
	} else {
		changed.Audio = features
	}
	other, err := p.fuse(ctx, &changed)
	if err != nil {
		return analysis.Counterfactual{}, err
	}
	if was, is := fused.Models["fusion"], other.Models["fusion"]; was != is {
		return analysis.Counterfactual{}, analysis.Errorf(analysis.Unavailable, "the fusion's model changed from %s to %s", was, is)
	}
	best := other.Answers[0]
	return analysis.Counterfactual{
		Answer: best.Text, Confidence: best.Probability, Changed: best.Text != fused.Answers[0].Text,
		Divergence: totalVariation(fused.Answers, other.Answers),
	}, nil
}

// totalVariation returns half the sum of the differences between the probabilities that a and b give to each
// answer: 0 if they are the same, 1 if they share nothing (Levin, Peres and Wilmer, Markov Chains and Mixing
// Times, proposition 4.2). What a list leaves of 1 counts as one more answer.
func totalVariation(a, b []analysis.Candidate) float64 {
	difference, rest := map[string]float64{}, 0.0
	for _, c := range a {
		difference[c.Text] += c.Probability
		rest -= c.Probability
	}
	for _, c := range b {
		difference[c.Text] -= c.Probability
		rest += c.Probability
	}
	sum := math.Abs(rest)
	for _, d := range difference {
		sum += math.Abs(d)
	}
	return math.Min(1, sum/2)
}

// shuffleSeed makes every shuffle of as many tokens the same one.
const shuffleSeed = 1

// shuffled returns f with its tokens in another order, the same one for every f of as many tokens.
func shuffled(f *analysis.Features) *analysis.Features {
	other := *f
	other.Tokens = make([]float32, 0, len(f.Tokens))
	for _, at := range rand.New(rand.NewPCG(shuffleSeed, shuffleSeed)).Perm(f.TokenCount) {
		other.Tokens = append(other.Tokens, f.Tokens[at*f.TokenDim:(at+1)*f.TokenDim]...)
	}
	return &other
}
