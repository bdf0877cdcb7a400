package pipeline

import (
	"context"

	"golang.org/x/sync/errgroup"

	"consilium/internal/analysis"
)

// Input is one thing to embed: Text for the modality text, else Data, an encoded picture or sound.
type Input struct {
	Modality analysis.Modality
	Text     string
	Data     []byte
}

// Embed returns the features of each input, in order. Each encoder gets its inputs in one call, and the
// encoders run in parallel.
func (p *Pipeline) Embed(ctx context.Context, inputs []Input) ([]*analysis.Features, error) {
	defer p.courtesy.enter(ctx)()
	defer Stage(ctx, "total")()
	var texts []string
	var images, sounds [][]byte
	for _, input := range inputs {
		switch input.Modality {
		case analysis.Text:
			texts = append(texts, input.Text)
		case analysis.Image:
			images = append(images, input.Data)
		case analysis.Audio:
			sounds = append(sounds, input.Data)
		default:
			return nil, analysis.Invalid("input", "unknown modality %q", input.Modality)
		}
	}
	var text, image, audio []*analysis.Features
	group, ctx := errgroup.WithContext(ctx)
	if len(texts) > 0 {
		group.Go(guarded(func() (err error) { text, err = p.encodeText(ctx, texts, false); return err }))
	}
	if len(images) > 0 {
		group.Go(guarded(func() (err error) { image, err = p.encodeImages(ctx, p.Vision, images); return err }))
	}
	if len(sounds) > 0 {
		group.Go(guarded(func() (err error) { audio, err = p.encodeAudio(ctx, sounds, false); return err }))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	features := make([]*analysis.Features, len(inputs))
	for i, input := range inputs {
		queue := map[analysis.Modality]*[]*analysis.Features{analysis.Text: &text, analysis.Image: &image, analysis.Audio: &audio}[input.Modality]
		features[i], *queue = (*queue)[0], (*queue)[1:]
	}
	return features, nil
}
