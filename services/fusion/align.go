package fusion

import (
	"context"
	"fmt"
	"math"

	"consilium/internal/analysis"
)

// Aligner brings features into the space that the modalities share. It implements analysis.Aligner, with the net of the
// service that it belongs to.
type Aligner struct{ service *Service }

var _ analysis.Aligner = (*Aligner)(nil)

// Aligner returns the projection. It ends with the service.
func (s *Service) Aligner() *Aligner { return &Aligner{s} }

// Digest identifies the weights.
func (l *Aligner) Digest() string { return l.service.Digest() }

// Align implements analysis.Aligner. Errors are those of Service.Align.
func (l *Aligner) Align(ctx context.Context, f *analysis.Features) ([]float32, error) {
	return l.service.Align(ctx, f)
}

// Probe aligns fixed features; that the weights are right says the probe of the service.
func (l *Aligner) Probe(ctx context.Context) error {
	f := &analysis.Features{Modality: analysis.Text, TokenCount: 2, TokenDim: int(l.service.config.TextDim), Vector: make([]float32, l.service.config.TextDim)}
	for i := range f.TokenCount * f.TokenDim {
		f.Tokens = append(f.Tokens, float32(math.Sin(0.37*float64(i)))*0.5)
	}
	vector, err := l.Align(ctx, f)
	if err != nil {
		return fmt.Errorf("probe the projection: %w", err)
	}
	if len(vector) != analysis.VectorDim {
		return fmt.Errorf("probe the projection: a vector of %d, want %d", len(vector), analysis.VectorDim)
	}
	return nil
}
