package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/pipeline"
	"consilium/internal/weights"
)

// Sizes of the group.
const (
	timedReports  = 8
	followedWords = 128
)

// report times the report on a radiograph, from the file: until its first sentence is there, and all of it; the first word
// of a sentence; and the decoder with and without what it remembers.
func (b *bench) report(ctx context.Context) error {
	first := &Case{Name: "report-first-token-ms", About: "the features of a picture to the first word of a sentence", Items: 1}
	rows, others, err := b.measure(ctx, first, []entrant{single("consilium", func(ctx context.Context) ([][]float32, error) {
		return b.Words(ctx, 0, true)
	})})
	if err != nil {
		return err
	}
	b.add(milliseconds(first.Name, "p50-ms", first.About, others, rows[0].seconds))

	folder, err := weights.Path("pneumonia-val")
	if err != nil {
		return err
	}
	films, err := filepath.Glob(filepath.Join(folder, "*.jpeg"))
	if err != nil {
		return err
	}
	if len(films) <= timedReports {
		return errors.New("time reports: there are too few radiographs")
	}
	p := &pipeline.Pipeline{Text: b.Text, Vision: b.Vision, Radiographs: b.Radiographs, Fusion: b.Fusion, Segmenter: b.Segmenter, Writer: b.Writer}
	before, err := readUsage()
	if err != nil {
		return err
	}
	var sentence, whole []float64
	for i, film := range films[:timedReports+1] {
		picture, err := os.ReadFile(film)
		if err != nil {
			return err
		}
		start, heard := time.Now(), 0.0
		_, err = p.Analyze(pipeline.WithSentences(ctx, func(string, analysis.Sentence) {
			if heard == 0 {
				heard = since(start)
			}
		}), &analysis.Request{Task: analysis.Report, Image: picture})
		if err != nil {
			return err
		}
		if heard == 0 {
			return errors.New("time reports: one has no sentence")
		}
		if i > 0 { // the first warms the rest
			sentence, whole = append(sentence, heard), append(whole, since(start))
		}
	}
	after, err := readUsage()
	if err != nil {
		return err
	}
	others = after.others(before)
	b.add(milliseconds("report-first-sentence-ms", "p50-ms", "the file of a radiograph to the first sentence that a reader gets", others, sentence),
		milliseconds("report-whole-ms", "p50-ms", "the same to the whole report, measured and written", others, whole))

	c := &Case{Name: "decoder-kv-ratio", About: "a sentence of 128 words: the time without remembering keys and values to that with them", Items: followedWords}
	follow := func(remember bool) func(context.Context) ([][]float32, error) {
		return func(ctx context.Context) ([][]float32, error) { return b.Words(ctx, followedWords-1, remember) }
	}
	rows, others, err = b.measure(ctx, c, []entrant{single("with them", follow(true)), single("without", follow(false))})
	if err != nil {
		return err
	}
	b.add(slower(c, rows[1], rows[0], others))
	return nil
}
