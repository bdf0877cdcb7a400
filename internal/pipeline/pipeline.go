package pipeline

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"consilium/internal/analysis"
)

// Pipeline analyses with four parts. It has no state and is safe for concurrent use.
type Pipeline struct {
	Text   analysis.TextEncoder
	Vision analysis.VisionEncoder
	Audio  analysis.AudioEncoder
	Fusion analysis.Fuser
}

var _ analysis.Analyzer = (*Pipeline)(nil)

// Analyze implements analysis.Analyzer. The first part that fails ends the others.
func (p *Pipeline) Analyze(ctx context.Context, request *analysis.Request) (*analysis.Result, error) {
	if err := request.Validate(); err != nil {
		return nil, err
	}
	defer stage(ctx, "total")()
	fuse := &analysis.FuseRequest{Task: request.Task, Candidates: request.Candidates}
	group, groupCtx := errgroup.WithContext(ctx)
	if texts := textsOf(request); len(texts) > 0 {
		group.Go(guarded(func() error {
			features, err := p.encodeText(groupCtx, texts, request.Strict)
			if err != nil {
				return err
			}
			if request.Task == analysis.Question {
				fuse.Question, features = features[0], features[1:]
			}
			if len(features) > 0 {
				fuse.Text = features[0]
			}
			return nil
		}))
	}
	if len(request.Image) > 0 {
		group.Go(guarded(func() error {
			features, err := p.encodeImage(groupCtx, [][]byte{request.Image})
			if err != nil {
				return err
			}
			fuse.Image = features[0]
			return nil
		}))
	}
	if len(request.Audio) > 0 {
		group.Go(guarded(func() error {
			features, err := p.encodeAudio(groupCtx, [][]byte{request.Audio}, request.Strict)
			if err != nil {
				return err
			}
			fuse.Audio = features[0]
			return nil
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	done := stage(ctx, "fusion")
	fused, err := p.Fusion.Fuse(ctx, fuse)
	done()
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	if err := check(fuse, fused); err != nil {
		return nil, err
	}
	return complete(fuse, fused), nil
}

// guarded returns f with a panic as its error: on a goroutine of its own a panic would end the process.
func guarded(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("encode: panic: %v\n%s", reason, debug.Stack())
			}
		}()
		return f()
	}
}

// textsOf returns the texts to encode in one call: the question first, then the note.
func textsOf(request *analysis.Request) []string {
	var texts []string
	if request.Task == analysis.Question {
		texts = append(texts, request.Question)
	}
	if request.Text != "" {
		texts = append(texts, request.Text)
	}
	return texts
}

// complete returns fused with the models of the encoders that took part and what they noted.
func complete(fuse *analysis.FuseRequest, fused *analysis.Result) *analysis.Result {
	result := *fused
	result.Models = map[string]string{}
	maps.Copy(result.Models, fused.Models)
	result.Notes = nil
	for _, features := range []*analysis.Features{fuse.Question, fuse.Text, fuse.Image, fuse.Audio} {
		if features == nil {
			continue
		}
		result.Models[string(features.Modality)] = features.Model
		for _, note := range features.Notes {
			if features == fuse.Question {
				note.Detail = "question: " + note.Detail
			}
			result.Notes = append(result.Notes, note)
		}
	}
	return &result
}

func (p *Pipeline) encodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	defer stage(ctx, string(analysis.Text))()
	features, err := p.Text.EncodeText(ctx, texts, strict)
	return checked(features, err, analysis.Text, len(texts))
}

func (p *Pipeline) encodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	defer stage(ctx, string(analysis.Image))()
	features, err := p.Vision.EncodeImage(ctx, images)
	return checked(features, err, analysis.Image, len(images))
}

func (p *Pipeline) encodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*analysis.Features, error) {
	defer stage(ctx, string(analysis.Audio))()
	features, err := p.Audio.EncodeAudio(ctx, sounds, strict)
	return checked(features, err, analysis.Audio, len(sounds))
}

// checked returns an encoder's features if there are n of them, of the right modality and without
// contradictions.
func checked(features []*analysis.Features, err error, modality analysis.Modality, n int) ([]*analysis.Features, error) {
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", modality, err)
	}
	if len(features) != n {
		return nil, analysis.Errorf(analysis.BadUpstream, "the %s encoder returned %d features for %d inputs", modality, len(features), n)
	}
	for _, f := range features {
		if f == nil || f.Modality != modality {
			return nil, analysis.Errorf(analysis.BadUpstream, "the %s encoder returned features of another modality", modality)
		}
		if err := f.Check(); err != nil {
			return nil, err
		}
	}
	return features, nil
}
