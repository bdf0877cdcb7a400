package pipeline

import (
	"context"
	"errors"
	"fmt"

	"consilium/internal/analysis"
	"consilium/internal/narrative"
)

// drafts is how many are asked for: the best one often claims more than was judged.
const drafts = 8

type listenerKey struct{}

// WithSentences returns a context in which hear gets each sentence of a report when it is written, in order.
func WithSentences(ctx context.Context, hear func(section string, sentence analysis.Sentence)) context.Context {
	return context.WithValue(ctx, listenerKey{}, hear)
}

// word has words written for the sentences of a report on an image, takes of each the first draft that may stand for what
// the sentence states, and keeps them in the result. A writer that is down leaves the rest of the report plain, which the
// result says, unless the whole is wanted.
func (p *Pipeline) word(ctx context.Context, image *analysis.Features, result *analysis.Result, whole bool) error {
	hear, _ := ctx.Value(listenerKey{}).(func(string, analysis.Sentence))
	if p.Writer == nil && hear == nil {
		return nil
	}
	defer Stage(ctx, "writing")()
	facts := narrative.FactsOf(result.Findings, result.Segmentation)
	up := p.Writer != nil && image != nil
	for _, sentence := range plan(result) {
		if up && sentence.statement != nil {
			err := p.wordOne(ctx, facts, image, result, &sentence)
			var e *analysis.Error
			switch {
			case err == nil:
			case !whole && errors.As(err, &e) && (e.Code == analysis.Unavailable || e.Code == analysis.Overloaded):
				up = false
				result.Degraded = append(result.Degraded, analysis.Degradation{Modality: analysis.Image, Reason: "the sentences are in fixed words: " + e.Message})
			default:
				return fmt.Errorf("write a report: %w", err)
			}
		}
		if written, ok := sentence.written(facts, result.Wordings); ok && hear != nil {
			hear(sentence.section, written)
		}
	}
	return nil
}

// wordOne asks for drafts of one sentence.
func (p *Pipeline) wordOne(ctx context.Context, facts *narrative.Facts, image *analysis.Features, result *analysis.Result, sentence *planned) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if p.EncoderTime > 0 {
		limited, cancel = context.WithTimeout(ctx, p.EncoderTime)
	}
	defer cancel()
	made, err := p.Writer.WriteSentence(limited, &analysis.SentenceRequest{Statement: *sentence.statement, Image: image, Findings: imageFindings(result.Findings), Drafts: drafts})
	switch {
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return &analysis.Error{Code: analysis.Unavailable, Message: fmt.Sprintf("the report writer did not answer within %s", p.EncoderTime), Err: err}
	case err != nil:
		return err
	}
	for _, text := range made.Texts {
		if facts.Carries(*sentence.statement, text) == nil {
			result.Models["writer"] = made.Model
			result.Wordings = append(result.Wordings, analysis.Wording{Section: sentence.section, Statement: *sentence.statement, Text: text})
			return nil
		}
	}
	return nil
}

// imageFindings are the findings that were judged from the image, without where they were seen.
func imageFindings(findings []analysis.Finding) (out []analysis.Finding) {
	for _, f := range findings {
		if f.Modality == analysis.Image {
			f.Activation = nil
			out = append(out, f)
		}
	}
	return out
}
