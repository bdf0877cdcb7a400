package eval

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/train"
)

// findings measures the chest labels with and without the record beside the radiograph.
func findings(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"findings"}
	}
	start := time.Now()
	splits, err := dataset.ReadChest(e.Data)
	if err != nil {
		return nil, err
	}
	films := splits["test"]
	scores, truth := map[string][]float64{}, map[string][]bool{}
	var labels []string
	for _, film := range films {
		b, err := os.ReadFile(film.Path)
		if err != nil {
			return nil, err
		}
		image, err := e.Models.Vision.EncodeImage(ctx, [][]byte{b})
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", film.Path, err)
		}
		text, err := e.Models.Text.EncodeText(ctx, []string{film.Record()}, false)
		if err != nil {
			return nil, fmt.Errorf("encode the record of %s: %w", film.ID, err)
		}
		for suffix, request := range map[string]*analysis.FuseRequest{
			"":       {Task: analysis.Report, Image: image[0]},
			"-fused": {Task: analysis.Report, Image: image[0], Text: text[0]},
		} {
			r, err := e.Models.Fuser.Fuse(ctx, request)
			if err != nil {
				return nil, fmt.Errorf("findings of %s: %w", film.ID, err)
			}
			for _, f := range r.Findings {
				key := f.Label + suffix
				if scores[key] == nil && suffix == "" {
					labels = append(labels, f.Label)
				}
				scores[key] = append(scores[key], f.Probability)
				truth[key] = append(truth[key], film.Has(f.Label))
			}
		}
	}
	var figures []Figure
	mean, n := 0.0, 0
	for _, label := range labels {
		value := train.AUROC(scores[label], truth[label])
		if math.IsNaN(value) {
			continue // no film, or every film, of the test split carries the label
		}
		mean, n = mean+value, n+1
		figures = append(figures, Figure{Name: "findings", Metric: "auroc-" + strings.ToLower(label), Value: value, Floor: 0.5, N: len(films)})
	}
	fused := train.AUROC(scores["Pneumonia-fused"], truth["Pneumonia-fused"])
	figures = append(figures,
		Figure{Name: "findings", Metric: "auroc-pneumonia-fused", Value: fused, Floor: 0.5, N: len(films)},
		Figure{Name: "findings", Metric: "auroc-mean", Value: mean / float64(max(1, n)), Floor: 0.5, N: len(films)})
	return timed(start, figures), nil
}
