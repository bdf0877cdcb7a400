package train

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"consilium/internal/dataset"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// radSettings are the recipe's keys besides those that all recipes have.
type radSettings struct {
	Start    string  `recipe:"start"`
	Split    string  `recipe:"split"`
	Batch    int     `recipe:"batch"`
	Tokens   float64 `recipe:"tokens"`
	Words    float64 `recipe:"words"`
	Blind    float64 `recipe:"blind"`
	Variants int     `recipe:"variants"`
	Mixture  float64 `recipe:"mixture"`
	Alone    float64 `recipe:"alone"`
	Open     float64 `recipe:"open"`
}

// trainVQARAD goes on from a trained fusion with the questions of VQA-RAD.
func trainVQARAD(ctx context.Context, r *Recipe, env Env) error {
	var s Settings
	t := &radTask{}
	if err := r.Decode(&s, &t.settings); err != nil {
		return err
	}
	v := t.settings
	if v.Batch == 0 || v.Tokens >= 1 || v.Words >= 1 || v.Split != "image" && v.Split != "official" {
		return fmt.Errorf("recipe %s: batch = %d, tokens = %v, words = %v, split = %q: want a batch above 0, shares below 1 and the split image or official", r.Name, v.Batch, v.Tokens, v.Words, v.Split)
	}
	questions, err := dataset.ReadVQARAD(env.Data)
	if err != nil {
		return err
	}
	var metadata map[string]string
	if t.start, metadata, err = tensor.ReadSafetensors(v.Start); err != nil {
		return fmt.Errorf("recipe %s: start: %w", r.Name, err)
	}
	if t.config, err = fusion.ParseConfig(metadata); err != nil {
		return fmt.Errorf("recipe %s: start = %s: %w", r.Name, v.Start, err)
	}
	enc, closeEncoders, err := env.Encoders()
	if err != nil {
		return err
	}
	defer closeEncoders()
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	known := len(t.config.Answers)
	if t.data, err = loadRad(ctx, questions, v, s.Seed, &t.config, env, engine, enc); err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "%d training and %d validation questions, %d answers of which %d are new\n",
		len(t.data.train), len(t.data.val), len(t.config.Answers), len(t.config.Answers)-known)
	if t.data.text.Dim != int(t.config.TextDim) || t.data.image.Dim != int(t.config.ImageDim) {
		return fmt.Errorf("recipe %s: start = %s takes tokens of %d and %d values, the encoders make %d and %d",
			r.Name, v.Start, t.config.TextDim, t.config.ImageDim, t.data.text.Dim, t.data.image.Dim)
	}
	return fit(ctx, r, s, t, env, engine)
}

// radTask is a fusion under a wider vocabulary.
type radTask struct {
	settings radSettings
	data     *radData
	start    map[string]tensor.Raw
	config   fusion.Config
	model    *fusion.Model
	order    []int
}

// radBatch is questions about pictures. An answer of -1 is not in the vocabulary.
type radBatch struct {
	text, image packed
	answers     []int64
	weights     []float32 // of each question in the loss
}

func (t *radTask) Random(seed uint64) *rand.PCG { return rand.NewPCG(seed, 6) }
func (t *radTask) Metadata() map[string]string  { return t.config.Metadata() }
func (t *radTask) EpochLength() int             { return len(t.data.train) / t.settings.Batch }
func (t *radTask) Shuffle(rng *rand.Rand)       { t.order = rng.Perm(len(t.data.train)) }

func (t *radTask) Build(a *tensor.Arena, p *tensor.Params) { t.model = fusion.New(a, p, t.config) }

// Pretrained returns the fusion's parameters, the answers' among them with rows of zeros for the new ones.
func (t *radTask) Pretrained() (map[string]tensor.Raw, error) {
	for _, name := range []string{"answer.weight", "answer.bias"} {
		r, ok := t.start[name]
		if !ok || len(r.Shape) == 0 || r.Shape[0] > int64(len(t.config.Answers)) {
			return nil, fmt.Errorf("start = %s: no tensor %s of at most %d answers", t.settings.Start, name, len(t.config.Answers))
		}
		row := int64(len(r.Values)) / r.Shape[0]
		wide := make([]float32, int64(len(t.config.Answers))*row)
		copy(wide, r.Values)
		shape := append([]int64{int64(len(t.config.Answers))}, r.Shape[1:]...)
		t.start[name] = tensor.Raw{Shape: shape, Values: wide}
	}
	return t.start, nil
}

// Draw hides tokens and words, shows one of the picture's variants and leaves some pictures out, against learning a few
// hundred pictures by heart.
func (t *radTask) Draw(rng *rand.Rand, i int) func() (radBatch, error) {
	qs := make([]radQuestion, t.settings.Batch)
	variants := make([]int, len(qs))
	for j, row := range t.order[i*len(qs) : (i+1)*len(qs)] {
		qs[j] = t.data.train[row]
		variants[j] = pick(rng, qs[j].images)
		if rng.Float64() < t.settings.Blind {
			variants[j] = -1
		}
	}
	b := t.batch(qs, variants,
		func() bool { return rng.Float64() < t.settings.Words }, func() bool { return rng.Float64() < t.settings.Tokens })
	return func() (radBatch, error) { return b, nil }
}

func (t *radTask) batch(qs []radQuestion, images []int, words, tokens func() bool) radBatch {
	text := make([]int, len(qs))
	b := radBatch{answers: make([]int64, len(qs)), weights: make([]float32, len(qs))}
	for i, q := range qs {
		text[i], b.answers[i], b.weights[i] = q.text, int64(q.answer), 1
		if !q.closed {
			b.weights[i] = float32(t.settings.Open)
		}
	}
	b.text, b.image = t.data.text.gather(words, text), t.data.image.gather(tokens, images)
	return b
}

func (b radBatch) forward(a *tensor.Arena, m *fusion.Model) fusion.Output {
	text := b.text.tokens(a)
	return m.Forward(a, fusion.Batch{Question: text, Text: text, Image: b.image.tokens(a)})
}

// Loss is the cross-entropy of the answer, plus that of the gate's mixture of the modalities' own answers, plus that of
// each of these.
func (t *radTask) Loss(a *tensor.Arena, b radBatch) (loss tensor.T, note string) {
	out := b.forward(a, t.model)
	n := int64(len(b.answers))
	column := a.Unsqueeze(a.FromInt64(b.answers, n), 1)
	weight := a.FromFloat32(b.weights, n)
	total := a.Clamp(a.Sum(weight, false), 1, 1e9)
	logp := func(logits tensor.T) tensor.T { return a.Squeeze(a.Gather(a.LogSoftmax(logits, 1), 1, column), 1) } // (B)
	mean := func(logp tensor.T) tensor.T { return a.Neg(a.Div(a.Sum(a.Mul(logp, weight), false), total)) }
	answer := mean(logp(out.Logits))
	var mixed, alone tensor.T
	for m, logits := range out.Alone {
		if !logits.Defined() {
			continue
		}
		own := logp(logits)
		mixed = sum(a, mixed, a.Mul(a.Select(out.Weights, 1, int64(m)), a.Exp(own)))
		alone = sum(a, alone, a.Mul(a.Select(out.Present, 1, int64(m)), own))
	}
	mixture := mean(a.Log(a.AddScalar(mixed, 1e-6)))
	loss = a.Add(answer, a.Add(a.MulScalar(mixture, t.settings.Mixture), a.MulScalar(mean(alone), t.settings.Alone)))
	return loss, fmt.Sprintf("answer %.3f", a.Item(a.Detach(answer)))
}

// Validate returns the accuracy on the closed questions about the validation images, and prints that on the open ones
// and without the picture.
func (t *radTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	var right [2][2]int // by closed and by whether the picture is hidden
	var count [2]int
	for start := 0; start < len(t.data.val); start += 64 {
		qs := t.data.val[start:min(start+64, len(t.data.val))]
		shown, hidden := make([]int, len(qs)), make([]int, len(qs))
		for i, q := range qs {
			shown[i], hidden[i] = q.images[0], -1
		}
		for blind, images := range [][]int{shown, hidden} {
			mark := a.Mark()
			answers := a.Int64s(a.Argmax(t.batch(qs, images, nil, nil).forward(a, t.model).Logits, 1))
			a.Release(mark)
			for i, q := range qs {
				kind := 0
				if q.closed {
					kind = 1
				}
				count[kind] += 1 - blind
				if int(answers[i]) == q.answer {
					right[kind][blind]++
				}
			}
		}
	}
	share := func(kind, blind int) float64 { return float64(right[kind][blind]) / float64(max(1, count[kind])) }
	fmt.Fprintf(out, "validation: closed %.4f of %d (%.4f without the picture), open %.4f of %d (%.4f)\n",
		share(1, 0), count[1], share(1, 1), share(0, 0), count[0], share(0, 1))
	return share(1, 0)
}
