package eval

import (
	"context"
	"fmt"
	"os"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset/sounds"
	"consilium/internal/train"
)

// coughs measures how well the finding Cough tells coughs from environmental sounds, and what COVID leaves in them.
func coughs(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"cough"}
	}
	start := time.Now()
	clips, err := sounds.Read(e.Data)
	if err != nil {
		return nil, err
	}
	var scores []float64
	var truth []bool
	for _, c := range clips {
		if c.Split != "test" || c.IsDigit() {
			continue
		}
		b, err := os.ReadFile(c.Path)
		if err != nil {
			return nil, err
		}
		f, err := train.One(e.Models.Audio.EncodeAudio(ctx, [][]byte{b}, false))
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", c.Path, err)
		}
		r, err := analysis.FuseOne(ctx, e.Models.Fuser, &analysis.FuseRequest{Task: analysis.Report, Audio: f})
		if err != nil {
			return nil, fmt.Errorf("findings of %s: %w", c.Path, err)
		}
		for _, finding := range r.Findings {
			if finding.Label == "Cough" {
				scores, truth = append(scores, finding.Probability), append(truth, c.Label == "cough")
			}
		}
	}
	channels, err := covid(ctx, e)
	if err != nil {
		return nil, err
	}
	return timed(start, append([]Figure{auroc("cough", "auroc-cough", scores, truth, 0.5)}, channels...)), nil
}
