package conform

import (
	"slices"
	"testing"

	"consilium/internal/analysis"
)

// Writer runs requests, good and bad, by name, on local and on remote.
func Writer(t *testing.T, local, remote analysis.SentenceWriter, requests map[string]*analysis.SentenceRequest) {
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			want, wantErr := local.WriteSentence(t.Context(), request)
			got, err := remote.WriteSentence(t.Context(), request)
			sameError(t, err, wantErr)
			if wantErr == nil && (got.Model != want.Model || !slices.Equal(got.Texts, want.Texts)) {
				t.Errorf("%q of %s over the wire, %q of %s in process", got.Texts, got.Model, want.Texts, want.Model)
			}
		})
	}
}
