package eval

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset/triples"
	"consilium/internal/train"
	"consilium/internal/weights"
	"consilium/services/fusion"
)

// digitQuestion is what is asked about every triple.
const digitQuestion = "which digit is it?"

// triplesPerRecording is how many triples each test recording is part of.
const triplesPerRecording = 2

// explainer is a Fuser that shows what an answer is made of and where features lie in the common space.
type explainer interface {
	Explain(ctx context.Context, r *analysis.FuseRequest) (*fusion.Explanation, error)
	Align(ctx context.Context, f *analysis.Features) ([]float32, error)
}

// testDigits reads the test pictures and test recordings. A data folder may bring its own pictures, in digits.csv.gz,
// all of which are test cases then.
func testDigits(e Env) ([]triples.Picture, []triples.Recording, error) {
	path := filepath.Join(e.Data, "digits.csv.gz")
	_, err := os.Stat(path)
	own := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		path, err = weights.Path("digits.csv.gz")
	}
	if err != nil {
		return nil, nil, err
	}
	pictures, err := triples.ReadPictures(path)
	if err != nil {
		return nil, nil, err
	}
	if !own {
		pictures = triples.Split(pictures, "test", func(p triples.Picture) string { return p.Split })
	}
	recordings, err := triples.ReadRecordings(e.Data)
	if err != nil {
		return nil, nil, err
	}
	recordings = triples.Split(recordings, "test", func(r triples.Recording) string { return r.Split })
	if len(recordings) == 0 {
		return nil, nil, fmt.Errorf("read spoken digits: %s holds no recording of the test split", e.Data)
	}
	return pictures, recordings, nil
}

// digitStudies asks about triples and remembers the features of whole content, which comes again.
type digitStudies struct {
	models   Models
	explain  explainer
	question *analysis.Features
	known    map[string]*analysis.Features
}

// explained returns the fusion as one that explains its results.
func explained(m Models) (explainer, error) {
	x, ok := m.Fuser.(explainer)
	if !ok {
		return nil, fmt.Errorf("the fuser %T does not explain its results", m.Fuser)
	}
	return x, nil
}

func newDigitStudies(ctx context.Context, m Models) (*digitStudies, error) {
	x, err := explained(m)
	if err != nil {
		return nil, err
	}
	s := &digitStudies{models: m, explain: x, known: map[string]*analysis.Features{}}
	if s.question, err = train.One(m.Text.EncodeText(ctx, []string{digitQuestion}, true)); err != nil {
		return nil, fmt.Errorf("encode %q: %w", digitQuestion, err)
	}
	return s, nil
}

// features returns the features of one part of a triple, nil for a note without text, which is no note.
func (s *digitStudies) features(ctx context.Context, t triples.Triple, part int) (*analysis.Features, error) {
	var content []byte
	switch part {
	case triples.Text:
		content = []byte(t.Word)
		if len(content) == 0 {
			return nil, nil
		}
	case triples.Image:
		b, err := t.Picture.PNG()
		if err != nil {
			return nil, err
		}
		content = b
	case triples.Audio:
		content = t.Sound.WAV()
	}
	key := string(content)
	if f := s.known[key]; f != nil {
		return f, nil
	}
	var f *analysis.Features
	var err error
	switch part {
	case triples.Text:
		f, err = train.One(s.models.Text.EncodeText(ctx, []string{t.Word}, true))
	case triples.Image:
		f, err = train.One(s.models.Vision.EncodeImage(ctx, [][]byte{content}))
	case triples.Audio:
		f, err = train.One(s.models.Audio.EncodeAudio(ctx, [][]byte{content}, true))
	}
	if err != nil {
		return nil, fmt.Errorf("encode a part of a triple: %w", err)
	}
	if !t.Corrupted[part] {
		s.known[key] = f
	}
	return f, nil
}

// ask answers the question about a triple without the part missing, nothing for none.
func (s *digitStudies) ask(ctx context.Context, t triples.Triple, missing int) (*fusion.Explanation, error) {
	r := &analysis.FuseRequest{Task: analysis.Question, Question: s.question}
	for part, to := range []**analysis.Features{&r.Text, &r.Image, &r.Audio} {
		if part == missing {
			continue
		}
		f, err := s.features(ctx, t, part)
		if err != nil {
			return nil, err
		}
		*to = f
	}
	return s.explain.Explain(ctx, r)
}

// nothing is the part that no condition lacks.
const nothing = -1

// digitCondition is one way to show the triples.
type digitCondition struct {
	name    string
	missing int
	change  func(rng *rand.Rand, t triples.Triple) triples.Triple
}

// digitConditions are the strengths, with 0 for whole triples; whole ones without one part; and whole ones of which
// one part, or two, show other digits.
func digitConditions(whole []triples.Triple) []digitCondition {
	var all []digitCondition
	for s := range triples.Strengths + 1 {
		all = append(all, digitCondition{fmt.Sprintf("s%d", s), nothing, func(rng *rand.Rand, t triples.Triple) triples.Triple { return t.Corrupt(rng, s) }})
	}
	for part, name := range []string{"no-note", "no-image", "no-audio"} {
		all = append(all, digitCondition{name, part, func(_ *rand.Rand, t triples.Triple) triples.Triple { return t }})
	}
	for i, name := range []string{"one-wrong", "two-wrong"} {
		all = append(all, digitCondition{name, nothing, func(rng *rand.Rand, t triples.Triple) triples.Triple { return t.Mislead(rng, whole, i+1) }})
	}
	return all
}

// digits measures what the gate gains when two of the three parts of a triple are corrupted.
func digits(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"digits"}
	}
	start := time.Now()
	pictures, recordings, err := testDigits(e)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(4, 4))
	whole, err := triples.Make(rng, pictures, recordings, triplesPerRecording)
	if err != nil {
		return nil, err
	}
	s, err := newDigitStudies(ctx, e.Models)
	if err != nil {
		return nil, err
	}
	conditions := digitConditions(whole)
	tallies := make([]*digitTally, len(conditions))
	for i, c := range conditions {
		tallies[i] = newDigitTally()
		for _, x := range whole {
			x = c.change(rng, x)
			explained, err := s.ask(ctx, x, c.missing)
			if err != nil {
				return nil, fmt.Errorf("answer %s: %w", c.name, err)
			}
			tallies[i].count(x, explained)
		}
		fmt.Fprintf(e.Out, "digits: %d/%d %s, %.0f s\n", i+1, len(conditions), c.name, time.Since(start).Seconds())
	}
	figures := tallies[triples.Strengths].gains()
	for i, c := range conditions {
		figures = append(figures, tallies[i].figures(c.name, i > 0 && i <= triples.Strengths)...)
	}
	return timed(start, figures), nil
}
