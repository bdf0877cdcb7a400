package train

import (
	"context"
	"fmt"
	"io"
	"slices"

	"consilium/internal/dataset"
	"consilium/internal/mask"
	"consilium/internal/tensor"
)

// lungClasses are what the recipe lungs finds.
var lungClasses = []string{"lung", "heart"}

// lateral is the view of a film on which the lungs lie over each other: nothing that could be told apart.
const lateral = "L"

// trainLungs trains the net that finds the lungs and the heart, on the training films with a mask of either. The films
// with a heart, which are few, are shown twice as often. Lateral films are shown as films without lungs, so that the
// net says what it cannot measure.
func trainLungs(ctx context.Context, r *Recipe, env Env) error {
	return trainSegmentation(ctx, r, env, lungClasses, func(t *segmentTask, films []dataset.Film) error {
		if t.settings.Fold > 0 {
			return fmt.Errorf("recipe %s: fold = %d: folds are of films with lesions", r.Name, t.settings.Fold)
		}
		for _, f := range films {
			drawn, trained := f.Lung != "" || f.Anatomy != "", f.Split == "train" || f.Split == "val" && t.settings.Validation == "trained"
			if f.Split != "train" && f.Split != "val" || !drawn && (!trained || f.View != lateral) {
				continue
			}
			e, err := lungExample(f, t.settings.Side)
			switch {
			case err != nil:
				return err
			case !drawn:
				t.empty = append(t.empty, e)
			case !trained:
				t.val = append(t.val, e)
			case f.Anatomy != "":
				t.films = append(t.films, e, e)
			default:
				t.films = append(t.films, e)
			}
		}
		t.judge = judgeLungs
		return nil
	})
}

func lungExample(f dataset.Film, side int) (e segmentExample, err error) {
	e = segmentExample{film: f, target: make([][]float32, len(lungClasses))}
	if e.image, err = readFilm(f, side); err != nil {
		return e, err
	}
	if f.Lung != "" {
		m, err := readClass(f.Lung)
		if err != nil {
			return e, err
		}
		e.target[0] = shares(m, side)
	}
	if f.Anatomy != "" {
		m, err := readClass(f.Anatomy, dataset.AnatomyHeart)
		if err != nil {
			return e, err
		}
		e.target[1] = shares(m, side)
	}
	if f.Lung == "" && f.Anatomy == "" {
		for i := range e.target {
			e.target[i] = make([]float32, side*side)
		}
	}
	return e, nil
}

// judgeLungs prints the overlap of the lungs, at the size of the film, and of the heart, and returns the mean of the
// former.
func judgeLungs(t *segmentTask, a *tensor.Arena, out io.Writer) float64 {
	side := t.settings.Side
	var lungs, hearts []float64
	for _, e := range t.val {
		planes := t.logits(a, e.image)
		for i, overlaps := range []*[]float64{&lungs, &hearts} {
			var want mask.Mask
			var err error
			switch {
			case i == 0 && e.film.Lung != "":
				want, err = readClass(e.film.Lung)
			case i == 1 && e.film.Anatomy != "":
				want, err = readClass(e.film.Anatomy, dataset.AnatomyHeart)
			default:
				continue
			}
			if err != nil {
				a.Fail("validate", "%v", err)
			}
			found := mask.Threshold(planes[i], side, side, 0, want.Width, want.Height)
			if i == 0 {
				found = mask.Lungs(found)
			} else {
				found = mask.Largest(found)
			}
			*overlaps = append(*overlaps, mask.Dice(found, want))
		}
	}
	fmt.Fprintf(out, "validation: Dice of the lungs %s, of the heart %s\n", spread(lungs), spread(hearts))
	return meanOf(lungs)
}

// spread writes the mean, the median and the least.
func spread(v []float64) string {
	if len(v) == 0 {
		return "unknown"
	}
	s := slices.Sorted(slices.Values(v))
	return fmt.Sprintf("%.4f (median %.4f, least %.4f, %d films)", meanOf(v), s[len(s)/2], s[0], len(s))
}

func meanOf(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(max(1, len(v)))
}
