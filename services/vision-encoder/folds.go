package visionencoder

import (
	"embed"
	"fmt"
	"strings"

	"consilium/internal/tensor"
)

// foldWeights hold decoders of lesions that have not seen some of the films, to measure with.
//
//go:embed weights/lesions-fold-*.safetensors
var foldWeights embed.FS

// Fold is a segmenter that has not seen the lesions of the films with the digests LeftOut (SHA-256 in lower-case hex).
type Fold struct {
	LeftOut   []string
	Segmenter *Segmenter
}

// Folds opens the segmenters of the cross-validation of lesions. They live as long as the service.
func (s *Service) Folds() ([]Fold, error) {
	files, err := foldWeights.ReadDir("weights")
	if err != nil {
		return nil, fmt.Errorf("open the folds: %w", err)
	}
	var folds []Fold
	for _, file := range files {
		b, err := foldWeights.ReadFile("weights/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("open the fold %s: %w", file.Name(), err)
		}
		_, metadata, err := tensor.DecodeSafetensors(b)
		if err != nil {
			return nil, fmt.Errorf("open the fold %s: %w", file.Name(), err)
		}
		segmenter, err := newSegmenter(s, b, 1, 1)
		if err != nil {
			return nil, fmt.Errorf("open the fold %s: %w", file.Name(), err)
		}
		s.folds = append(s.folds, segmenter)
		folds = append(folds, Fold{LeftOut: strings.Split(metadata["left_out"], ","), Segmenter: segmenter})
	}
	return folds, nil
}
