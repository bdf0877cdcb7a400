package train

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// VQAOptions say what to train the fusion on and where to put it.
type VQAOptions struct {
	EasyVQA string // folder of the easy-VQA set, holding train/ and test/
	Data    string // folder of the chest radiographs (cxr/) and the sounds (audio/)
	Cache   string // folder where encoded features are kept
	Out     string // the weights' file to write
	Seed    uint64
	Steps   int
	Device  tensor.Device
	Threads int
}

// The recipe. The encoders stay frozen; everything in the fusion is trained together, from random weights:
//
//	loss = answer + mixture/2 + alone/4 + findings/2 + contrastive/10
//
// answer is the cross entropy of the fused answer; mixture that of the modalities' own answers mixed by the gate's
// weights, which is what teaches the gate; alone that of each modality's own answer; findings the binary cross
// entropy of all of these over the labels; contrastive is InfoNCE between a picture or sound and its caption.
const (
	peakRate    = 1e-3
	warmup      = 100
	visualBatch = 32 // questions about a picture, nothing else present
	mixedBatch  = 16 // half of them about a picture beside a sound, half about a sound, perhaps beside a picture
	filmBatch   = 8
	filmTokens  = 0.4 // share of a film's tokens hidden, against learning single films by heart
)

// VQA trains the fusion and writes it as float16 safetensors.
func VQA(ctx context.Context, o VQAOptions, enc Encoders, out io.Writer) error {
	engine := tensor.NewEngine(tensor.Options{Device: o.Device, Threads: o.Threads, Grad: true})
	defer engine.Close()
	data, err := loadVQA(ctx, o, engine, enc, out)
	if err != nil {
		return err
	}
	config := fusion.Config{
		Dim: 192, Heads: 6, Depth: 2, ContrastDim: 64, Grid: 7,
		TextDim: int64(data.text.Dim), ImageDim: int64(data.image.Dim), AudioDim: int64(data.audio.Dim),
		Answers: data.answers, Findings: data.findings,
	}
	t := &vqaTrainer{data: data, rng: rand.New(rand.NewPCG(o.Seed, 2)), out: out,
		schedule: Schedule{Peak: peakRate, Warmup: warmup, Total: o.Steps}}
	params := tensor.Random(o.Seed)
	if err := engine.Do(ctx, func(a *tensor.Arena) error {
		a.ManualSeed(o.Seed)
		t.model = fusion.New(a, params, config)
		t.optimiser = NewAdamW(a, params)
		return nil
	}); err != nil {
		return err
	}
	progress := NewProgress(out, "step", o.Steps)
	for step := range o.Steps {
		if err := engine.Do(ctx, func(a *tensor.Arena) error { return t.step(a, step) }); err != nil {
			return fmt.Errorf("train the fusion, step %d: %w", step, err)
		}
		progress.Report(step+1, t.note)
		if (step+1)%250 == 0 || step+1 == o.Steps {
			if err := engine.Do(ctx, t.validate); err != nil {
				return fmt.Errorf("validate the fusion, step %d: %w", step, err)
			}
			if err := t.save(ctx, engine, params, o.Out); err != nil {
				return err
			}
		}
	}
	return nil
}

type vqaTrainer struct {
	data      *vqaData
	model     *fusion.Model
	optimiser *AdamW
	schedule  Schedule
	rng       *rand.Rand
	out       io.Writer
	note      string
}

func (t *vqaTrainer) step(a *tensor.Arena, step int) error {
	visual := make([]question, visualBatch)
	for i := range visual {
		visual[i] = pick(t.rng, t.data.visual)
		if i%8 == 0 {
			visual[i].note = pick(t.rng, pick(t.rng, t.data.films).records)
		}
		if i%16 == 1 {
			visual[i].image, visual[i].caption = -1, -1 // what is left is the prior of the question
		}
	}
	mixed := make([]question, mixedBatch)
	for i := range mixed {
		if i < mixedBatch/2 {
			mixed[i] = pick(t.rng, t.data.visual)
			mixed[i].audio = t.rng.IntN(len(t.data.audio.Rows))
			continue
		}
		mixed[i] = pick(t.rng, t.data.heard)
		if t.rng.IntN(2) == 0 {
			mixed[i].image = t.rng.IntN(len(t.data.image.Rows))
		}
	}
	answer1, n1 := t.questions(a, visual)
	answer2, n2 := t.questions(a, mixed)
	findings := t.films(a)
	contrast := a.Add(t.contrast(a, visual, false), t.contrast(a, mixed[mixedBatch/2:], true))
	loss := a.DivScalar(a.Add(a.MulScalar(answer1, n1), a.MulScalar(answer2, n2)), n1+n2)
	loss = a.Add(loss, a.Add(a.MulScalar(findings, 0.5), a.MulScalar(contrast, 0.1)))
	t.note = fmt.Sprintf("questions %.3f %.3f  findings %.3f  contrastive %.3f",
		a.Item(a.Detach(answer1)), a.Item(a.Detach(answer2)), a.Item(a.Detach(findings)), a.Item(a.Detach(contrast)))
	return t.optimiser.Step(a, loss, t.schedule.Rate(step))
}

func pick[E any](rng *rand.Rand, from []E) E { return from[rng.IntN(len(from))] }

// batch packs questions; the text modality is the question and, if there is one, the note after it.
func (t *vqaTrainer) batch(a *tensor.Arena, qs []question) (in fusion.Batch, answers tensor.T) {
	text, notes := make([]int, len(qs)), make([]int, len(qs))
	images, audio := make([]int, len(qs)), make([]int, len(qs))
	target := make([]int64, len(qs))
	for i, q := range qs {
		text[i], notes[i], images[i], audio[i], target[i] = q.text, q.note, q.image, q.audio, int64(q.answer)
	}
	in.Question = t.data.text.pack(a, nil, text)
	in.Text = t.data.text.pack(a, nil, text, notes)
	in.Image = t.data.image.pack(a, nil, images)
	in.Audio = t.data.audio.pack(a, nil, audio)
	return in, a.FromInt64(target, int64(len(target)))
}

// questions returns the loss of a batch of questions and how many there are.
func (t *vqaTrainer) questions(a *tensor.Arena, qs []question) (loss tensor.T, n float64) {
	in, target := t.batch(a, qs)
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
	loss = a.Add(loss, a.MulScalar(mixture, 0.5))
	return a.Add(loss, a.MulScalar(a.Mean(alone, false), 0.25)), float64(len(qs))
}

func sum(a *tensor.Arena, x, y tensor.T) tensor.T {
	if !x.Defined() {
		return y
	}
	return a.Add(x, y)
}

// films returns the loss of a batch of radiographs, some with their record, some beside a cough or another sound.
func (t *vqaTrainer) films(a *tensor.Arena) tensor.T {
	n, f := filmBatch, len(t.data.findings)
	records, images, audio := make([]int, n), make([]int, n), make([]int, n)
	labels, judged := make([]float32, n*f), make([]float32, n*f)
	for i := range n {
		x := pick(t.rng, t.data.films)
		records[i], images[i], audio[i] = -1, pick(t.rng, x.images), -1
		if t.rng.IntN(3) > 0 {
			records[i] = pick(t.rng, x.records)
		}
		row := labels[i*f : (i+1)*f]
		copy(row, x.labels)
		coughs := float32(0)
		if t.rng.IntN(2) == 0 {
			audio[i] = pick(t.rng, t.data.others)
			if t.rng.IntN(2) == 0 {
				audio[i], coughs = pick(t.rng, t.data.coughs), 1
			}
			if t.rng.IntN(8) == 0 {
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
	in := fusion.Batch{
		Text:  t.data.text.pack(a, nil, records),
		Image: t.data.image.pack(a, func() bool { return t.rng.Float64() < filmTokens }, images),
		Audio: t.data.audio.pack(a, nil, audio),
	}
	out := t.model.Forward(a, in)
	target, weight := a.FromFloat32(labels, int64(n), int64(f)), a.FromFloat32(judged, int64(n), int64(f))
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
		loss = a.Add(loss, a.MulScalar(mean(own), 0.25))
	}
	p := a.Clamp(mixed, 1e-5, 1-1e-5) // (B, F)
	q := a.AddScalar(a.Neg(p), 1)
	mixture := a.Neg(a.Add(a.Mul(target, a.Log(p)), a.Mul(a.AddScalar(a.Neg(target), 1), a.Log(q))))
	return a.Add(loss, a.MulScalar(mean(mixture), 0.5))
}

// contrast is InfoNCE, both ways, between the pictures or sounds of the questions and their captions. Equal captions
// in a batch are all positives.
func (t *vqaTrainer) contrast(a *tensor.Arena, qs []question, sound bool) tensor.T {
	var captions, things []int
	for _, q := range qs {
		if q.caption < 0 {
			continue
		}
		captions = append(captions, q.caption)
		if sound {
			things = append(things, q.audio)
		} else {
			things = append(things, q.image)
		}
	}
	n := len(captions)
	if n < 2 {
		return a.Zeros()
	}
	same := make([]float32, n*n)
	for i := range n {
		for j := range n {
			if captions[i] == captions[j] {
				same[i*n+j] = 1
			}
		}
	}
	target := a.FromFloat32(same, int64(n), int64(n))
	target = a.Div(target, a.Sum(target, true, 1))
	set, modality := t.data.image, fusion.Image
	if sound {
		set, modality = t.data.audio, fusion.Audio
	}
	x := t.model.Align(a, modality, set.pack(a, nil, things))
	y := t.model.Align(a, fusion.Text, t.data.text.pack(a, nil, captions))
	logits := a.Mul(a.Matmul(x, a.Transpose(y, 0, 1)), t.model.ContrastiveScale(a)) // (n, n)
	there := a.Sum(a.Mul(a.LogSoftmax(logits, 1), target), false)
	back := a.Sum(a.Mul(a.LogSoftmax(a.Transpose(logits, 0, 1), 1), target), false)
	return a.DivScalar(a.Neg(a.Add(there, back)), 2*float64(n))
}

func (t *vqaTrainer) save(ctx context.Context, engine *tensor.Engine, params *tensor.Params, path string) error {
	return engine.Do(ctx, func(a *tensor.Arena) error {
		return tensor.WriteSafetensors(path, params.Half(a), t.model.Config().Metadata())
	})
}
