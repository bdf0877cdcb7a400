package eval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/mask"
	"consilium/internal/pipeline"
)

// A Fold is a segmenter that has not seen the lesions of some films: their digests, in lower-case hex.
type Fold struct {
	LeftOut   []string
	Segmenter analysis.Segmenter
}

// segmentation measures the masks of lungs, hearts and lesions.
func segmentation(ctx context.Context, e Env) ([]Figure, error) {
	start := time.Now()
	if e.Data == "" {
		return nil, &ErrNoData{"segmentation"}
	}
	films, err := dataset.ReadFilms(e.Data)
	if err != nil {
		return nil, err
	}
	m := &segmentationRun{env: e, films: films}
	for _, part := range []func(context.Context) error{m.lungs, m.annotators, m.hearts, m.lesions, m.refusals} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	return timed(start, m.figures), nil
}

// segmentationRun is one measurement of a folder.
type segmentationRun struct {
	env     Env
	films   []dataset.Film
	figures []Figure
}

// unseen reports whether no weights were trained or chosen on a film.
func unseen(f dataset.Film) bool { return f.Split != "train" && f.Split != "val" }

// lungs compares the lungs on unseen films with those that were drawn.
func (r *segmentationRun) lungs(ctx context.Context) error {
	cases := newOverlaps(r.films, func(f dataset.Film) string { return f.Lung })
	for _, f := range r.films {
		if f.Lung == "" || !unseen(f) {
			continue
		}
		_, s, err := r.segment(ctx, r.env.Models.Segmenter, f)
		if err != nil {
			return err
		}
		found, err := structure(s, analysis.RightLung, analysis.LeftLung)
		if err != nil {
			return err
		}
		if err := cases.add(f, found); err != nil {
			return err
		}
	}
	return r.report("dice-lung", cases, true)
}

// hearts compares the heart and the cardiothoracic ratio, on films that the net was not trained on; those of the
// validation split among them were looked at while it was trained.
func (r *segmentationRun) hearts(ctx context.Context) error {
	cases := newOverlaps(r.films, func(f dataset.Film) string { return f.Anatomy }, dataset.AnatomyHeart)
	var errors, floors []float64
	var patients []string
	var all []float64
	for _, f := range r.films {
		if f.Anatomy == "" || f.Split != "train" {
			continue
		}
		ratio, ok, err := drawnRatio(f)
		if err != nil {
			return err
		}
		if ok {
			all = append(all, ratio)
		}
	}
	usual := meanOf(all)
	for _, f := range r.films {
		if f.Anatomy == "" || f.Split == "train" {
			continue
		}
		_, s, err := r.segment(ctx, r.env.Models.Segmenter, f)
		if err != nil {
			return err
		}
		found, err := structure(s, analysis.Heart)
		if err != nil {
			return err
		}
		if err := cases.add(f, found); err != nil {
			return err
		}
		want, ok, err := drawnRatio(f)
		if err != nil {
			return err
		}
		if got, measured := measurement(s, "cardiothoracic_ratio"); ok && measured {
			errors, floors, patients = append(errors, abs(got-want)), append(floors, abs(usual-want)), append(patients, f.Patient)
		}
	}
	if err := r.report("dice-heart", cases, false); err != nil {
		return err
	}
	if len(errors) > 0 {
		r.figures = append(r.figures, meanFigure("cardiothoracic-ratio-error", errors, patients, meanOf(floors)))
	}
	return nil
}

// lesions compares opacities with those that were drawn: every film by weights that have not seen it.
func (r *segmentationRun) lesions(ctx context.Context) error {
	kinds := []struct {
		metric, structure string
		values            []uint8
	}{
		{"dice-lesion", analysis.Lesion, []uint8{dataset.LesionGroundGlass, dataset.LesionConsolidation, dataset.LesionEffusion}},
		{"dice-ground-glass", analysis.GroundGlass, []uint8{dataset.LesionGroundGlass}},
		{"dice-consolidation", analysis.Consolidation, []uint8{dataset.LesionConsolidation}},
	}
	cases := make([]*overlaps, len(kinds))
	for i, k := range kinds {
		cases[i] = newOverlaps(r.films, func(f dataset.Film) string { return f.Lesion }, k.values...)
	}
	for _, f := range r.films {
		if f.Lesion == "" {
			continue
		}
		b, err := os.ReadFile(f.Path)
		if err != nil {
			return fmt.Errorf("read the film %s: %w", f.ID, err)
		}
		_, s, err := r.segment(ctx, r.blind(b), f)
		if err != nil {
			return err
		}
		for i, k := range kinds {
			found, err := structure(s, k.structure)
			if err != nil {
				return err
			}
			if err := cases[i].add(f, found); err != nil {
				return err
			}
		}
	}
	for i, k := range kinds {
		if err := r.report(k.metric, cases[i], i == 0); err != nil {
			return err
		}
	}
	return nil
}

// blind returns the segmenter that has not seen the film of these bytes: a fold's if it is in one.
func (r *segmentationRun) blind(film []byte) analysis.Segmenter {
	sum := sha256.Sum256(film)
	for _, fold := range r.env.Models.Folds {
		if slices.Contains(fold.LeftOut, hex.EncodeToString(sum[:])) {
			return fold.Segmenter
		}
	}
	return r.env.Models.Segmenter
}

// refusals counts the unseen films that the platform measures, frontal and lateral, and how much of the lungs it calls
// an opacity on films without any finding, from which the share should tell pneumonia.
func (r *segmentationRun) refusals(ctx context.Context) error {
	var frontal, lateral, shares, healthy, usual, usualIll []float64
	var frontalPatients, lateralPatients, healthyPatients, illPatients []string
	var ill []bool
	for _, f := range r.films {
		if !unseen(f) {
			continue
		}
		_, s, err := r.segment(ctx, r.env.Models.Segmenter, f)
		if err != nil {
			return err
		}
		measured := 0.0
		if s.Problem == "" {
			measured = 1
		}
		switch f.View {
		case "L":
			lateral, lateralPatients = append(lateral, 1-measured), append(lateralPatients, f.Patient)
		case "PA", "AP", "AP Supine":
			frontal, frontalPatients = append(frontal, measured), append(frontalPatients, f.Patient)
			right, ok := measurement(s, "lesion_share_right_lung")
			left, _ := measurement(s, "lesion_share_left_lung")
			if f.NIH && ok {
				shares, ill = append(shares, right+left), append(ill, f.Has(pneumonia))
				within := 0.0
				if max(right, left) <= analysis.UsualLesionShare {
					within = 1
				}
				switch {
				case f.Has("No Finding"):
					healthy, usual, healthyPatients = append(healthy, (right+left)/2), append(usual, within), append(healthyPatients, f.Patient)
				case f.Has(pneumonia):
					usualIll, illPatients = append(usualIll, within), append(illPatients, f.Patient)
				}
			}
		}
	}
	if len(frontal) > 0 {
		r.figures = append(r.figures, meanFigure("frontal-measured", frontal, frontalPatients, 0))
	}
	if len(lateral) > 0 {
		r.figures = append(r.figures, meanFigure("lateral-refused", lateral, lateralPatients, 0))
	}
	if len(healthy) > 0 {
		r.figures = append(r.figures, meanFigure("lesion-share-no-finding", healthy, healthyPatients, 0), meanFigure("lesion-usual-no-finding", usual, healthyPatients, 0))
	}
	if len(usualIll) > 0 {
		r.figures = append(r.figures, meanFigure("lesion-usual-pneumonia", usualIll, illPatients, meanOf(usual)))
	}
	if slices.Contains(ill, true) && slices.Contains(ill, false) {
		r.figures = append(r.figures, auroc("segmentation", "auroc-pneumonia-by-lesion-share", shares, ill, 0.5))
	}
	return nil
}

// segment returns the masks of a film with what the platform measures in them.
func (r *segmentationRun) segment(ctx context.Context, segmenter analysis.Segmenter, f dataset.Film) ([]byte, *analysis.Segmentation, error) {
	b, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the film %s: %w", f.ID, err)
	}
	made, err := segmenter.Segment(ctx, [][]byte{b})
	if err != nil {
		return nil, nil, fmt.Errorf("segment the film %s: %w", f.ID, err)
	}
	return b, made[0], pipeline.Measure(made[0])
}

// structure returns the union of the masks of structures.
func structure(s *analysis.Segmentation, names ...string) (mask.Mask, error) {
	all := mask.New(s.Cols, s.Rows)
	for _, name := range names {
		m, err := mask.FromRuns(s.Mask(name).Runs, s.Cols, s.Rows)
		if err != nil {
			return all, err
		}
		all = all.Or(m)
	}
	return all, nil
}

// measurement returns a value by its name.
func measurement(s *analysis.Segmentation, name string) (float64, bool) {
	for _, m := range s.Measurements {
		if m.Name == name {
			return m.Value, true
		}
	}
	return 0, false
}

// drawnRatio is the cardiothoracic ratio of the masks that were drawn; ok is false for a film on which a lung was not.
func drawnRatio(f dataset.Film) (ratio float64, ok bool, err error) {
	heart, err := drawn(f.Anatomy, dataset.AnatomyHeart)
	if err != nil {
		return 0, false, err
	}
	var edges [3][2]int
	for i, values := range [][]uint8{{dataset.AnatomyHeart}, {dataset.AnatomyRightLung}, {dataset.AnatomyLeftLung}} {
		m, err := drawn(f.Anatomy, values...)
		if err != nil {
			return 0, false, err
		}
		first, last, there := m.Columns()
		if !there || m.Area() < heart.Area()/4 {
			return 0, false, nil
		}
		edges[i] = [2]int{first, last}
	}
	return float64(edges[0][1]-edges[0][0]+1) / float64(max(edges[1][1], edges[2][1])-min(edges[1][0], edges[2][0])+1), true, nil
}

func abs(v float64) float64 { return max(v, -v) }

func meanOf(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(max(1, len(v)))
}

// meanFigure is the mean of values of patients, with the 2.5th and 97.5th percentile over patients drawn again.
func meanFigure(metric string, values []float64, patients []string, floor float64) Figure {
	f := Figure{Name: "segmentation", Metric: metric, Value: meanOf(values), Floor: floor, N: len(values)}
	f.Low, f.High = patientInterval(values, patients)
	return f
}

// patientInterval resamples patients, whose values are not independent of each other.
func patientInterval(values []float64, patients []string) (low, high float64) {
	of := map[string][]float64{}
	var names []string
	for i, p := range patients {
		if of[p] == nil {
			names = append(names, p)
		}
		of[p] = append(of[p], values[i])
	}
	if len(names) < 2 {
		return 0, 0
	}
	rng := rand.New(rand.NewPCG(1, 1))
	means := make([]float64, resamples)
	for i := range means {
		var sum, n float64
		for range names {
			for _, v := range of[names[rng.IntN(len(names))]] {
				sum, n = sum+v, n+1
			}
		}
		means[i] = sum / n
	}
	slices.Sort(means)
	return means[len(means)*25/1000], means[len(means)*975/1000]
}
