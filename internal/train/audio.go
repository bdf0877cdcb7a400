package train

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"consilium/internal/dataset/sounds"
	"consilium/internal/media"
	"consilium/internal/model/wavenet"
	"consilium/internal/tensor"
)

// What an epoch holds.
const (
	audioBatch     = 32
	coughsPerEpoch = 260
	soundCrops     = 3 // of each environmental sound
	// backgroundChance is the share of the digits and coughs that are heard over an environmental sound: what is said
	// names the class then, and the environmental sound alone does not become the sign of it.
	backgroundChance = 0.25
)

// audioSettings are the recipe's keys besides those that all recipes have.
type audioSettings struct {
	Start     string  `recipe:"start"`
	LeaveOut  string  `recipe:"leave_out"`
	Smoothing float64 `recipe:"smoothing"`
	Dropout   float64 `recipe:"dropout"`
}

// audioClip is a decoded training example.
type audioClip struct {
	samples []float32
	class   int
	digit   bool
}

// audioInput is what the net hears: a spectrogram (frames, bands) a clip, and the clip's class.
type audioInput struct {
	features [][]float32
	classes  []int64
}

// audioTask is the WaveNet and what it learns from.
type audioTask struct {
	settings   audioSettings
	train, val []audioClip
	ambient    []audioClip   // the environmental sounds of train
	batches    [][]audioClip // of the current epoch
	length     int           // batches in an epoch
	config     wavenet.Config
	model      *wavenet.Model
}

// trainAudio trains the WaveNet.
func trainAudio(ctx context.Context, r *Recipe, env Env) error {
	var s Settings
	t := &audioTask{}
	if err := r.Decode(&s, &t.settings); err != nil {
		return err
	}
	if t.settings.LeaveOut == "none" {
		t.settings.LeaveOut = ""
	}
	if t.settings.Smoothing >= 1 || t.settings.Dropout >= 1 {
		return fmt.Errorf("recipe %s: smoothing = %v, dropout = %v: want shares below 1", r.Name, t.settings.Smoothing, t.settings.Dropout)
	}
	if err := t.load(env.Data); err != nil {
		return err
	}
	t.Shuffle(rand.New(rand.NewPCG(0, 0)))
	t.length = len(t.batches)
	fmt.Fprintf(env.Log, "audio: %d training and %d validation clips, %d classes, left out: %q\n", len(t.train), len(t.val), len(t.config.Classes), t.settings.LeaveOut)
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	return fit(ctx, r, s, t, env, engine)
}

// Random returns the generator as it is after one epoch has been laid out.
func (t *audioTask) Random(seed uint64) *rand.PCG {
	pcg := rand.NewPCG(seed, 1)
	t.Shuffle(rand.New(pcg))
	return pcg
}

// Pretrained reads the weights that the recipe starts from; a net of another shape or other classes is refused.
func (t *audioTask) Pretrained() (map[string]tensor.Raw, error) {
	if t.settings.Start == "none" {
		return nil, nil
	}
	raw, metadata, err := tensor.ReadSafetensors(t.settings.Start)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	for key, want := range t.config.Metadata() {
		if metadata[key] != want {
			return nil, fmt.Errorf("start = %s has %s %q, the recipe trains %q", t.settings.Start, key, metadata[key], want)
		}
	}
	return raw, nil
}

func (t *audioTask) EpochLength() int { return t.length }

func (t *audioTask) Metadata() map[string]string {
	metadata := t.config.Metadata()
	metadata["left_out"] = t.settings.LeaveOut
	return metadata
}

func (t *audioTask) Build(a *tensor.Arena, p *tensor.Params) { t.model = wavenet.New(a, p, t.config) }

// load reads the training and validation clips; no test clip is opened.
func (t *audioTask) load(data string) error {
	leaveOut := t.settings.LeaveOut
	clips, err := sounds.Read(data)
	if err != nil {
		return err
	}
	classes := sounds.Labels(clips)
	t.config = wavenet.Config{
		Bands: media.MelBands, Channels: 64, Dim: 128, Classes: classes,
		Dilations: []int64{1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8, 16, 32, 64},
	}
	known := leaveOut == ""
	for _, c := range clips {
		if leaveOut != "" && c.Speaker == leaveOut {
			known = true
			continue
		}
		if c.Split == "test" {
			continue
		}
		b, err := os.ReadFile(c.Path)
		if err != nil {
			return fmt.Errorf("load sounds: %w", err)
		}
		s, err := media.DecodeWAV(b, true)
		if err != nil {
			return fmt.Errorf("load sounds: %s: %w", c.Path, err)
		}
		clip := audioClip{samples: s.Samples, class: slices.Index(classes, c.Label), digit: c.IsDigit()}
		if c.Split == "train" {
			t.train = append(t.train, clip)
			if !clip.digit && c.Label != "cough" {
				t.ambient = append(t.ambient, clip)
			}
		} else {
			t.val = append(t.val, clip)
		}
	}
	if !known {
		return fmt.Errorf("load sounds: no recording of the speaker %q to leave out", leaveOut)
	}
	return nil
}

// Shuffle lays out an epoch in batches of similar length: every digit, some of the coughs, of which there are as many
// as of twelve digits, and each environmental sound several times.
func (t *audioTask) Shuffle(rng *rand.Rand) {
	var clips, coughs []audioClip
	for _, c := range t.train {
		switch {
		case c.digit:
			clips = append(clips, c)
		case t.config.Classes[c.class] == "cough":
			coughs = append(coughs, c)
		default:
			clips = append(clips, slices.Repeat([]audioClip{c}, soundCrops)...)
		}
	}
	shuffle := func(c []audioClip) { rng.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] }) }
	shuffle(coughs)
	clips = append(clips, coughs[:min(coughsPerEpoch, len(coughs))]...)
	shuffle(clips)
	for group := range slices.Chunk(clips, 8*audioBatch) {
		slices.SortFunc(group, func(x, y audioClip) int { return cmp.Compare(len(x.samples), len(y.samples)) })
	}
	t.batches = slices.Collect(slices.Chunk(clips, audioBatch))
	rng.Shuffle(len(t.batches), func(i, j int) { t.batches[i], t.batches[j] = t.batches[j], t.batches[i] })
}

// packFrames puts spectrograms, each (frames, bands), into one tensor (B, bands, T).
func packFrames(a *tensor.Arena, features [][]float32) (x tensor.T, frames []int) {
	longest := 0
	frames = make([]int, len(features))
	for i, f := range features {
		frames[i] = len(f) / media.MelBands
		longest = max(longest, frames[i])
	}
	values := make([]float32, len(features)*longest*media.MelBands)
	for i, f := range features {
		copy(values[i*longest*media.MelBands:], f)
	}
	return a.Transpose(a.FromFloat32(values, int64(len(features)), int64(longest), media.MelBands), 1, 2), frames
}

// Draw makes the batch at once: how a clip is heard is drawn while it is made.
func (t *audioTask) Draw(rng *rand.Rand, i int) func() (audioInput, error) {
	var in audioInput
	for _, c := range t.batches[i] {
		var background []float32
		if len(t.ambient) > 0 && (c.digit || t.config.Classes[c.class] == "cough") && rng.Float64() < backgroundChance {
			background = t.ambient[rng.IntN(len(t.ambient))].samples
		}
		in.features = append(in.features, augment(rng, c.samples, background))
		in.classes = append(in.classes, int64(c.class))
	}
	return func() (audioInput, error) { return in, nil }
}

func (t *audioTask) Loss(a *tensor.Arena, in audioInput) (loss tensor.T, note string) {
	x, frames := packFrames(a, in.features)
	vector := a.Dropout(t.model.Forward(a, x, frames).Vector, t.settings.Dropout)
	logp := a.LogSoftmax(t.model.Classify(a, vector), 1) // (B, classes)
	right := a.Mean(a.Gather(logp, 1, a.FromInt64(in.classes, int64(len(in.classes)), 1)), false)
	return a.Neg(a.Add(a.MulScalar(right, 1-t.settings.Smoothing), a.MulScalar(a.Mean(logp, false), t.settings.Smoothing))), ""
}

// Validate prints the share of right answers on the validation clips and returns their mean cross entropy, negated.
func (t *audioTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	var loss, right, digitsRight float64
	var digits int
	for batch := range slices.Chunk(t.val, audioBatch) {
		mark := a.Mark()
		features, targets := make([][]float32, len(batch)), make([]int64, len(batch))
		for i, c := range batch {
			features[i], _ = media.LogMel(c.samples)
			targets[i] = int64(c.class)
		}
		x, frames := packFrames(a, features)
		logits := t.model.Classify(a, t.model.Forward(a, x, frames).Vector)
		loss += a.Item(a.Sum(a.CrossEntropy(logits, a.FromInt64(targets, int64(len(targets)))), false))
		for i, class := range a.Int64s(a.Argmax(logits, 1)) {
			hit := 0.0
			if class == targets[i] {
				hit = 1
			}
			right += hit
			if batch[i].digit {
				digits++
				digitsRight += hit
			}
		}
		a.Release(mark)
	}
	n := float64(len(t.val))
	fmt.Fprintf(out, "validation: loss %.4f  digits %.4f  all %.4f\n", loss/n, digitsRight/float64(max(digits, 1)), right/n)
	return -loss / n
}
