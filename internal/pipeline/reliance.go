package pipeline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"golang.org/x/sync/errgroup"

	"consilium/internal/analysis"
)

// change is what the features of one modality are changed to, to see how much the answers depend on them.
type change struct {
	modality        analysis.Modality
	blank, shuffled *analysis.Features
}

// requests returns request with the modality blanked, and with it shuffled.
func (c *change) requests(request *analysis.FuseRequest) []*analysis.FuseRequest {
	changed := [2]analysis.FuseRequest{*request, *request}
	for i, features := range []*analysis.Features{c.blank, c.shuffled} {
		if c.modality == analysis.Image {
			changed[i].Image = features
		} else {
			changed[i].Audio = features
		}
	}
	return []*analysis.FuseRequest{&changed[0], &changed[1]}
}

// changes returns what to ask besides, one for the image and one for the sound. A blank that cannot be had because a part is too
// busy or too down is a loss like an encoder's, and the modality is left out.
func (p *Pipeline) changes(ctx context.Context, fuse *analysis.FuseRequest, lost *losses) ([]change, error) {
	if fuse.Image == nil && fuse.Audio == nil {
		return nil, nil
	}
	defer Stage(ctx, "reliance")()
	parts := []*analysis.Features{fuse.Image, fuse.Audio}
	made := make([]*change, len(parts))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, features := range parts {
		if features == nil {
			continue
		}
		group.Go(guarded(func() error {
			blank, err := p.blank(groupCtx, features)
			if err != nil {
				return lost.bear(features.Modality, unmeasured(features.Modality, err))
			}
			made[i] = &change{features.Modality, blank, shuffled(features)}
			return nil
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var changes []change
	for _, c := range made {
		if c != nil {
			changes = append(changes, *c)
		}
	}
	return changes, nil
}

// unmeasured says that a modality counted, but that its reliance is unknown.
func unmeasured(modality analysis.Modality, err error) error {
	code := analysis.CodeOf(err)
	if code != analysis.Unavailable && code != analysis.Overloaded {
		return err
	}
	return &analysis.Error{Code: code, Message: fmt.Sprintf("how much the answer depends on the %s could not be measured", noun(modality)), Err: err}
}

// rely says how much the answers depend on each modality that was changed. fused is what came of the question as it is, then, for
// each change, of the blank and of the shuffled.
func rely(changes []change, fused []*analysis.Result, lost *losses) ([]analysis.Reliance, error) {
	var reliance []analysis.Reliance
	for i, c := range changes {
		r := analysis.Reliance{Modality: c.modality}
		var err error
		if r.Blank, err = whatIf(fused[0], fused[1+2*i]); err == nil {
			r.Shuffled, err = whatIf(fused[0], fused[2+2*i])
		}
		if err != nil {
			if err := lost.bear(c.modality, unmeasured(c.modality, err)); err != nil {
				return nil, err
			}
			continue
		}
		r.Score = math.Max(r.Blank.Divergence, r.Shuffled.Divergence)
		reliance = append(reliance, r)
	}
	return reliance, nil
}

// whatIf compares what came of a change with what came of the question as it is.
func whatIf(fused, other *analysis.Result) (analysis.Counterfactual, error) {
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
