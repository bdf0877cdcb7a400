package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"consilium/internal/dataset"
	"consilium/internal/mask"
	"consilium/internal/media"
	"consilium/internal/model/unet"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// segmentSettings are the keys of the recipes lungs and lesions besides those that all recipes have.
type segmentSettings struct {
	Start string `recipe:"start"` // a U-Net's weights to go on from; "efficientnet": an encoder from ImageNet
	// Shared leaves the encoder of start as it is, and out of the weights' file: one encoder serves two nets.
	Shared bool `recipe:"shared"`

	Validation string `recipe:"validation"` // the films of the split val are "held" out, or "trained" on as well
	Fold       int    `recipe:"fold"`       // of dataset.Folds, from 1: its films are left out, and validated on; 0: none

	Side   int     `recipe:"side"`   // pixels of a film, each way
	Batch  int     `recipe:"batch"`  // films
	Empty  int     `recipe:"empty"`  // of them, films on which there is nothing to find
	Equal  bool    `recipe:"equal"`  // classes count the same in the loss, however few films show them
	Mirror bool    `recipe:"mirror"` // show every second film mirrored
	Bend   float64 `recipe:"bend"`   // how far films are turned, moved, stretched and bent: 1 is far
}

// segmentExample is a film at the net's size with what is to be found on it.
type segmentExample struct {
	film   dataset.Film
	image  []float32   // (side, side), 0 to 1
	target [][]float32 // of each class, (side, side), 0 to 1: the share of the pixel; nil for a class that nobody drew
}

// segmentBatch is what the net sees of a batch, and what it should find.
type segmentBatch struct {
	images  []float32 // (B, 1, S, S)
	targets []float32 // (B, C, S, S)
	known   []float32 // (B, C): 1 where the class was drawn
	present []float32 // (B, C): 1 where besides the film shows it
}

// segmentTask is a U-Net and the films that it learns from.
type segmentTask struct {
	settings segmentSettings
	config   unet.Config
	pretrain map[string]tensor.Raw
	base     *unet.Model      // whose encoder is shared; nil if none is
	films    []segmentExample // with masks
	empty    []segmentExample // with nothing on them
	val      []segmentExample
	healthy  []segmentExample // with nothing on them, not trained on
	judge    func(t *segmentTask, a *tensor.Arena, out io.Writer) float64
	about    map[string]string // metadata besides the config
	order    []int             // of the current epoch
	model    *unet.Model
}

// segmentWidths are the channels of the decoder.
var segmentWidths = []int64{128, 64, 48, 32}

// trainSegmentation trains a U-Net of classes on the films that fill leaves in the task.
func trainSegmentation(ctx context.Context, r *Recipe, env Env, classes []string, fill func(t *segmentTask, films []dataset.Film) error) error {
	var s Settings
	t := &segmentTask{about: map[string]string{}}
	if err := r.Decode(&s, &t.settings); err != nil {
		return err
	}
	o := t.settings
	switch {
	case o.Batch < 1 || o.Empty >= o.Batch || o.Fold > dataset.Folds:
		return fmt.Errorf("recipe %s: batch = %d, empty = %d, fold = %d: want a film or more, fewer empty ones, and at most fold %d",
			r.Name, o.Batch, o.Empty, o.Fold, dataset.Folds)
	case o.Validation != "held" && o.Validation != "trained":
		return fmt.Errorf("recipe %s: validation = %q: want held or trained", r.Name, o.Validation)
	}
	t.config = unet.Config{Classes: classes, Side: int64(t.settings.Side), Widths: segmentWidths, Mirrored: t.settings.Mirror}
	if err := t.config.Check(); err != nil {
		return fmt.Errorf("recipe %s: %w", r.Name, err)
	}
	films, err := dataset.ReadFilms(env.Data)
	if err != nil {
		return err
	}
	if err := fill(t, films); err != nil {
		return err
	}
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	if len(t.films) < t.drawn() || t.settings.Empty > 0 && len(t.empty) == 0 {
		return fmt.Errorf("recipe %s: %d films with masks and %d without anything are too few for a batch", r.Name, len(t.films), len(t.empty))
	}
	fmt.Fprintf(env.Log, "%s: %d training films, %d with nothing to find, %d validation films\n", r.Name, len(t.films), len(t.empty), len(t.val))
	free, err := t.begin(ctx, engine)
	if err != nil {
		return err
	}
	defer free()
	if t.base != nil { // a picture is looked at as the encoder's own net looks at it
		t.config.Mirrored = t.base.Config().Mirrored
	}
	return fit(ctx, r, s, t, env, engine)
}

// begin reads the weights to go on from. free ends the use of a shared encoder.
func (t *segmentTask) begin(ctx context.Context, engine *tensor.Engine) (free func(), err error) {
	start := t.settings.Start
	free = func() {}
	if start == "efficientnet" {
		if t.settings.Shared {
			return nil, fmt.Errorf("shared = true, start = %s: want the weights of the U-Net whose encoder is shared", start)
		}
		t.pretrain, err = imageNet()
		return free, err
	}
	b, err := os.ReadFile(start)
	if err != nil {
		return nil, fmt.Errorf("begin with a U-Net's weights: %w", err)
	}
	raw, metadata, err := tensor.DecodeSafetensors(b)
	if err != nil {
		return nil, fmt.Errorf("begin with the U-Net's weights %s: %w", start, err)
	}
	config, err := unet.ParseConfig(metadata)
	if err != nil {
		return nil, fmt.Errorf("begin with the U-Net's weights %s: %w", start, err)
	}
	if t.settings.Shared {
		p := tensor.FromRaw(raw)
		free = func() {
			_ = engine.Do(context.Background(), func(a *tensor.Arena) error { // the engine is open
				p.Free(a)
				return nil
			})
		}
		err = engine.Do(ctx, func(a *tensor.Arena) error {
			t.base = unet.New(a, p, config)
			return nil
		})
		if err != nil {
			free()
			return nil, fmt.Errorf("begin with the U-Net's weights %s: %w", start, err)
		}
		sum := sha256.Sum256(b)
		t.about[EncoderDigest] = hex.EncodeToString(sum[:])
		t.pretrain = map[string]tensor.Raw{}
		for name, v := range raw {
			if strings.HasPrefix(name, "decoder.") {
				t.pretrain[name] = v
			}
		}
		return free, nil
	}
	if !slices.Equal(config.Classes, t.config.Classes) {
		delete(raw, "head.weight")
		delete(raw, "head.bias")
	}
	t.pretrain = raw
	return free, nil
}

// EncoderDigest is the metadata entry of weights without an encoder: the SHA-256 of the file that holds it.
const EncoderDigest = "encoder"

// imageNet returns the encoder of EfficientNet-Lite0.
func imageNet() (map[string]tensor.Raw, error) {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		return nil, fmt.Errorf("begin with EfficientNet-Lite0: %w", err)
	}
	dict, err := tensor.ReadPTH(path)
	if err != nil {
		return nil, fmt.Errorf("begin with EfficientNet-Lite0: %w", err)
	}
	return unet.FromEfficientNet(dict)
}

// Random returns the generator as it is after one epoch has been laid out.
func (t *segmentTask) Random(seed uint64) *rand.PCG {
	pcg := rand.NewPCG(seed, 1)
	t.Shuffle(rand.New(pcg))
	return pcg
}

func (t *segmentTask) Pretrained() (map[string]tensor.Raw, error) { return t.pretrain, nil }
func (t *segmentTask) drawn() int {
	return t.settings.Batch - t.settings.Empty
}
func (t *segmentTask) EpochLength() int       { return len(t.films) / t.drawn() }
func (t *segmentTask) Shuffle(rng *rand.Rand) { t.order = rng.Perm(len(t.films)) }

func (t *segmentTask) Metadata() map[string]string {
	metadata := t.config.Metadata()
	for key, value := range t.about {
		metadata[key] = value
	}
	return metadata
}

func (t *segmentTask) Build(a *tensor.Arena, p *tensor.Params) {
	if t.base != nil {
		t.model = unet.Extend(a, p, t.config, t.base)
		return
	}
	t.model = unet.New(a, p, t.config)
}

// Draw chooses the films; how each is seen is drawn by a generator of the batch's own.
func (t *segmentTask) Draw(rng *rand.Rand, i int) func() (segmentBatch, error) {
	n := t.drawn()
	var chosen []segmentExample
	for _, at := range t.order[i*n : (i+1)*n] {
		chosen = append(chosen, t.films[at])
	}
	for range t.settings.Empty {
		chosen = append(chosen, t.empty[rng.IntN(len(t.empty))])
	}
	own := rand.New(rand.NewPCG(rng.Uint64(), 2))
	return func() (segmentBatch, error) {
		var b segmentBatch
		for _, e := range chosen {
			b.add(variant(own, e, t.settings))
		}
		return b, nil
	}
}

// add appends an example.
func (b *segmentBatch) add(e segmentExample) {
	b.images = append(b.images, e.image...)
	for _, plane := range e.target {
		known, present := float32(0), float32(0)
		if plane == nil {
			plane = make([]float32, len(e.image))
		} else {
			known = 1
		}
		if slices.ContainsFunc(plane, func(v float32) bool { return v > 0.5 }) {
			present = 1
		}
		b.targets = append(b.targets, plane...)
		b.known, b.present = append(b.known, known), append(b.present, present)
	}
}

// Loss is the binary cross entropy plus, where there is something to find, 1 - the soft Dice overlap (Milletari et al.
// 2016, https://arxiv.org/abs/1606.04797): the mean over all classes that were drawn on the films. If classes are equal
// it is the mean over the classes of what is the mean over films within each, with half of the overlap: a class that few
// films show is not lost among many films that show nothing, and what is found there counts for more.
func (t *segmentTask) Loss(a *tensor.Arena, b segmentBatch) (loss tensor.T, note string) {
	side, classes := t.config.Side, int64(len(t.config.Classes))
	n := int64(len(b.images)) / (side * side)
	logits := t.model.Forward(a, a.FromFloat32(b.images, n, 1, side, side)) // (B, C, S, S)
	target := a.FromFloat32(b.targets, n, classes, side, side)
	known, present := a.FromFloat32(b.known, n, classes), a.FromFloat32(b.present, n, classes)
	const pixel = 1.0 // keeps an empty picture's overlap defined
	p := a.Sigmoid(logits)
	both := a.Sum(a.Mul(p, target), false, 2, 3) // (B, C)
	size := a.Add(a.Sum(p, false, 2, 3), a.Sum(target, false, 2, 3))
	overlap := a.Div(a.AddScalar(a.MulScalar(both, 2), pixel), a.AddScalar(size, pixel))
	entropy := a.Mean(a.BinaryCrossEntropy(logits, target), false, 2, 3)
	miss := a.AddScalar(a.Neg(overlap), 1)
	if t.settings.Equal {
		return a.Add(classMean(a, entropy, known), a.MulScalar(classMean(a, miss, present), 0.5)), ""
	}
	each := a.Add(entropy, a.Mul(miss, present))
	return a.Div(a.Sum(a.Mul(each, known), false), a.AddScalar(a.Sum(known, false), 1e-6)), ""
}

// classMean is the mean over classes of each class's mean of v (B, C) over the films that count, of counts (B, C).
func classMean(a *tensor.Arena, v, counts tensor.T) tensor.T {
	return a.Mean(a.Div(a.Sum(a.Mul(v, counts), false, 0), a.AddScalar(a.Sum(counts, false, 0), 1e-6)), false)
}

// Validate prints how the films that were left out are segmented.
func (t *segmentTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	if len(t.val)+len(t.healthy) == 0 {
		fmt.Fprintln(out, "validation: no film is left out")
		return 0
	}
	return t.judge(t, a, out)
}

// logits returns what the net finds on a film, (C, S, S).
func (t *segmentTask) logits(a *tensor.Arena, image []float32) [][]float32 {
	return t.logitsOf(a, t.model, image)
}

// logitsOf returns what a net of the same side finds on a film, (C, S, S).
func (t *segmentTask) logitsOf(a *tensor.Arena, model *unet.Model, image []float32) [][]float32 {
	mark := a.Mark()
	defer a.Release(mark)
	side := t.config.Side
	values := a.Float32s(unet.Logits(a, a.FromFloat32(image, 1, 1, side, side), model)[0])
	var planes [][]float32
	for plane := range slices.Chunk(values, int(side*side)) {
		planes = append(planes, plane)
	}
	return planes
}

// readFilm reads a film at the net's size.
func readFilm(f dataset.Film, side int) ([]float32, error) {
	b, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("read the film %s: %w", f.ID, err)
	}
	d, err := media.DecodeImage(b)
	if err != nil {
		return nil, fmt.Errorf("read the film %s: %w", f.ID, err)
	}
	return media.GreyTensor(d.Image, side), nil
}

// shares resamples a mask to the net's size: of every pixel the share that is on.
func shares(m mask.Mask, side int) []float32 {
	out := make([]float32, side*side)
	columns, rows := overlaps(m.Width, side), overlaps(m.Height, side)
	for y, r := range rows {
		for x, c := range columns {
			sum, area := 0.0, 0.0
			for i, high := range r.weights {
				for j, wide := range c.weights {
					area += high * wide
					if m.On[(r.from+i)*m.Width+c.from+j] {
						sum += high * wide
					}
				}
			}
			out[y*side+x] = float32(sum / area)
		}
	}
	return out
}

// overlap says how much of each pixel, from one on, lies in a coarser or finer one.
type overlap struct {
	from    int
	weights []float64
}

func overlaps(from, to int) []overlap {
	out := make([]overlap, to)
	for i := range out {
		low, high := float64(i)*float64(from)/float64(to), float64(i+1)*float64(from)/float64(to)
		o := overlap{from: min(int(low), from-1)}
		for j := o.from; j < from && (float64(j) < high || len(o.weights) == 0); j++ {
			o.weights = append(o.weights, max(1e-9, math.Min(high, float64(j+1))-math.Max(low, float64(j))))
		}
		out[i] = o
	}
	return out
}

// readClass reads a mask of a film: the pixels with one of the values, or any but 0 if none is named.
func readClass(path string, values ...uint8) (mask.Mask, error) {
	grey, err := dataset.ReadMask(path)
	if err != nil {
		return mask.Mask{}, err
	}
	return mask.FromGray(grey, values...), nil
}
