package eval

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"consilium/internal/dataset/triples"
	"consilium/internal/weights"
)

// pointed is one thing of the common space.
type pointed struct {
	vector []float32
	digit  int
}

// retrieval measures how often the nearest thing of another modality shows the same digit, over whole test triples.
// The voice of the Asterisk recordings is one that no part of the platform was trained on.
func retrieval(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"retrieval"}
	}
	start := time.Now()
	pictures, recordings, err := testDigits(e)
	if err != nil {
		return nil, err
	}
	made, err := triples.Make(rand.New(rand.NewPCG(5, 5)), pictures, recordings, 1)
	if err != nil {
		return nil, err
	}
	s, err := newDigitStudies(ctx, e.Models)
	if err != nil {
		return nil, err
	}
	space, err := s.place(ctx, made)
	if err != nil {
		return nil, err
	}
	var figures []Figure
	names := [triples.Parts]string{"text", "image", "audio"}
	for _, direction := range [][2]int{
		{triples.Image, triples.Audio}, {triples.Text, triples.Image}, {triples.Audio, triples.Text},
		{triples.Audio, triples.Image}, {triples.Image, triples.Text}, {triples.Text, triples.Audio},
	} {
		from, to := direction[0], direction[1]
		figures = append(figures, recallAtOne("r1-"+names[from]+"-"+names[to], space[from], space[to]))
	}
	unseen, err := s.unseenVoice(ctx, space)
	if err != nil {
		fmt.Fprintf(e.Out, "retrieval: the unseen voice is left out: %v\n", err)
	}
	return timed(start, append(figures, unseen...)), nil
}

// place returns where each part of the triples lies; a picture or recording that several triples share lies there once
// for each.
func (s *digitStudies) place(ctx context.Context, made []triples.Triple) (space [triples.Parts][]pointed, err error) {
	for _, t := range made {
		for part := range space {
			f, err := s.features(ctx, t, part)
			if err != nil {
				return space, err
			}
			v, err := s.explain.Align(ctx, f)
			if err != nil {
				return space, fmt.Errorf("align a part of a triple: %w", err)
			}
			space[part] = append(space[part], pointed{v, t.Digit})
		}
	}
	return space, nil
}

// unseenVoice looks pictures and words up among the recordings of a voice that nothing was trained on, and the reverse.
func (s *digitStudies) unseenVoice(ctx context.Context, space [triples.Parts][]pointed) ([]Figure, error) {
	folder, err := weights.Path("asterisk-digits")
	if err != nil {
		return nil, err
	}
	var voice []pointed
	for _, clip := range asteriskDigits(folder) {
		r, err := triples.ReadRecording(clip)
		if err != nil {
			return nil, err
		}
		f, err := s.features(ctx, triples.Triple{Sound: r}, triples.Audio)
		if err != nil {
			return nil, err
		}
		v, err := s.explain.Align(ctx, f)
		if err != nil {
			return nil, err
		}
		voice = append(voice, pointed{v, r.Digit})
	}
	return []Figure{
		recallAtOne("r1-image-audio-unseen-voice", space[triples.Image], voice),
		recallAtOne("r1-audio-text-unseen-voice", voice, space[triples.Text]),
		recallAtOne("r1-audio-image-unseen-voice", voice, space[triples.Image]),
	}, nil
}

// recallAtOne is the share of from whose nearest thing of to shows the same digit. The floor is chance: the share of
// to that does, averaged over from.
func recallAtOne(metric string, from, to []pointed) Figure {
	right, chance := tally{}, mean{}
	for _, x := range from {
		nearest, similarity := 0, -2.0
		var same mean
		for i, y := range to {
			dot := 0.0
			for j, v := range x.vector {
				dot += float64(v) * float64(y.vector[j])
			}
			if dot > similarity {
				nearest, similarity = i, dot
			}
			if y.digit == x.digit {
				same.add(1)
			} else {
				same.add(0)
			}
		}
		right.count(to[nearest].digit == x.digit)
		chance.add(same.value())
	}
	return Figure{Name: "retrieval", Metric: metric, Value: right.share(), Floor: chance.value(), N: right.n}
}
