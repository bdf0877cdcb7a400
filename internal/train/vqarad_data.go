package train

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/disintegration/imaging"

	"consilium/internal/dataset"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// minAnswers is how often a training answer has to occur before it enters the vocabulary; yes and no always do.
const minAnswers = 3

// radQuestion is a question as indexes of features; answer is -1 if it is not in the vocabulary.
type radQuestion struct {
	text   int
	images []int // the picture as it is and, for training, varied
	answer int
	closed bool
}

// radData is the questions and their features.
type radData struct {
	text, image *featureSet
	train, val  []radQuestion
}

// radSplit says whether a question trains or validates, "" if it does neither. The validation images are the same in
// both splits; what the official test asks about them is left out there.
func radSplit(q dataset.RadQuestion, split string) string {
	switch {
	case split == "official" && q.Official == "test":
		return ""
	case q.Split == "val":
		return "val"
	case split == "image" && q.Split == "test":
		return ""
	}
	return "train"
}

// loadRad adds the training answers to the config's vocabulary and encodes what trains and validates.
func loadRad(ctx context.Context, questions []dataset.RadQuestion, v radSettings, seed uint64, config *fusion.Config, env Env, engine *tensor.Engine, enc Encoders) (*radData, error) {
	config.Answers = widenAnswers(config.Answers, questions, v.Split)
	d, t := &radData{}, &texts{index: map[string]int{}}
	var pictures []artefact
	images := map[string][]int{}
	for _, q := range questions {
		part := radSplit(q, v.Split)
		answer := slices.Index(config.Answers, q.Answer)
		if part == "" || part == "train" && answer < 0 {
			continue
		}
		if images[q.Image] == nil {
			b, err := os.ReadFile(q.Image)
			if err != nil {
				return nil, err
			}
			images[q.Image] = []int{len(pictures)}
			pictures = append(pictures, bytesArtefact(b))
			if part == "train" {
				for i := range v.Variants {
					images[q.Image] = append(images[q.Image], len(pictures))
					pictures = append(pictures, variedArtefact("varyRad 2", b, seed, i, varyRad))
				}
			}
		}
		e := radQuestion{text: t.id(q.Text), images: images[q.Image], answer: answer, closed: q.Closed}
		if part == "val" {
			d.val = append(d.val, e)
		} else {
			d.train = append(d.train, e)
		}
	}
	if len(d.train) < v.Batch || len(d.val) == 0 {
		return nil, fmt.Errorf("VQA-RAD has %d training and %d validation questions: want a batch of %d and one", len(d.train), len(d.val), v.Batch)
	}
	var err error
	if d.text, err = encodeAll(ctx, env.Log, engine, env.Cache, "rad-texts", t.artefacts(), enc.encodeText); err != nil {
		return nil, err
	}
	d.image, err = encodeAll(ctx, env.Log, engine, env.Cache, "rad-images", pictures, enc.encodeImage)
	return d, err
}

// widenAnswers appends the training answers that occur often enough, in the order of the alphabet.
func widenAnswers(known []string, questions []dataset.RadQuestion, split string) []string {
	counts := map[string]int{"yes": minAnswers, "no": minAnswers}
	for _, q := range questions {
		if radSplit(q, split) == "train" {
			counts[q.Answer]++
		}
	}
	var more []string
	for answer, n := range counts {
		if n >= minAnswers && !slices.Contains(known, answer) {
			more = append(more, answer)
		}
	}
	slices.Sort(more)
	return append(slices.Clone(known), more...)
}

// varyRad returns the picture cropped by up to an eighth, turned by up to 7 degrees and with another contrast, as a
// PNG. It is not mirrored: many questions ask for left or right.
func varyRad(b []byte, rng *rand.Rand) ([]byte, error) {
	decoded, err := imaging.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	img := imaging.Fit(decoded, variedSide, variedSide, imaging.Linear)
	img = imaging.Rotate(img, rng.Float64()*14-7, color.Black)
	size := img.Bounds().Size()
	w, h := size.X-rng.IntN(size.X/8+1), size.Y-rng.IntN(size.Y/8+1)
	x, y := rng.IntN(size.X-w+1), rng.IntN(size.Y-h+1)
	img = imaging.Crop(img, image.Rect(x, y, x+w, y+h))
	img = imaging.AdjustContrast(imaging.AdjustGamma(img, 0.8+0.45*rng.Float64()), rng.Float64()*30-15)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&out, img)
	return out.Bytes(), err
}
