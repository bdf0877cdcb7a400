package train

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"consilium/internal/dataset/sounds"
	"consilium/internal/media"
	"consilium/internal/model/wavenet"
	"consilium/internal/tensor"
)

// AudioOptions say what to train the WaveNet on and where to put it.
type AudioOptions struct {
	Data     string // the data folder, holding audio/
	Out      string // the weights' file to write
	Seed     uint64
	LeaveOut string // a speaker that nothing is taken from, "" for none
	Epochs   int    // 0 for the recipe's own number
	Device   tensor.Device
	Threads  int
}

// The recipe: cross entropy with smoothed labels over digits, coughs and environmental sounds, every example heard
// through another room, channel, speed and vocal tract each time (audio_augment.go).
const (
	audioEpochs    = 40
	audioPatience  = 12 // epochs without a better validation loss
	audioBatch     = 32
	audioPeakRate  = 2e-3
	audioSmoothing = 0.1
	audioDropout   = 0.3
	coughsPerEpoch = 260
	soundCrops     = 3 // of each environmental sound in an epoch
)

// audioClip is a decoded training example.
type audioClip struct {
	samples []float32
	class   int
	digit   bool
}

type audioTrainer struct {
	train, val []audioClip
	config     wavenet.Config
	model      *wavenet.Model
	params     *tensor.Params
	optimiser  *AdamW
	schedule   Schedule
	rng        *rand.Rand
	step       int
}

// Audio trains the WaveNet and writes the weights of the epoch with the lowest validation loss as float16 safetensors.
func Audio(ctx context.Context, o AudioOptions, out io.Writer) error {
	if o.Epochs == 0 {
		o.Epochs = audioEpochs
	}
	t := &audioTrainer{rng: rand.New(rand.NewPCG(o.Seed, 1)), params: tensor.Random(o.Seed)}
	if err := t.load(o); err != nil {
		return err
	}
	perEpoch := len(t.epoch())
	fmt.Fprintf(out, "audio: %d training and %d validation clips, %d classes, left out: %q\n", len(t.train), len(t.val), len(t.config.Classes), o.LeaveOut)
	t.schedule = Schedule{Peak: audioPeakRate, Warmup: 100, Total: o.Epochs * perEpoch}
	engine := tensor.NewEngine(tensor.Options{Device: o.Device, Threads: o.Threads, Grad: true})
	defer engine.Close()
	if err := engine.Do(ctx, func(a *tensor.Arena) error {
		a.ManualSeed(o.Seed)
		t.model = wavenet.New(a, t.params, t.config)
		t.optimiser = NewAdamW(a, t.params)
		return nil
	}); err != nil {
		return err
	}
	defer func() {
		_ = engine.Do(context.WithoutCancel(ctx), func(a *tensor.Arena) error { // the engine is open
			t.optimiser.Free(a)
			t.params.Free(a)
			return nil
		})
	}()
	progress := NewProgress(out, "step", o.Epochs*perEpoch)
	best, since := math.Inf(1), 0
	for epoch := 1; epoch <= o.Epochs && since < audioPatience; epoch++ {
		var total float64
		batches := t.epoch()
		for i, batch := range batches {
			if err := engine.Do(ctx, func(a *tensor.Arena) error {
				loss, err := t.update(a, batch)
				total += loss
				return err
			}); err != nil {
				return fmt.Errorf("train the WaveNet, epoch %d: %w", epoch, err)
			}
			progress.Report(t.step, fmt.Sprintf("epoch %d  loss %.3f", epoch, total/float64(i+1)))
		}
		var v audioScore
		if err := engine.Do(ctx, func(a *tensor.Arena) error {
			a.NoGrad(func() { v = t.validate(a) })
			return nil
		}); err != nil {
			return fmt.Errorf("validate the WaveNet, epoch %d: %w", epoch, err)
		}
		since++
		kept := ""
		if v.loss < best {
			best, since, kept = v.loss, 0, "  kept"
			if err := t.save(ctx, engine, o); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "epoch %d/%d  loss %.4f  validation loss %.4f, digits %.4f, all %.4f%s\n",
			epoch, o.Epochs, total/float64(len(batches)), v.loss, v.digits, v.all, kept)
	}
	return nil
}

// load reads the training and validation clips; no test clip is opened.
func (t *audioTrainer) load(o AudioOptions) error {
	clips, err := sounds.Read(o.Data)
	if err != nil {
		return err
	}
	classes := sounds.Labels(clips)
	t.config = wavenet.Config{
		Bands: media.MelBands, Channels: 64, Dim: 128, Classes: classes,
		Dilations: []int64{1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8, 16, 32, 64},
	}
	known := o.LeaveOut == ""
	for _, c := range clips {
		if o.LeaveOut != "" && c.Speaker == o.LeaveOut {
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
		} else {
			t.val = append(t.val, clip)
		}
	}
	if !known {
		return fmt.Errorf("load sounds: no recording of the speaker %q to leave out", o.LeaveOut)
	}
	return nil
}

// epoch returns the training examples of one epoch in batches of similar length: every digit, some of the coughs, of
// which there are as many as of twelve digits, and each environmental sound several times.
func (t *audioTrainer) epoch() [][]audioClip {
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
	shuffle := func(c []audioClip) { t.rng.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] }) }
	shuffle(coughs)
	clips = append(clips, coughs[:min(coughsPerEpoch, len(coughs))]...)
	shuffle(clips)
	for group := range slices.Chunk(clips, 8*audioBatch) {
		slices.SortFunc(group, func(x, y audioClip) int { return cmp.Compare(len(x.samples), len(y.samples)) })
	}
	batches := slices.Collect(slices.Chunk(clips, audioBatch))
	t.rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	return batches
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

// update takes one step and returns the loss.
func (t *audioTrainer) update(a *tensor.Arena, batch []audioClip) (float64, error) {
	features, targets := make([][]float32, len(batch)), make([]int64, len(batch))
	for i, c := range batch {
		features[i], targets[i] = augment(t.rng, c.samples), int64(c.class)
	}
	x, frames := packFrames(a, features)
	vector := a.Dropout(t.model.Forward(a, x, frames).Vector, audioDropout)
	logp := a.LogSoftmax(t.model.Classify(a, vector), 1) // (B, classes)
	right := a.Mean(a.Gather(logp, 1, a.FromInt64(targets, int64(len(targets)), 1)), false)
	loss := a.Neg(a.Add(a.MulScalar(right, 1-audioSmoothing), a.MulScalar(a.Mean(logp, false), audioSmoothing)))
	err := t.optimiser.Step(a, loss, t.schedule.Rate(t.step))
	t.step++
	return a.Item(a.Detach(loss)), err
}

// audioScore is the mean cross entropy and the share of right answers on the validation clips.
type audioScore struct{ loss, digits, all float64 }

func (t *audioTrainer) validate(a *tensor.Arena) audioScore {
	var s audioScore
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
		s.loss += a.Item(a.Sum(a.CrossEntropy(logits, a.FromInt64(targets, int64(len(targets)))), false))
		for i, class := range a.Int64s(a.Argmax(logits, 1)) {
			hit := 0.0
			if class == targets[i] {
				hit = 1
			}
			s.all += hit
			if batch[i].digit {
				digits++
				s.digits += hit
			}
		}
		a.Release(mark)
	}
	s.loss /= float64(len(t.val))
	s.all /= float64(len(t.val))
	s.digits /= float64(max(digits, 1))
	return s
}

func (t *audioTrainer) save(ctx context.Context, engine *tensor.Engine, o AudioOptions) error {
	metadata := t.config.Metadata()
	metadata["left_out"] = o.LeaveOut
	return engine.Do(ctx, func(a *tensor.Arena) error {
		return tensor.WriteSafetensors(o.Out, t.params.Half(a), metadata)
	})
}
