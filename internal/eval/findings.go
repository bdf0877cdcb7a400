package eval

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/train"
)

// pneumonia is the label that chest measures.
const pneumonia = "Pneumonia"

// filmFeatures are the test films as the encoders see them.
type filmFeatures struct {
	film        dataset.Radiograph
	image, text *analysis.Features
}

// chest reads the films by split.
func (e Env) chest() (map[string][]dataset.Radiograph, error) {
	splits, err := dataset.ReadChest(e.Data)
	if err != nil || len(splits["train"]) > 0 || e.Training == "" {
		return splits, err
	}
	known, err := dataset.ReadChest(e.Training)
	if err != nil {
		return nil, fmt.Errorf("training films for the floors: %w", err)
	}
	splits["train"], splits["val"] = known["train"], known["val"]
	return splits, nil
}

// testFilms encodes the test split and returns it with the share of each label among the training films.
func testFilms(ctx context.Context, e Env, name string) ([]filmFeatures, func(label string) float64, error) {
	if e.Data == "" {
		return nil, nil, &ErrNoData{name}
	}
	splits, err := e.chest()
	if err != nil {
		return nil, nil, err
	}
	var films []filmFeatures
	for _, film := range splits["test"] {
		b, err := os.ReadFile(film.Path)
		if err != nil {
			return nil, nil, err
		}
		image, err := e.Models.Radiographs.EncodeImage(ctx, [][]byte{b})
		if err != nil {
			return nil, nil, fmt.Errorf("encode %s: %w", film.Path, err)
		}
		text, err := e.Models.Text.EncodeText(ctx, []string{film.Record()}, false)
		if err != nil {
			return nil, nil, fmt.Errorf("encode the record of %s: %w", film.ID, err)
		}
		films = append(films, filmFeatures{film, image[0], text[0]})
	}
	if len(films) == 0 {
		return nil, nil, fmt.Errorf("measure %s: there are no test films", name)
	}
	share := func(label string) float64 {
		n := 0
		for _, r := range splits["train"] {
			if r.Has(label) {
				n++
			}
		}
		return float64(n) / float64(max(1, len(splits["train"])))
	}
	return films, share, nil
}

// findings measures each label from the radiograph.
func findings(ctx context.Context, e Env) ([]Figure, error) {
	start := time.Now()
	films, share, err := testFilms(ctx, e, "findings")
	if err != nil {
		return nil, err
	}
	scores, truth := map[string][]float64{}, map[string][]bool{}
	var labels []string
	for _, f := range films {
		r, err := analysis.FuseOne(ctx, e.Models.Fuser, &analysis.FuseRequest{Task: analysis.Report, Image: f.image})
		if err != nil {
			return nil, fmt.Errorf("findings of %s: %w", f.film.ID, err)
		}
		for _, finding := range r.Findings {
			if !slices.Contains(labels, finding.Label) {
				labels = append(labels, finding.Label)
			}
			scores[finding.Label] = append(scores[finding.Label], finding.Probability)
			truth[finding.Label] = append(truth[finding.Label], f.film.Has(finding.Label))
		}
	}
	frozen, err := frozenFloors(ctx, e, labels)
	if err != nil {
		return nil, err
	}
	var figures []Figure
	var all, prior []float64
	var present []bool
	var mean, floor, shuffled mean
	for _, label := range labels {
		for range films {
			prior = append(prior, share(label))
		}
		all, present = append(all, scores[label]...), append(present, truth[label]...)
		f := auroc("findings", "auroc-"+strings.ToLower(label), scores[label], truth[label], frozen[label])
		if math.IsNaN(f.Value) {
			continue // no film, or every film, of the test split carries the label
		}
		mean.add(f.Value)
		floor.add(f.Floor)
		shuffled.add(byAnother(scores[label], truth[label]))
		figures = append(figures, f)
	}
	figures = append(figures,
		Figure{Name: "findings", Metric: "auroc-mean", Value: mean.value(), Floor: floor.value(), N: len(films)},
		Figure{Name: "findings", Metric: "auroc-mean-shuffled-image", Value: shuffled.value(), Floor: 0.5, N: len(films)},
		Figure{Name: "findings", Metric: "ece", Value: calibrationError(all, present, 10), Floor: calibrationError(prior, present, 10), N: len(all)})
	return timed(start, figures), nil
}

// byAnother is the AUROC when each film is judged by the picture of another one, over every distance in the list.
func byAnother(scores []float64, truth []bool) float64 {
	var m mean
	for i := 1; i < len(scores); i++ {
		m.add(train.AUROC(slices.Concat(scores[i:], scores[:i]), truth))
	}
	return m.value()
}

// frozenFloors returns, for each label, the AUROC on the test films of a logistic regression on the pooled vectors of
// the published network, trained on the training films, its penalty chosen on the validation films; one half where
// validation does not allow a choice or no image shows the label.
func frozenFloors(ctx context.Context, e Env, labels []string) (map[string]float64, error) {
	splits, err := e.chest()
	if err != nil {
		return nil, err
	}
	vectors := map[string][][]float32{}
	for split, films := range splits {
		for _, film := range films {
			b, err := os.ReadFile(film.Path)
			if err != nil {
				return nil, err
			}
			f, err := train.One(e.Models.Vision.EncodeImage(ctx, [][]byte{b}))
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w", film.Path, err)
			}
			vectors[split] = append(vectors[split], f.Vector)
		}
	}
	floors := map[string]float64{}
	for _, label := range labels {
		floors[label] = 0.5
		cases := map[string][]labelled{}
		for split, films := range splits {
			for i, film := range films {
				cases[split] = append(cases[split], labelled{vectors[split][i], film.Has(label)})
			}
		}
		if len(cases["train"]) == 0 {
			continue
		}
		if l, err := bestLogistic(cases["train"], cases["val"]); err == nil {
			if v := train.AUROC(l.scores(cases["test"])); !math.IsNaN(v) {
				floors[label] = v
			}
		}
	}
	return floors, nil
}

// chest measures pneumonia from the radiograph, from the record and from both.
func chest(ctx context.Context, e Env) ([]Figure, error) {
	start := time.Now()
	x, err := explained(e.Models)
	if err != nil {
		return nil, err
	}
	films, _, err := testFilms(ctx, e, "chest")
	if err != nil {
		return nil, err
	}
	var fused, image, record []float64
	var truth []bool
	for _, f := range films {
		truth = append(truth, f.film.Has(pneumonia))
		both, err := x.Explain(ctx, &analysis.FuseRequest{Task: analysis.Report, Image: f.image, Text: f.text})
		if err != nil {
			return nil, fmt.Errorf("findings of %s: %w", f.film.ID, err)
		}
		alone, err := x.Explain(ctx, &analysis.FuseRequest{Task: analysis.Report, Image: f.image})
		if err != nil {
			return nil, fmt.Errorf("findings of %s: %w", f.film.ID, err)
		}
		i := slices.Index(both.Answers, pneumonia)
		if i < 0 {
			return nil, fmt.Errorf("measure chest: the fusion does not judge %s", pneumonia)
		}
		fused, image, record = append(fused, both.Fused[i]), append(image, alone.Fused[i]), append(record, both.Alone[analysis.Text][i])
	}
	return timed(start, []Figure{
		auroc("chest", "auroc-pneumonia-fused", fused, truth, train.AUROC(image, truth)),
		auroc("chest", "auroc-pneumonia-image", image, truth, 0.5),
		auroc("chest", "auroc-pneumonia-record", record, truth, 0.5),
	}), nil
}
