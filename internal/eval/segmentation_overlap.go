package eval

import (
	"fmt"
	"slices"

	"consilium/internal/dataset"
	"consilium/internal/mask"
)

// grid is the side of the squares on which the masks of different films are compared with each other.
const grid = 128

// overlaps collects the Dice overlap of what was found on films with what was drawn, and what it would be without looking
// at the film.
type overlaps struct {
	films  []dataset.Film
	path   func(dataset.Film) string
	values []uint8
	usual  map[string]mask.Mask // the mean mask, by the patient whose films it leaves out

	patients     []string
	dice, blind  []float64
	found, wants []mask.Mask // at the grid, for other films' masks in place of a film's own
}

// newOverlaps compares with the masks at path, of which the pixels with one of the values count, or any but 0.
func newOverlaps(films []dataset.Film, path func(dataset.Film) string, values ...uint8) *overlaps {
	return &overlaps{films: films, path: path, values: values, usual: map[string]mask.Mask{}}
}

// add compares a film; one on which nothing was drawn is left out.
func (o *overlaps) add(f dataset.Film, found mask.Mask) error {
	want, err := drawn(o.path(f), o.values...)
	if err != nil || want.Area() == 0 {
		return err
	}
	usual, err := o.mean(f.Patient)
	if err != nil {
		return err
	}
	o.patients = append(o.patients, f.Patient)
	o.dice = append(o.dice, mask.Dice(resized(found, want.Width, want.Height), want))
	o.blind = append(o.blind, mask.Dice(resized(usual, want.Width, want.Height), want))
	o.found, o.wants = append(o.found, resized(found, grid, grid)), append(o.wants, resized(want, grid, grid))
	return nil
}

// mean is where half of the training films or more, those of a patient left out, have something drawn; in a folder
// without training films, half of the others. Where that leaves nothing, the share is lowered until something is left.
func (o *overlaps) mean(patient string) (mask.Mask, error) {
	if m, ok := o.usual[patient]; ok {
		return m, nil
	}
	train := slices.ContainsFunc(o.films, func(f dataset.Film) bool { return f.Split == "train" && o.path(f) != "" })
	counts, n := make([]float32, grid*grid), 0
	for _, f := range o.films {
		if o.path(f) == "" || f.Patient == patient || train && f.Split != "train" {
			continue
		}
		m, err := drawn(o.path(f), o.values...)
		if err != nil {
			return mask.Mask{}, err
		}
		if m.Area() == 0 {
			continue
		}
		n++
		for i, on := range resized(m, grid, grid).On {
			if on {
				counts[i]++
			}
		}
	}
	most := slices.Max(counts)
	m := mask.Threshold(counts, grid, grid, min(float32(n)/2, most*0.75), grid, grid)
	o.usual[patient] = m
	return m, nil
}

// shuffled is the overlap of what was drawn with what was found on the next film of another patient.
func (o *overlaps) shuffled() []float64 {
	var dice []float64
	for i, want := range o.wants {
		for step := 1; step < len(o.wants); step++ {
			if j := (i + step) % len(o.wants); o.patients[j] != o.patients[i] {
				dice = append(dice, mask.Dice(o.found[j], want))
				break
			}
		}
	}
	return dice
}

// report adds the figures of a comparison: the mean, and if spread the median, the least and the mean of shuffled images.
func (r *segmentationRun) report(metric string, o *overlaps, spread bool) error {
	if len(o.dice) == 0 {
		if metric == "dice-lung" || metric == "dice-lesion" {
			fmt.Fprintf(r.env.Out, "segmentation: no film to measure %s on\n", metric)
		}
		return nil
	}
	r.figures = append(r.figures, meanFigure(metric, o.dice, o.patients, meanOf(o.blind)))
	if !spread {
		return nil
	}
	sorted, floor := slices.Sorted(slices.Values(o.dice)), slices.Sorted(slices.Values(o.blind))
	n := len(sorted)
	r.figures = append(r.figures,
		Figure{Name: "segmentation", Metric: metric + "-median", Value: sorted[n/2], Floor: floor[n/2], N: n},
		Figure{Name: "segmentation", Metric: metric + "-min", Value: sorted[0], Floor: floor[0], N: n})
	if dice := o.shuffled(); len(dice) > 0 {
		r.figures = append(r.figures, Figure{Name: "segmentation", Metric: metric + "-shuffled-image", Value: meanOf(dice), Floor: meanOf(o.blind), N: len(dice)})
	}
	return nil
}

// drawn reads a mask: the pixels with one of the values, or any but 0 if none is named.
func drawn(path string, values ...uint8) (mask.Mask, error) {
	grey, err := dataset.ReadMask(path)
	if err != nil {
		return mask.Mask{}, err
	}
	return mask.FromGray(grey, values...), nil
}

// resized is a mask at another size: a pixel is on where, between the centres of the old ones, half is.
func resized(m mask.Mask, width, height int) mask.Mask {
	values := make([]float32, len(m.On))
	for i, on := range m.On {
		if on {
			values[i] = 1
		}
	}
	return mask.Threshold(values, m.Width, m.Height, 0.5, width, height)
}
