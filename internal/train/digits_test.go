package train

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"consilium/internal/dataset/triples"
	"consilium/internal/media"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// fakeTriples are triples of ten pictures and ten sounds whose features are random; the index of a feature is that of
// the content that was collected.
func fakeTriples(t *testing.T) (*digitTriples, *digitsEncoder, *vqaData) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	var pictures []triples.Picture
	var recordings []triples.Recording
	for digit := range 10 {
		pictures = append(pictures, triples.Picture{Digit: digit})
		recordings = append(recordings, triples.Recording{Digit: digit, Samples: make([]float32, media.MinSoundSamples)})
	}
	e, set := &digitsEncoder{texts: &texts{index: map[string]int{}}}, &digitTriples{}
	for _, q := range tripleQuestions {
		set.questions = append(set.questions, e.add(triples.Text, []byte(q)))
	}
	for digit := range set.answers {
		set.answers[digit] = digit
	}
	if err := set.addTrain(e, rng, pictures, recordings); err != nil {
		t.Fatal(err)
	}
	made, err := triples.Make(rng, pictures, recordings, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.addVal(e, rng, made); err != nil {
		t.Fatal(err)
	}
	d := &vqaData{text: &featureSet{Dim: 5}, image: &featureSet{Dim: 7}, audio: &featureSet{Dim: 3}}
	for _, x := range []struct {
		set  *featureSet
		n, s int
	}{{d.text, len(e.texts.list), 3}, {d.image, len(e.contents[triples.Image]), 4}, {d.audio, len(e.contents[triples.Audio]), 2}} {
		for range x.n {
			row := make([]uint16, x.s*x.set.Dim)
			for i := range row {
				row[i] = 0x3000 | uint16(rng.IntN(0xfff)) // half precision, 0.125 to 1
			}
			x.set.Rows = append(x.set.Rows, row)
		}
	}
	return set, e, d
}

func TestDrawTriples(t *testing.T) {
	set, e, _ := fakeTriples(t)
	if got := len(e.contents[triples.Image]); got != 10*(1+pictureVariants+triples.Strengths)+2*10 {
		t.Errorf("%d pictures are encoded", got)
	}
	missing := [triples.Parts]int{}
	whole, n := 0, 4000
	for _, q := range set.draw(rand.New(rand.NewPCG(2, 2)), n) {
		rows := [triples.Parts]int{q.note, q.image, q.audio}
		clean := 0
		for part, row := range rows {
			if row < 0 {
				missing[part]++
				continue
			}
			found := false
			for strength, rows := range set.train[part][q.answer] {
				if slices.Contains(rows, row) {
					found = true
					if strength == 0 {
						clean++
					}
					break
				}
			}
			if !found {
				t.Fatalf("part %d of a %d is row %d, which shows another digit", part, q.answer, row)
			}
		}
		if clean == triples.Parts {
			whole++
		}
	}
	// A sixth has strength 0, of which three quarters are complete; a light corruption may leave a word as it was.
	if share := float64(whole) / float64(n); share < 0.1 || share > 0.17 {
		t.Errorf("%.3f of the triples are whole and complete", share)
	}
	for part, got := range missing {
		if share := float64(got) / float64(n); share < 0.06 || share > 0.14 {
			t.Errorf("%.3f of the triples lack part %d", share, part)
		}
	}
}

func TestShiftKeepsWhatIsAbsent(t *testing.T) {
	set, _, _ := fakeTriples(t)
	before := set.val[0].question
	set.val[0].note = -1
	row := set.train[triples.Audio][3][2][0]
	set.shift([triples.Parts]int{100, 200, 300})
	after := set.val[0].question
	if after.note != -1 || after.text != before.text+100 || after.image != before.image+200 || after.audio != before.audio+300 {
		t.Errorf("%+v became %+v", before, after)
	}
	if got := set.train[triples.Audio][3][2][0]; got != row+300 || set.questions[0] != 100 {
		t.Errorf("row %d became %d, question 0 became %d", row, got, set.questions[0])
	}
}

// TestTriplesTrainTheFusion takes one batch through the losses and the validation of a small net.
func TestTriplesTrainTheFusion(t *testing.T) {
	set, _, d := fakeTriples(t)
	config := fusion.Config{Dim: 12, Heads: 3, Depth: 1, ContrastDim: 4, Grid: 2, TextDim: 5, ImageDim: 7, AudioDim: 3,
		Answers: triples.Words[:], Findings: []fusion.Label{{Name: "x", Modality: "image"}}}
	task := &vqaTask{data: d}
	err := do(t, func(a *tensor.Arena) error {
		task.model = fusion.New(a, tensor.Random(1), config)
		rng := rand.New(rand.NewPCG(3, 3))
		loss, n := task.questions(a, task.questionBatch(set.draw(rng, 8)))
		if v := a.Item(a.Detach(loss)); n != 8 || !(v > 1 && v < 10) {
			t.Errorf("the loss of %v questions is %v", n, v)
		}
		contrast := set.drawPairs(rng, d, 8).contrast(a, task.model)
		if v := a.Item(a.Detach(contrast)); !(v > 0 && v < 20) {
			t.Errorf("the contrastive loss is %v", v)
		}
		var out bytes.Buffer
		set.validate(a, task.model, d, task.questionBatch, &out)
		if s := out.String(); !strings.Contains(s, "strength 5") || !strings.Contains(s, "image-audio") || strings.Contains(s, "NaN") {
			t.Errorf("validation says %q", s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInfoNCE compares with the loss by hand: two of two labels, logits of 1/0.07 for the same thing and 0 otherwise.
func TestInfoNCE(t *testing.T) {
	err := do(t, func(a *tensor.Arena) error {
		m := fusion.New(a, tensor.Random(1), fusion.Config{Dim: 4, Heads: 1, Depth: 1, ContrastDim: 2, Grid: 1, TextDim: 2, ImageDim: 2, AudioDim: 2, Answers: []string{"x"}})
		x := a.FromFloat32([]float32{1, 0, 0, 1}, 2, 2)
		wrong := a.FromFloat32([]float32{0, 1, 1, 0}, 2, 2)
		same := []int{4, 4}
		for _, c := range []struct {
			name   string
			y      tensor.T
			labels []int
			want   float64
		}{
			{"right", x, []int{1, 2}, math.Log1p(math.Exp(-1 / 0.07))},
			{"wrong", wrong, []int{1, 2}, 1/0.07 + math.Log1p(math.Exp(-1/0.07))},
			{"equal labels", x, same, 0.5/0.07 + math.Log1p(math.Exp(-1/0.07))},
		} {
			if got := a.Item(a.Detach(infoNCE(a, m, x, c.y, c.labels))); math.Abs(got-c.want) > 1e-3 {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRecipeWithTriples takes one step of the whole recipe.
func TestRecipeWithTriples(t *testing.T) {
	triples, _, features := fakeTriples(t)
	task := fakeVQA(vqaSettings{VisualBatch: 4, MixedBatch: 4, FilmBatch: 2, TripleBatch: 6, Triples: 1, Mixture: 0.5, Alone: 0.25,
		Findings: 0.5, Contrastive: 0.1, Dim: 12, Heads: 3, Depth: 1, ContrastDim: 4})
	for _, s := range []struct{ to, from *featureSet }{{task.data.text, features.text}, {task.data.image, features.image}, {task.data.radiograph, features.image}, {task.data.audio, features.audio}} {
		s.to.Dim, s.to.Rows = s.from.Dim, s.from.Rows
	}
	task.triples, task.config.Grid = triples, 2
	task.config.TextDim, task.config.ImageDim, task.config.AudioDim = 5, 7, 3
	task.config.Answers = append(task.config.Answers, "1", "2", "3", "4", "5", "6")
	err := do(t, func(a *tensor.Arena) error {
		task.Build(a, tensor.Random(1))
		batch, err := task.Draw(rand.New(rand.NewPCG(1, 1)), 0)()
		if err != nil {
			return err
		}
		_, note := task.Loss(a, batch)
		var out bytes.Buffer
		task.Validate(a, &out)
		if !strings.Contains(note, "triples") || !strings.Contains(out.String(), "retrieval") {
			t.Errorf("the step says %q, the validation %q", note, out.String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
