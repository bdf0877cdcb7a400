package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/cache"
	"consilium/internal/pipeline"
)

// Digest returns the digest of the model that would answer now.
type Digest = cache.Digest

// Space makes the vectors that studies are found by.
type Space struct {
	Vectors       analysis.VectorStore
	Contents      analysis.Store
	Embedder      Embedder
	Aligner       analysis.Aligner
	AlignerDigest Digest
	// Digests are those of the encoders.
	Digests map[analysis.Modality]Digest
}

const (
	// indexBatch is how many artefacts are encoded together in the background, indexEvery how often there is a look for new
	// ones: at those that came meanwhile together, since each look takes its time from whoever asks about what was just stored.
	indexBatch = 16
	indexEvery = 2 * time.Second
)

// spaces names the models that make vectors now. An encoder that is down has no space: what it made cannot be told from
// what another one made.
func (s *Space) spaces(ctx context.Context) (analysis.Spaces, error) {
	aligner, err := s.AlignerDigest(ctx)
	if err != nil {
		return nil, err
	}
	spaces := analysis.Spaces{}
	for modality, digest := range s.Digests {
		if encoder, err := digest(ctx); err == nil {
			spaces[modality] = spaceOf(aligner, encoder)
		}
	}
	return spaces, nil
}

func spaceOf(aligner, encoder string) string { return aligner + " " + encoder }

// vector returns where an input lies.
func (s *Space) vector(ctx context.Context, input pipeline.Input) ([]float32, error) {
	features, err := s.Embedder.Embed(ctx, []pipeline.Input{input})
	if err != nil {
		return nil, err
	}
	return s.Aligner.Align(ctx, features[0])
}

// Run makes the vectors of what is stored until ctx ends.
func (s *Space) Run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(indexEvery)
	defer ticker.Stop()
	failing := false
	for {
		n, err := s.Index(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			log.WarnContext(ctx, "no vectors are made; it is tried again", "error", err.Error())
		}
		if failing = err != nil; n == indexBatch && !failing {
			continue // there are more
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Index makes the vectors of a few artefacts and returns of how many.
func (s *Space) Index(ctx context.Context) (n int, err error) {
	ctx = analysis.WithBulk(ctx) // nobody waits for it
	spaces, err := s.spaces(ctx)
	if err != nil {
		return 0, fmt.Errorf("make vectors: %w", err)
	}
	err = s.Vectors.WithUnindexed(ctx, spaces, indexBatch, func(list []analysis.Unindexed) error {
		n = len(list)
		return s.index(ctx, spaces, list)
	})
	if err != nil {
		return n, fmt.Errorf("make vectors: %w", err)
	}
	return n, nil
}

func (s *Space) index(ctx context.Context, spaces analysis.Spaces, list []analysis.Unindexed) error {
	var inputs []pipeline.Input
	var found []*analysis.Unindexed
	for i := range list {
		u := &list[i]
		content, err := s.Contents.Content(analysis.WithTenant(ctx, u.Tenant), &u.Artefact)
		if analysis.CodeOf(err) == analysis.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		inputs, found = append(inputs, inputOf(u.Artefact.Modality, content)), append(found, u)
	}
	if len(inputs) == 0 {
		return nil
	}
	features, err := s.Embedder.Embed(ctx, inputs)
	if senders(err) { // one of them cannot be read; which, shows one by one
		for i := range inputs {
			if err := s.indexOne(ctx, spaces, found[i], inputs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	for i, f := range features {
		if err := s.store(ctx, found[i], spaces, f); err != nil {
			return err
		}
	}
	return nil
}

// senders says that an error is about what was sent, so that it will come again.
func senders(err error) bool {
	switch analysis.CodeOf(err) {
	case analysis.InvalidArgument, analysis.UnsupportedMedia, analysis.TooLarge:
		return true
	}
	return false
}

func (s *Space) indexOne(ctx context.Context, spaces analysis.Spaces, u *analysis.Unindexed, input pipeline.Input) error {
	features, err := s.Embedder.Embed(ctx, []pipeline.Input{input})
	if senders(err) {
		return s.Vectors.SetVector(ctx, u, spaces[u.Artefact.Modality], nil, err.Error())
	}
	if err != nil {
		return err
	}
	return s.store(ctx, u, spaces, features[0])
}

// store keeps the vector under the models that made it: an encoder may have changed since it was asked.
func (s *Space) store(ctx context.Context, u *analysis.Unindexed, spaces analysis.Spaces, f *analysis.Features) error {
	aligner, err := s.AlignerDigest(ctx)
	if err != nil {
		return err
	}
	vector, err := s.Aligner.Align(ctx, f)
	if senders(err) {
		return s.Vectors.SetVector(ctx, u, spaces[u.Artefact.Modality], nil, err.Error())
	}
	if err != nil {
		return err
	}
	return s.Vectors.SetVector(ctx, u, spaceOf(aligner, f.Model), vector, "")
}

func inputOf(modality analysis.Modality, content []byte) pipeline.Input {
	if modality == analysis.Text {
		return pipeline.Input{Modality: modality, Text: string(content)}
	}
	return pipeline.Input{Modality: modality, Data: content}
}
