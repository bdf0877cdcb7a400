package eval

import (
	"context"
	"fmt"

	"consilium/internal/dataset"
	"consilium/internal/mask"
)

// annotators compares the lungs that two teams drew on the same films, whatever their split: no model is judged. What lies
// behind the heart is left out, which the one team counts to the lungs and the other to the heart, and so are the films on
// which the other drew a single lung.
func (r *segmentationRun) annotators(context.Context) error {
	cases := newOverlaps(r.films, func(f dataset.Film) string { return f.Anatomy }, dataset.AnatomyRightLung, dataset.AnatomyLeftLung)
	for _, f := range r.films {
		if f.Lung == "" || f.Anatomy == "" {
			continue
		}
		single := false
		for _, side := range []uint8{dataset.AnatomyRightLung, dataset.AnatomyLeftLung} {
			lung, err := drawn(f.Anatomy, side)
			if err != nil {
				return err
			}
			single = single || lung.Area() == 0
		}
		if single {
			continue
		}
		whole, err := drawn(f.Lung)
		if err != nil {
			return err
		}
		heart, err := drawn(f.Anatomy, dataset.AnatomyHeart)
		if err != nil {
			return err
		}
		if whole.Width != heart.Width || whole.Height != heart.Height {
			return fmt.Errorf("the masks of the film %s are of %d x %d and %d x %d pixels", f.ID, whole.Width, whole.Height, heart.Width, heart.Height)
		}
		beside := mask.New(whole.Width, whole.Height)
		for i, on := range whole.On {
			beside.On[i] = on && !heart.On[i]
		}
		if err := cases.add(f, beside); err != nil {
			return err
		}
	}
	return r.report("dice-annotators", cases, false)
}
