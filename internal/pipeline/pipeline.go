package pipeline

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/analysis"
)

// Pipeline analyses with four parts, measures with a fifth and writes with a sixth. It is safe for concurrent use; nobody copies it after the
// first use.
type Pipeline struct {
	Text   analysis.TextEncoder
	Vision analysis.VisionEncoder
	// Radiographs encodes the image that findings are judged from.
	Radiographs analysis.VisionEncoder
	Audio       analysis.AudioEncoder
	Fusion      analysis.Fuser
	// Segmenter measures the image of a report; nil measures nothing.
	Segmenter analysis.Segmenter
	// Writer writes the sentences of a report on an image; nil leaves them plain.
	Writer analysis.SentenceWriter
	// EncoderTime bounds the encoding of one modality in an analysis, 0 for no bound: what a stalled encoder leaves
	// of the request's time is for the answer without it.
	EncoderTime time.Duration

	blanks   blanks
	courtesy courtesy
}

var _ analysis.Analyzer = (*Pipeline)(nil)

// Analyze implements analysis.Analyzer. The first part that fails ends the others, unless it is an encoder that
// the result can do without.
func (p *Pipeline) Analyze(ctx context.Context, request *analysis.Request) (*analysis.Result, error) {
	if err := request.Validate(); err != nil {
		return nil, err
	}
	defer p.courtesy.enter(ctx)()
	defer Stage(ctx, "total")()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of the segmentation, if something else fails
	segmentation := p.segment(ctx, request)
	lost := &losses{whole: request.Whole}
	fuse, err := p.encode(ctx, request, lost)
	if err != nil {
		return nil, err
	}
	var changes []change
	if request.Task == analysis.Question {
		if changes, err = p.changes(ctx, fuse, lost); err != nil {
			return nil, err
		}
	}
	done := Stage(ctx, "fusion")
	fused, err := p.fuse(ctx, fuse, changes)
	done()
	if err != nil {
		return nil, err
	}
	result := complete(fuse, fused[0])
	if request.Task == analysis.Question {
		if result.Reliance, err = rely(changes, fused, lost); err != nil {
			return nil, err
		}
		wanted := request.Candidates
		if wanted == 0 {
			wanted = analysis.DefaultCandidates
		}
		result.Answers = result.Answers[:min(wanted, len(result.Answers))]
	}
	result.Degraded = lost.list()
	if segmentation != nil {
		if err := (<-segmentation).join(result, request.Whole); err != nil {
			return nil, err
		}
	}
	if request.Task == analysis.Report && !request.FindingsOnly {
		if err := p.word(ctx, fuse.Image, result, request.Whole); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// encode returns what the fusion is to see: the features of everything in the request that can be encoded. The
// fusion is asked for all answers that it knows, since reliance compares whole distributions.
func (p *Pipeline) encode(ctx context.Context, request *analysis.Request, lost *losses) (*analysis.FuseRequest, error) {
	fuse := &analysis.FuseRequest{Task: request.Task, Candidates: analysis.MaxAnswers}
	group, groupCtx := errgroup.WithContext(ctx)
	if texts := textsOf(request); len(texts) > 0 {
		group.Go(guarded(func() error {
			features, err := inTime(groupCtx, p.EncoderTime, analysis.Text, func(ctx context.Context) ([]*analysis.Features, error) {
				return p.encodeText(ctx, texts, request.Strict)
			})
			switch {
			case err != nil && request.Task == analysis.Question: // without the question there is nothing to answer
				return err
			case err != nil:
				return lost.bear(analysis.Text, err)
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
	for _, part := range []struct {
		modality analysis.Modality
		content  []byte
		encode   func(context.Context) ([]*analysis.Features, error)
		into     **analysis.Features
	}{
		{analysis.Image, request.Image, func(ctx context.Context) ([]*analysis.Features, error) {
			if request.Task == analysis.Report {
				return p.encodeImages(ctx, p.Radiographs, [][]byte{request.Image})
			}
			return p.encodeImages(ctx, p.Vision, [][]byte{request.Image})
		}, &fuse.Image},
		{analysis.Audio, request.Audio, func(ctx context.Context) ([]*analysis.Features, error) {
			return p.encodeAudio(ctx, [][]byte{request.Audio}, request.Strict)
		}, &fuse.Audio},
	} {
		if len(part.content) == 0 {
			continue
		}
		group.Go(guarded(func() error {
			features, err := inTime(groupCtx, p.EncoderTime, part.modality, part.encode)
			if err != nil {
				return lost.bear(part.modality, err)
			}
			*part.into = features[0]
			return nil
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if fuse.Question == nil && fuse.Text == nil && fuse.Image == nil && fuse.Audio == nil {
		return nil, lost.first()
	}
	return fuse, nil
}

// fuse asks the fusion in one call for what comes of request and of each change of it, and checks what it says.
func (p *Pipeline) fuse(ctx context.Context, request *analysis.FuseRequest, changes []change) ([]*analysis.Result, error) {
	requests := []*analysis.FuseRequest{request}
	for i := range changes {
		requests = append(requests, changes[i].requests(request)...)
	}
	p.courtesy.wait(ctx)
	fused, err := p.Fusion.Fuse(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	if len(fused) != len(requests) {
		return nil, analysis.Errorf(analysis.BadUpstream, "the fusion returned %d results for %d requests", len(fused), len(requests))
	}
	for i := range fused {
		if err := check(requests[i], fused[i]); err != nil {
			return nil, err
		}
	}
	return fused, nil
}

// guarded returns f with a panic as its error: on a goroutine of its own a panic would end the process.
func guarded(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
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
	p.courtesy.wait(ctx)
	defer Stage(ctx, string(analysis.Text))()
	features, err := p.Text.EncodeText(ctx, texts, strict)
	return checked(features, err, analysis.Text, len(texts))
}

func (p *Pipeline) encodeImages(ctx context.Context, encoder analysis.VisionEncoder, images [][]byte) ([]*analysis.Features, error) {
	p.courtesy.wait(ctx)
	defer Stage(ctx, string(analysis.Image))()
	features, err := encoder.EncodeImage(ctx, images)
	return checked(features, err, analysis.Image, len(images))
}

func (p *Pipeline) encodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*analysis.Features, error) {
	p.courtesy.wait(ctx)
	defer Stage(ctx, string(analysis.Audio))()
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
