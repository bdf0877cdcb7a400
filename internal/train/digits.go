package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/dataset/triples"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// tripleQuestions ask for the digit that a triple shows.
var tripleQuestions = []string{"which digit is it?", "what digit is this?", "which number is it?", "what number is this?"}

// How many variants of a part are encoded. The word is the same for every triple of a digit, so its corruptions are
// drawn for the digit; pictures are varied as well, because there are few writers.
const (
	wordVariants    = 40 // of each digit at each strength
	pictureVariants = 2  // whole ones, beside the picture as it is
	soundTakes      = 2  // whole ones, beside the recording as it is
)

// digitTriples are the parts of triples as indexes of features, by digit and strength of corruption, from which any
// triple is put together.
type digitTriples struct {
	questions []int
	answers   [10]int
	train     digitParts
	val       []digitCase
}

// digitParts are indexes by part, digit and strength.
type digitParts [triples.Parts][10][triples.Strengths + 1][]int

// digitCase is one triple of the validation split.
type digitCase struct {
	question
	digit, strength int
}

// digitsEncoder collects the contents that are to be encoded.
type digitsEncoder struct {
	texts    *texts
	contents [triples.Parts][][]byte // of Image and Audio
}

// add returns the index of content among what is encoded of a part, -1 for an empty word: a note without text is no
// note.
func (e *digitsEncoder) add(part int, content []byte) int {
	if part == triples.Text {
		if len(content) == 0 {
			return -1
		}
		return e.texts.id(string(content))
	}
	e.contents[part] = append(e.contents[part], content)
	return len(e.contents[part]) - 1
}

// loadTriples encodes triples of the training and validation splits and appends their features to those of d, and
// answers that d lacks.
func loadTriples(ctx context.Context, env Env, seed uint64, d *vqaData, engine *tensor.Engine, enc Encoders) (*digitTriples, error) {
	path, err := weights.Path("digits.csv.gz")
	if err != nil {
		return nil, err
	}
	pictures, err := triples.ReadPictures(path)
	if err != nil {
		return nil, err
	}
	recordings, err := triples.ReadRecordings(env.Data)
	if err != nil {
		return nil, err
	}

	e, rng := &digitsEncoder{texts: &texts{index: map[string]int{}}}, rand.New(rand.NewPCG(seed, 3))
	set := &digitTriples{}
	for _, q := range tripleQuestions {
		set.questions = append(set.questions, e.add(triples.Text, []byte(q)))
	}
	for digit, word := range triples.Words {
		answer := slices.Index(d.answers, word)
		if answer < 0 {
			answer = len(d.answers)
			d.answers = append(d.answers, word)
		}
		set.answers[digit] = answer
	}
	if err := set.addTrain(e, rng, triples.Split(pictures, "train", pictureSplit), triples.Split(recordings, "train", recordingSplit)); err != nil {
		return nil, err
	}
	made, err := triples.Make(rng, triples.Split(pictures, "val", pictureSplit), triples.Split(recordings, "val", recordingSplit), 2)
	if err != nil {
		return nil, err
	}
	if err := set.addVal(e, rng, made); err != nil {
		return nil, err
	}
	base, err := d.encodeDigits(ctx, env, e, engine, enc)
	if err != nil {
		return nil, err
	}
	set.shift(base)
	fmt.Fprintf(env.Log, "triples of %d pictures and %d recordings\n", len(pictures), len(recordings))
	return set, nil
}

func pictureSplit(p triples.Picture) string     { return p.Split }
func recordingSplit(r triples.Recording) string { return r.Split }

// addTrain adds every part of the training split at every strength; the kind of corruption is drawn.
func (t *digitTriples) addTrain(e *digitsEncoder, rng *rand.Rand, pictures []triples.Picture, recordings []triples.Recording) error {
	kind := func() triples.Kind { return triples.Kind(rng.IntN(int(triples.Kinds))) }
	put := func(part, digit, strength int, content []byte) {
		rows := &t.train[part][digit][strength]
		*rows = append(*rows, e.add(part, content))
	}
	for digit, word := range triples.Words {
		put(triples.Text, digit, 0, []byte(word))
		for s := 1; s <= triples.Strengths; s++ {
			for range wordVariants {
				put(triples.Text, digit, s, []byte(triples.CorruptWord(rng, word, kind(), s)))
			}
		}
	}
	for _, p := range pictures {
		variants := []triples.Picture{p}
		strengths := []int{0}
		for range pictureVariants {
			variants, strengths = append(variants, p.Vary(rng)), append(strengths, 0)
		}
		for s := 1; s <= triples.Strengths; s++ {
			variants, strengths = append(variants, p.Vary(rng).Corrupt(rng, kind(), s)), append(strengths, s)
		}
		for i, v := range variants {
			b, err := v.PNG()
			if err != nil {
				return err
			}
			put(triples.Image, p.Digit, strengths[i], b)
		}
	}
	takes := rand.New(rand.NewPCG(uint64(len(recordings)), 9)) // so that it draws from nothing else's numbers
	for _, r := range recordings {
		put(triples.Audio, r.Digit, 0, r.WAV())
		for range soundTakes {
			put(triples.Audio, r.Digit, 0, triples.Recording{Samples: elsewhere(takes, r.Samples)}.WAV())
		}
		for s := 1; s <= triples.Strengths; s++ {
			put(triples.Audio, r.Digit, s, r.Corrupt(rng, kind(), s).WAV())
		}
	}
	return nil
}

// addVal adds the validation triples, whole and at the strongest corruption.
func (t *digitTriples) addVal(e *digitsEncoder, rng *rand.Rand, made []triples.Triple) error {
	for _, strength := range []int{0, triples.Strengths} {
		for _, whole := range made {
			x := whole.Corrupt(rng, strength)
			b, err := x.Picture.PNG()
			if err != nil {
				return err
			}
			t.val = append(t.val, digitCase{digit: x.Digit, strength: strength, question: question{
				text: t.questions[0], note: e.add(triples.Text, []byte(x.Word)), caption: -1, answer: t.answers[x.Digit],
				image: e.add(triples.Image, b), audio: e.add(triples.Audio, x.Sound.WAV()),
			}})
		}
	}
	return nil
}

// encodeDigits encodes what e collected, appends the features to those of d and returns, for each part, what its
// indexes there begin at.
func (d *vqaData) encodeDigits(ctx context.Context, env Env, e *digitsEncoder, engine *tensor.Engine, enc Encoders) ([triples.Parts]int, error) {
	var base [triples.Parts]int
	for _, s := range e.texts.list {
		e.contents[triples.Text] = append(e.contents[triples.Text], []byte(s))
	}
	for part, p := range []struct {
		set    *featureSet
		unit   string
		encode func(ctx context.Context, b []byte) (*analysis.Features, error)
	}{{d.text, "digit-words", enc.encodeText}, {d.image, "digit-pictures", enc.encodeImage}, {d.audio, "digit-sounds", enc.encodeSound}} {
		artefacts := make([]artefact, len(e.contents[part]))
		for i, b := range e.contents[part] {
			artefacts[i] = bytesArtefact(b)
		}
		set, err := encodeAll(ctx, env.Log, engine, env.Cache, p.unit, artefacts, p.encode)
		if err != nil {
			return base, err
		}
		base[part] = p.set.join(set)
	}
	return base, nil
}

// shift adds base to every index of what is present.
func (t *digitTriples) shift(base [triples.Parts]int) {
	move := func(part int, rows ...*int) {
		for _, r := range rows {
			if *r >= 0 {
				*r += base[part]
			}
		}
	}
	for i := range t.questions {
		move(triples.Text, &t.questions[i])
	}
	for part := range t.train {
		for digit := range t.train[part] {
			for _, rows := range t.train[part][digit] {
				for i := range rows {
					move(part, &rows[i])
				}
			}
		}
	}
	for i := range t.val {
		c := &t.val[i]
		move(triples.Text, &c.text, &c.note)
		move(triples.Image, &c.image)
		move(triples.Audio, &c.audio)
	}
}

// draw returns n questions about triples: the strength is 0 to the strongest, evenly; two parts are corrupted; and a
// quarter of the triples lack one part.
func (t *digitTriples) draw(rng *rand.Rand, n int) []question {
	qs := make([]question, n)
	for i := range qs {
		digit, strength, whole := rng.IntN(10), rng.IntN(triples.Strengths+1), rng.IntN(triples.Parts)
		var rows [triples.Parts]int
		for part := range rows {
			s := strength
			if part == whole {
				s = 0
			}
			rows[part] = pick(rng, t.train[part][digit][s])
		}
		if rng.IntN(4) == 0 {
			rows[rng.IntN(triples.Parts)] = -1
		}
		qs[i] = question{text: pick(rng, t.questions), note: rows[triples.Text], image: rows[triples.Image],
			audio: rows[triples.Audio], caption: -1, answer: t.answers[digit]}
	}
	return qs
}
