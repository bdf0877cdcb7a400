package eval

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"slices"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/train"
	"consilium/services/fusion"
)

// randomNets is how many nets of random weights the pointing game is played with.
const randomNets = 5

// target is what a person drew on a film.
type target struct {
	film  dataset.Film
	label string // of the finding that has to point at it
	// holds reports whether a point, in shares of the film's width and height, lies on what was drawn.
	holds func(x, y float64) bool
	image *analysis.Features
}

// randomiser lends the same fusion with random weights.
type randomiser interface {
	WithRandomWeights(seed uint64, use func(*fusion.Service) error) error
}

// localisation plays the pointing game (Zhang et al. 2018, https://arxiv.org/abs/1608.00507) with the activations and
// the attention of reports.
func localisation(ctx context.Context, e Env) ([]Figure, error) {
	start := time.Now()
	if e.Data == "" {
		return nil, &ErrNoData{"localisation"}
	}
	r, ok := e.Models.Fuser.(randomiser)
	if !ok {
		return nil, fmt.Errorf("the fuser %T cannot be had with random weights", e.Models.Fuser)
	}
	targets, err := readTargets(e)
	if err != nil {
		return nil, err
	}
	game, targets, err := play(ctx, e, targets)
	if err != nil {
		return nil, err
	}
	for seed := range uint64(randomNets) {
		err := r.WithRandomWeights(seed, func(random *fusion.Service) error {
			for i, t := range targets {
				activation, _, err := t.point(ctx, random)
				if err != nil {
					return err
				}
				game.random[i] += t.hit(activation) / randomNets
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return timed(start, game.figures()), nil
}

// readTargets returns the lesion masks, to which Pneumonia has to point, and the boxes on films that no finding was
// trained or chosen on.
func readTargets(e Env) ([]target, error) {
	films, err := dataset.ReadFilms(e.Data)
	if err != nil {
		return nil, err
	}
	splits, err := dataset.ReadChest(e.Data)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, split := range []string{"train", "val"} {
		for _, r := range splits[split] {
			known[r.ID] = true
		}
	}
	var targets []target
	masks, boxes, left := 0, 0, 0
	for _, f := range films {
		switch {
		case f.Lesion == "" && len(f.Boxes) == 0:
			continue
		case known[f.ID]:
			left++
			continue
		}
		if f.Lesion != "" {
			drawn, err := dataset.ReadMask(f.Lesion)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(drawn.Pix, func(v uint8) bool { return v != 0 }) {
				targets = append(targets, target{film: f, label: pneumonia, holds: onMask(drawn)})
				masks++
			}
		}
		for i, b := range f.Boxes {
			if slices.ContainsFunc(f.Boxes[:i], func(o dataset.Box) bool { return o.Label == b.Label }) {
				continue // one target for all boxes of a label
			}
			targets = append(targets, target{film: f, label: b.Label, holds: func(x, y float64) bool {
				return slices.ContainsFunc(f.Boxes, func(o dataset.Box) bool { return o.Label == b.Label && o.Holds(x, y) })
			}})
			boxes++
		}
	}
	fmt.Fprintf(e.Out, "localisation: %d lesion masks and %d boxes; %d films left out, which findings were trained or chosen on\n", masks, boxes, left)
	return targets, nil
}

// onMask is target.holds for a mask: whether the pixel is any but 0.
func onMask(m *image.Gray) func(x, y float64) bool {
	size := m.Bounds().Size()
	return func(x, y float64) bool {
		return m.GrayAt(m.Rect.Min.X+min(size.X-1, int(x*float64(size.X))), m.Rect.Min.Y+min(size.Y-1, int(y*float64(size.Y)))).Y != 0
	}
}

// pointing holds, for each target, 1 if a guess hit it and 0 if not, or the share of several guesses that did.
type pointing struct {
	activation, attention, random, centre, chance []float64
	patients                                      []string
}

// play has the fusion under measurement point at the targets. It also returns those of labels that it judges from the
// image; the others are left out.
func play(ctx context.Context, e Env, targets []target) (p pointing, judged []target, err error) {
	for _, t := range targets {
		b, err := os.ReadFile(t.film.Path)
		if err != nil {
			return p, nil, err
		}
		if t.image, err = train.One(e.Models.Radiographs.EncodeImage(ctx, [][]byte{b})); err != nil {
			return p, nil, fmt.Errorf("encode %s: %w", t.film.Path, err)
		}
		activation, attention, err := t.point(ctx, e.Models.Fuser)
		if err != nil {
			return p, nil, err
		}
		if activation == nil || attention == nil {
			continue
		}
		judged = append(judged, t)
		p.activation, p.attention = append(p.activation, t.hit(activation)), append(p.attention, t.hit(attention))
		p.centre, p.chance = append(p.centre, share(t.holds(0.5, 0.5))), append(p.chance, t.chance(attention.Rows, attention.Cols))
		p.patients = append(p.patients, t.film.Patient)
	}
	if len(judged) == 0 {
		return p, nil, errors.New("measure localisation: there are no masks or boxes of findings that are judged")
	}
	p.random = make([]float64, len(judged))
	return p, judged, nil
}

// point returns where a fusion saw the label and where it looked; nil if it does not judge the label from the image.
func (t target) point(ctx context.Context, fuser analysis.Fuser) (activation, attention *analysis.Grid, err error) {
	result, err := analysis.FuseOne(ctx, fuser, &analysis.FuseRequest{Task: analysis.Report, Image: t.image})
	if err != nil {
		return nil, nil, fmt.Errorf("findings of %s: %w", t.film.ID, err)
	}
	for _, f := range result.Findings {
		if f.Label == t.label {
			activation = f.Activation
		}
	}
	return activation, result.Attention, nil
}

// hit is 1 if the centre of the cell of the largest value lies on the target; a grid of zeros points nowhere.
func (t target) hit(g *analysis.Grid) float64 {
	best := 0
	for i, v := range g.Values {
		if v > g.Values[best] {
			best = i
		}
	}
	return share(g.Values[best] > 0 && t.on(best, g.Rows, g.Cols))
}

// chance is the share of the cells whose centre lies on the target.
func (t target) chance(rows, cols int) float64 {
	var m mean
	for cell := range rows * cols {
		m.add(share(t.on(cell, rows, cols)))
	}
	return m.value()
}

func (t target) on(cell, rows, cols int) bool {
	return t.holds((float64(cell%cols)+0.5)/float64(cols), (float64(cell/cols)+0.5)/float64(rows))
}

func share(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (p pointing) figures() []Figure {
	figure := func(metric string, values, floor []float64) Figure {
		var m mean
		for _, v := range floor {
			m.add(v)
		}
		return meanByGroup("localisation", metric, values, p.patients, m.value())
	}
	return []Figure{
		figure("pointing-game", p.activation, p.centre),
		figure("pointing-game-attention", p.attention, p.centre),
		figure("pointing-game-centre", p.centre, p.chance),
		figure("pointing-game-random-weights", p.random, p.chance),
	}
}
