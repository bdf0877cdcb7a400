package fusion

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"consilium/internal/analysis"
)

// features returns the golden request's features of each modality.
func (s *Service) features() []*analysis.Features {
	r := s.goldenRequest()
	return []*analysis.Features{r.Question, r.Image, r.Audio}
}

func TestAlign(t *testing.T) {
	s := open(t)
	aligner := s.Aligner()
	if aligner.Digest() != s.Digest() {
		t.Errorf("the projection's weights are %s, the service's %s", aligner.Digest(), s.Digest())
	}
	if err := aligner.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	var all [][]float32
	for _, f := range s.features() {
		was := slices.Clone(f.Vector)
		vector, err := aligner.Align(t.Context(), f)
		if err != nil || len(vector) != analysis.VectorDim {
			t.Fatalf("%s: %d values, %v", f.Modality, len(vector), err)
		}
		sum := 0.0
		for _, v := range vector {
			sum += float64(v) * float64(v)
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Errorf("%s: the squares of the vector add up to %v", f.Modality, sum)
		}
		again, err := aligner.Align(t.Context(), f)
		if err != nil || !slices.Equal(vector, again) || !slices.Equal(f.Vector, was) {
			t.Errorf("%s: the second time another vector, or the features were changed: %v", f.Modality, err)
		}
		all = append(all, vector)
	}
	if slices.Equal(all[0], all[1]) || slices.Equal(all[1], all[2]) {
		t.Error("different features have the same vector")
	}
}

func TestAlignRefuses(t *testing.T) {
	s := open(t)
	aligner := s.Aligner()
	for name, change := range map[string]func(f *analysis.Features) *analysis.Features{
		"nothing":                 func(*analysis.Features) *analysis.Features { return nil },
		"an unknown modality":     func(f *analysis.Features) *analysis.Features { f.Modality = "video"; return f },
		"a vector of another net": func(f *analysis.Features) *analysis.Features { f.Vector = f.Vector[1:]; return f },
		"no tokens":               func(f *analysis.Features) *analysis.Features { f.Tokens, f.TokenCount = nil, 0; return f },
		"a value that is NaN":     func(f *analysis.Features) *analysis.Features { f.Vector[0] = float32(math.NaN()); return f },
	} {
		if vector, err := aligner.Align(t.Context(), change(s.goldenRequest().Image)); analysis.CodeOf(err) != analysis.InvalidArgument {
			t.Errorf("%s: %v, %v", name, vector, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := aligner.Align(ctx, s.features()[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the request: %v", err)
	}
}
