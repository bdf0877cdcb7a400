package conform

import (
	"context"
	"math"
	"reflect"
	"testing"

	"consilium/internal/analysis"
)

// Segmentation runs cases of the given pictures, good and bad, by name, on local and on remote. At least one is good.
func Segmentation(t *testing.T, local, remote analysis.Segmenter, pictures map[string][]byte) {
	var good [][]byte
	try := func(t *testing.T, files [][]byte) error {
		want, wantErr := local.Segment(t.Context(), files)
		got, err := remote.Segment(t.Context(), files)
		sameError(t, err, wantErr)
		sameSegmentations(t, got, want)
		return wantErr
	}
	for name, file := range pictures {
		t.Run(name, func(t *testing.T) {
			if try(t, [][]byte{file}) == nil {
				good = append(good, file)
			}
		})
	}
	t.Run("good ones together", func(t *testing.T) {
		if len(good) == 0 {
			t.Fatal("no file was good")
		}
		_ = try(t, good)
	})
	t.Run("empty", func(t *testing.T) { _ = try(t, [][]byte{nil}) })
	t.Run("none", func(t *testing.T) { _ = try(t, nil) })
	t.Run("canceled", func(t *testing.T) {
		canceled(t, func(ctx context.Context) error { _, err := local.Segment(ctx, good[:1]); return err },
			func(ctx context.Context) error { _, err := remote.Segment(ctx, good[:1]); return err })
	})
}

func sameSegmentations(t *testing.T, got, want []*analysis.Segmentation) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d segmentations over the wire, %d in process", len(got), len(want))
	}
	for i := range want {
		g, w := *got[i], *want[i]
		if g.Rows != w.Rows || g.Cols != w.Cols || g.Model != w.Model || len(g.Masks) != len(w.Masks) {
			t.Fatalf("item %d: %d masks of %d x %d of %s over the wire, %d of %d x %d of %s in process",
				i, len(g.Masks), g.Rows, g.Cols, g.Model, len(w.Masks), w.Rows, w.Cols, w.Model)
		}
		for j := range w.Masks {
			a, b := g.Masks[j], w.Masks[j]
			if a.Structure != b.Structure || math.Abs(a.Confidence-b.Confidence) > tolerance || !reflect.DeepEqual(a.Runs, b.Runs) {
				t.Errorf("item %d: the mask of the %s differs from that of the %s in process", i, a.Structure, b.Structure)
			}
		}
	}
}
