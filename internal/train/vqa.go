package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// vqaSettings are the recipe's keys besides those that all recipes have.
type vqaSettings struct {
	Start       string  `recipe:"start"`
	VisualBatch int     `recipe:"visual_batch"`
	MixedBatch  int     `recipe:"mixed_batch"`
	FilmBatch   int     `recipe:"film_batch"`
	FilmTokens  float64 `recipe:"film_tokens"`
	TripleBatch int     `recipe:"triple_batch"`
	Mixture     float64 `recipe:"mixture"`
	Alone       float64 `recipe:"alone"`
	Findings    float64 `recipe:"findings"`
	Contrastive float64 `recipe:"contrastive"`
	Alignment   float64 `recipe:"alignment"`
	Triples     float64 `recipe:"triples"`
	Dim         int64   `recipe:"dim"`
	Heads       int64   `recipe:"heads"`
	Depth       int     `recipe:"depth"`
	ContrastDim int64   `recipe:"contrast_dim"`
}

// trainVQA trains the fusion on features of the frozen encoders.
func trainVQA(ctx context.Context, r *Recipe, env Env) error {
	var s Settings
	t := &vqaTask{}
	if err := r.Decode(&s, &t.settings); err != nil {
		return err
	}
	v := t.settings
	if v.Dim == 0 || v.Heads == 0 || v.Dim%v.Heads != 0 || v.Depth == 0 || v.ContrastDim == 0 {
		return fmt.Errorf("recipe %s: dim = %d, heads = %d, depth = %d, contrast_dim = %d: want sizes above 0, dim a multiple of heads", r.Name, v.Dim, v.Heads, v.Depth, v.ContrastDim)
	}
	enc, closeEncoders, err := env.Encoders()
	if err != nil {
		return err
	}
	defer closeEncoders()
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	if t.data, err = loadVQA(ctx, env, s.Seed, engine, enc); err != nil {
		return err
	}
	if v.TripleBatch > 0 {
		if t.triples, err = loadTriples(ctx, env, s.Seed, t.data, engine, enc); err != nil {
			return err
		}
	}
	t.config = fusion.Config{
		Dim: v.Dim, Heads: v.Heads, Depth: v.Depth, ContrastDim: v.ContrastDim, Grid: 7,
		TextDim: int64(t.data.text.Dim), ImageDim: int64(t.data.image.Dim), AudioDim: int64(t.data.audio.Dim),
		Answers: t.data.answers, Temperature: 1, Findings: t.data.findings,
	}
	return fit(ctx, r, s, t, env, engine)
}

// vqaTask is the fusion and what it learns from.
type vqaTask struct {
	settings vqaSettings
	data     *vqaData
	triples  *digitTriples // nil if the recipe has none
	config   fusion.Config
	model    *fusion.Model
}

// vqaBatch is what one step learns from.
type vqaBatch struct {
	visual, mixed questionBatch
	films         filmBatch
	pairs         [2]pairBatch // pictures and sounds, each with captions
	triples       questionBatch
	triplePairs   tripleBatch
}

// questionBatch is questions with everything that is present; the text modality is the question and, if there is one,
// the note after it.
type questionBatch struct {
	question, text, image, audio packed
	answers                      []int64
}

// filmBatch is radiographs with the labels that are judged.
type filmBatch struct {
	text, image, audio packed
	labels, judged     []float32 // (B, F)
}

// pairBatch is things of one modality and what they are called; equal captions are all positives.
type pairBatch struct {
	modality       int
	things, titles packed
	captions       []int
}

func (t *vqaTask) Random(seed uint64) *rand.PCG { return rand.NewPCG(seed, 2) }

// Pretrained reads the weights that the recipe starts from; they are of the same answers and findings.
func (t *vqaTask) Pretrained() (map[string]tensor.Raw, error) {
	if t.settings.Start == "none" {
		return nil, nil
	}
	raw, metadata, err := tensor.ReadSafetensors(t.settings.Start)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	c, err := fusion.ParseConfig(metadata)
	if err != nil {
		return nil, fmt.Errorf("start = %s: %w", t.settings.Start, err)
	}
	if !slices.Equal(c.Answers, t.config.Answers) {
		return nil, fmt.Errorf("start = %s knows the answers %v, the recipe trains %v", t.settings.Start, c.Answers, t.config.Answers)
	}
	if here, there := labels(t.config.Findings), labels(c.Findings); !slices.Equal(here, there) {
		return nil, fmt.Errorf("start = %s knows the findings %v, the recipe trains %v", t.settings.Start, there, here)
	}
	return raw, nil
}

func labels(findings []fusion.Label) (names []string) {
	for _, f := range findings {
		names = append(names, f.Name)
	}
	return names
}

func (t *vqaTask) EpochLength() int            { return 0 }
func (t *vqaTask) Shuffle(*rand.Rand)          {}
func (t *vqaTask) Metadata() map[string]string { return t.config.Metadata() }

func (t *vqaTask) Build(a *tensor.Arena, p *tensor.Params) { t.model = fusion.New(a, p, t.config) }

func (t *vqaTask) Draw(rng *rand.Rand, _ int) func() (vqaBatch, error) {
	visual := make([]question, t.settings.VisualBatch)
	for i := range visual {
		visual[i] = pick(rng, t.data.visual)
		if i%8 == 0 {
			visual[i].note = pick(rng, pick(rng, t.data.films).records)
		}
		if i%16 == 1 {
			visual[i].image, visual[i].caption = -1, -1 // what is left is the prior of the question
		}
	}
	mixed := make([]question, t.settings.MixedBatch)
	for i := range mixed {
		if i < len(mixed)/2 {
			mixed[i] = pick(rng, t.data.visual)
			mixed[i].audio = pick(rng, t.data.sounds)
			continue
		}
		mixed[i] = pick(rng, t.data.heard)
		if rng.IntN(2) == 0 {
			mixed[i].image = pick(rng, t.data.pictures)
		}
	}
	films := t.drawFilms(rng)
	var triples []question
	var triplePairs tripleBatch
	if n := t.settings.TripleBatch; n > 0 {
		triples, triplePairs = t.triples.draw(rng, n), t.triples.drawPairs(rng, t.data, n)
	}
	return func() (vqaBatch, error) {
		return vqaBatch{
			visual: t.questionBatch(visual),
			mixed:  t.questionBatch(mixed),
			films:  films,
			pairs:  [2]pairBatch{t.pairBatch(visual, false), t.pairBatch(mixed[len(mixed)/2:], true)},

			triples:     t.questionBatch(triples),
			triplePairs: triplePairs,
		}, nil
	}
}

func (t *vqaTask) Loss(a *tensor.Arena, batch vqaBatch) (loss tensor.T, note string) {
	answer1, n1 := t.questions(a, batch.visual)
	answer2, n2 := t.questions(a, batch.mixed)
	findings := t.films(a, batch.films)
	contrast, alignment := t.pair(a, batch.pairs[0])
	heardContrast, heardAlignment := t.pair(a, batch.pairs[1])
	contrast = a.Add(contrast, heardContrast)
	loss = a.DivScalar(a.Add(a.MulScalar(answer1, n1), a.MulScalar(answer2, n2)), n1+n2)
	loss = a.Add(loss, a.Add(a.MulScalar(findings, t.settings.Findings), a.MulScalar(contrast, t.settings.Contrastive)))
	if t.settings.Alignment > 0 {
		loss = a.Add(loss, a.MulScalar(a.Add(alignment, heardAlignment), t.settings.Alignment))
	}
	note = fmt.Sprintf("questions %.3f %.3f  findings %.3f  contrastive %.3f",
		a.Item(a.Detach(answer1)), a.Item(a.Detach(answer2)), a.Item(a.Detach(findings)), a.Item(a.Detach(contrast)))
	if t.settings.TripleBatch > 0 {
		answer3, _ := t.questions(a, batch.triples)
		common := batch.triplePairs.contrast(a, t.model)
		loss = a.Add(loss, a.MulScalar(a.Add(answer3, a.MulScalar(common, tripleContrast)), t.settings.Triples))
		note += fmt.Sprintf("  triples %.3f %.3f", a.Item(a.Detach(answer3)), a.Item(a.Detach(common)))
	}
	return loss, note
}

// tripleContrast is the weight of InfoNCE beside the answers about triples.
const tripleContrast = 0.3

func pick[E any](rng *rand.Rand, from []E) E { return from[rng.IntN(len(from))] }

func (t *vqaTask) questionBatch(qs []question) questionBatch {
	text, notes := make([]int, len(qs)), make([]int, len(qs))
	images, audio := make([]int, len(qs)), make([]int, len(qs))
	b := questionBatch{answers: make([]int64, len(qs))}
	for i, q := range qs {
		text[i], notes[i], images[i], audio[i], b.answers[i] = q.text, q.note, q.image, q.audio, int64(q.answer)
	}
	b.question = t.data.text.gather(nil, text)
	b.text = t.data.text.gather(nil, text, notes)
	b.image = t.data.image.gather(nil, images)
	b.audio = t.data.audio.gather(nil, audio)
	return b
}

func (b questionBatch) tensors(a *tensor.Arena) (in fusion.Batch, answers tensor.T) {
	in = fusion.Batch{Question: b.question.tokens(a), Text: b.text.tokens(a), Image: b.image.tokens(a), Audio: b.audio.tokens(a)}
	return in, a.FromInt64(b.answers, int64(len(b.answers)))
}

// questions returns the loss of a batch of questions and how many there are.
func (t *vqaTask) questions(a *tensor.Arena, b questionBatch) (loss tensor.T, n float64) {
	in, target := b.tensors(a)
	out := t.model.Forward(a, in)
	loss = a.Mean(a.CrossEntropy(out.Logits, target), false)
	// mixed is log sum_m w_m p_m(answer), alone the sum over present modalities of -log p_m(answer).
	var mixed, alone tensor.T
	column := a.Unsqueeze(target, 1)
	for m, logits := range out.Alone {
		if !logits.Defined() {
			continue
		}
		logp := a.Squeeze(a.Gather(a.LogSoftmax(logits, 1), 1, column), 1) // (B)
		mixed = sum(a, mixed, a.Mul(a.Select(out.Weights, 1, int64(m)), a.Exp(logp)))
		alone = sum(a, alone, a.Neg(a.Mul(a.Select(out.Present, 1, int64(m)), logp)))
	}
	mixture := a.Neg(a.Mean(a.Log(a.AddScalar(mixed, 1e-6)), false))
	loss = a.Add(loss, a.MulScalar(mixture, t.settings.Mixture))
	return a.Add(loss, a.MulScalar(a.Mean(alone, false), t.settings.Alone)), float64(len(b.answers))
}

func sum(a *tensor.Arena, x, y tensor.T) tensor.T {
	if !x.Defined() {
		return y
	}
	return a.Add(x, y)
}

// drawFilms returns a batch of radiographs, some with their record, some beside a cough or another sound.
func (t *vqaTask) drawFilms(rng *rand.Rand) filmBatch {
	n, f := t.settings.FilmBatch, len(t.data.findings)
	records, images, audio := make([]int, n), make([]int, n), make([]int, n)
	labels, judged := make([]float32, n*f), make([]float32, n*f)
	for i := range n {
		x := pick(rng, t.data.films)
		records[i], images[i], audio[i] = -1, pick(rng, x.images), -1
		if rng.IntN(3) > 0 {
			records[i] = pick(rng, x.records)
		}
		row := labels[i*f : (i+1)*f]
		copy(row, x.labels)
		coughs := float32(0)
		if rng.IntN(2) == 0 {
			audio[i] = pick(rng, t.data.others)
			if rng.IntN(2) == 0 {
				audio[i], coughs = pick(rng, t.data.coughs), 1
			}
			if rng.IntN(8) == 0 {
				images[i] = -1
			}
		}
		row[f-1] = coughs
		for j, l := range t.data.findings {
			present := images[i] >= 0
			if l.Name == cough {
				present = audio[i] >= 0
			}
			if present {
				judged[i*f+j] = 1
			}
		}
	}
	return filmBatch{
		text:   t.data.text.gather(nil, records),
		image:  t.data.radiograph.gather(func() bool { return rng.Float64() < t.settings.FilmTokens }, images),
		audio:  t.data.audio.gather(nil, audio),
		labels: labels, judged: judged,
	}
}

// films returns the loss of a batch of radiographs.
func (t *vqaTask) films(a *tensor.Arena, b filmBatch) tensor.T {
	n, f := int64(b.image.b), int64(len(t.data.findings))
	out := t.model.Forward(a, fusion.Batch{Text: b.text.tokens(a), Image: b.image.tokens(a), Audio: b.audio.tokens(a)})
	target, weight := a.FromFloat32(b.labels, n, f), a.FromFloat32(b.judged, n, f)
	count := a.Sum(weight, false)
	mean := func(each tensor.T) tensor.T { return a.Div(a.Sum(a.Mul(each, weight), false), count) }
	loss := mean(a.BinaryCrossEntropy(out.Logits, target))
	var mixed tensor.T
	for m, logits := range out.Alone {
		if !logits.Defined() {
			continue
		}
		share := a.Narrow(out.Weights, 1, int64(m), 1) // (B, 1)
		mixed = sum(a, mixed, a.Mul(share, a.Sigmoid(logits)))
		own := a.Mul(a.BinaryCrossEntropy(logits, target), a.Narrow(out.Present, 1, int64(m), 1))
		loss = a.Add(loss, a.MulScalar(mean(own), t.settings.Alone))
	}
	p := a.Clamp(mixed, 1e-5, 1-1e-5) // (B, F)
	q := a.AddScalar(a.Neg(p), 1)
	mixture := a.Neg(a.Add(a.Mul(target, a.Log(p)), a.Mul(a.AddScalar(a.Neg(target), 1), a.Log(q))))
	return a.Add(loss, a.MulScalar(mean(mixture), t.settings.Mixture))
}

func (t *vqaTask) pairBatch(qs []question, sound bool) pairBatch {
	b := pairBatch{modality: fusion.Image}
	set := t.data.image
	if sound {
		b.modality, set = fusion.Audio, t.data.audio
	}
	var things []int
	for _, q := range qs {
		if q.caption < 0 {
			continue
		}
		b.captions = append(b.captions, q.caption)
		if sound {
			things = append(things, q.audio)
		} else {
			things = append(things, q.image)
		}
	}
	b.things, b.titles = set.gather(nil, things), t.data.text.gather(nil, b.captions)
	return b
}

// pair returns the contrastive loss of a batch of pairs and their alignment loss, the mean of one minus the cosine of
// the two vectors of a pair.
func (t *vqaTask) pair(a *tensor.Arena, b pairBatch) (contrast, alignment tensor.T) {
	if len(b.captions) < 2 {
		return a.Zeros(), a.Zeros()
	}
	x := t.model.Align(a, b.modality, b.things.tokens(a))
	y := t.model.Align(a, fusion.Text, b.titles.tokens(a))
	apart := a.AddScalar(a.Neg(a.Sum(a.Mul(x, y), false, 1)), 1) // (n)
	return infoNCE(a, t.model, x, y, b.captions), a.Mean(apart, false)
}
