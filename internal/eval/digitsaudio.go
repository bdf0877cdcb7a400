package eval

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"consilium/internal/dataset/sounds"
	"consilium/internal/media"
	"consilium/internal/model/wavenet"
	"consilium/internal/tensor"
	"consilium/internal/weights"
	audioweights "consilium/services/audio-encoder/weights"
)

// digitsAudio measures how often the spoken digit is the WaveNet's first choice among all of its classes:
//
//   - accuracy: the test recordings of the speakers in the training data;
//   - accuracy-unseen-speaker: every recording of the speaker that the other weights were trained without;
//   - accuracy-unseen-device: ten digits by one more voice over another recording chain, from the Asterisk project.
//
// Without the data folder there is the last one alone; with it, the last one may be missing.
func digitsAudio(ctx context.Context, e Env) ([]Figure, error) {
	known, err := newDigitClassifier(ctx, audioweights.WaveNet)
	if err != nil {
		return nil, err
	}
	defer known.close()
	var figures []Figure
	if e.Data != "" {
		if figures, err = spokenDigits(ctx, e.Data, known); err != nil {
			return nil, err
		}
	}
	folder, err := weights.Path("asterisk-digits")
	if err != nil {
		if e.Data == "" {
			return nil, fmt.Errorf("measure digits-audio without CONSILIUM_DATA: %w", err)
		}
		fmt.Fprintf(e.Out, "digits-audio: accuracy-unseen-device is left out: %v\n", err)
		return figures, nil
	}
	figure, err := known.measure(ctx, "accuracy-unseen-device", asteriskDigits(folder))
	if err != nil {
		return nil, err
	}
	return append(figures, figure), nil
}

// asteriskDigits are the files 0.wav to 9.wav of folder.
func asteriskDigits(folder string) []sounds.Clip {
	clips := make([]sounds.Clip, 10)
	for i := range clips {
		digit := strconv.Itoa(i)
		clips[i] = sounds.Clip{Path: filepath.Join(folder, digit+".wav"), Label: digit, Speaker: "asterisk"}
	}
	return clips
}

// spokenDigits measures on the Free Spoken Digit Dataset.
func spokenDigits(ctx context.Context, data string, known *digitClassifier) ([]Figure, error) {
	unseen, err := newDigitClassifier(ctx, audioweights.Holdout)
	if err != nil {
		return nil, err
	}
	defer unseen.close()
	clips, err := sounds.Read(data)
	if err != nil {
		return nil, err
	}
	var test, leftOut []sounds.Clip
	for _, c := range clips {
		if c.IsDigit() && c.Split == "test" {
			test = append(test, c)
		}
		if c.IsDigit() && c.Speaker == unseen.leftOut {
			leftOut = append(leftOut, c)
		}
	}
	first, err := known.measure(ctx, "accuracy", test)
	if err != nil {
		return nil, err
	}
	second, err := unseen.measure(ctx, "accuracy-unseen-speaker", leftOut)
	return []Figure{first, second}, err
}

// digitClassifier is a WaveNet with its head.
type digitClassifier struct {
	engine  *tensor.Engine
	params  *tensor.Params
	model   *wavenet.Model
	leftOut string
}

func newDigitClassifier(ctx context.Context, file []byte) (*digitClassifier, error) {
	raw, metadata, err := tensor.DecodeSafetensors(file)
	if err != nil {
		return nil, fmt.Errorf("read the WaveNet's weights: %w", err)
	}
	config, err := wavenet.ParseConfig(metadata)
	if err != nil {
		return nil, err
	}
	c := &digitClassifier{engine: tensor.NewEngine(tensor.Options{Device: tensor.CPU}), params: tensor.FromRaw(raw), leftOut: metadata["left_out"]}
	if err := c.engine.Do(ctx, func(a *tensor.Arena) error {
		c.model = wavenet.New(a, c.params, config)
		return nil
	}); err != nil {
		c.close()
		return nil, fmt.Errorf("load the WaveNet's weights: %w", err)
	}
	return c, nil
}

func (c *digitClassifier) close() {
	_ = c.engine.Do(context.Background(), func(a *tensor.Arena) error { // the engine is open
		c.params.Free(a)
		return nil
	})
	c.engine.Close()
}

// measure returns the share of clips whose digit comes first; the floor is always to say the most frequent one.
func (c *digitClassifier) measure(ctx context.Context, metric string, clips []sounds.Clip) (Figure, error) {
	start := time.Now()
	right, counts := 0, map[string]int{}
	for _, clip := range clips {
		label, err := c.classify(ctx, clip.Path)
		if err != nil {
			return Figure{}, fmt.Errorf("classify %s: %w", clip.Path, err)
		}
		if label == clip.Label {
			right++
		}
		counts[clip.Label]++
	}
	if len(clips) == 0 {
		return Figure{}, fmt.Errorf("measure %s: there are no recordings", metric)
	}
	most, n := 0, float64(len(clips))
	for _, count := range counts {
		most = max(most, count)
	}
	return Figure{Name: "digits-audio", Metric: metric, Value: float64(right) / n, Floor: float64(most) / n, N: len(clips), Seconds: time.Since(start).Seconds()}, nil
}

// classify returns the most likely class of a WAV file.
func (c *digitClassifier) classify(ctx context.Context, path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sound, err := media.DecodeWAV(b, true)
	if err != nil {
		return "", err
	}
	features, frames := media.LogMel(sound.Samples)
	var label string
	err = c.engine.Do(ctx, func(a *tensor.Arena) error {
		x := a.Transpose(a.FromFloat32(features, 1, int64(frames), media.MelBands), 1, 2)
		logits := a.Float32s(c.model.Classify(a, c.model.Forward(a, x, []int{frames}).Vector))
		label = c.model.Config().Classes[slices.Index(logits, slices.Max(logits))]
		return nil
	})
	return label, err
}
