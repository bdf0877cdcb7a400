package train

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/layer"
	"consilium/internal/media"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// radiographSettings are the recipe's keys besides those that all recipes have.
type radiographSettings struct {
	Batch    int     `recipe:"batch"`
	Variants int     `recipe:"variants"`
	Dropout  float64 `recipe:"dropout"`
	Others   float64 `recipe:"others"`
}

// trainRadiographs trains a second top of the image network, on radiographs. The trunk stays as it is, so that what it
// makes of every film and of its variants is computed once.
func trainRadiographs(ctx context.Context, r *Recipe, env Env) error {
	var s Settings
	t := &radiographTask{}
	if err := r.Decode(&s, &t.settings); err != nil {
		return err
	}
	if v := t.settings; v.Batch == 0 || v.Variants == 0 || v.Dropout >= 1 {
		return fmt.Errorf("recipe %s: batch = %d, variants = %d, dropout = %v: want a batch and variants above 0 and a share below 1", r.Name, v.Batch, v.Variants, v.Dropout)
	}
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	if err := t.load(ctx, s.Seed, env, engine); err != nil {
		return err
	}
	if len(t.films) < t.settings.Batch {
		return fmt.Errorf("recipe %s: batch = %d: there are only %d training films", r.Name, t.settings.Batch, len(t.films))
	}
	fmt.Fprintf(env.Log, "radiographs: %d training and %d validation films, labels %v\n", len(t.films), len(t.val), t.labels)
	return fit(ctx, r, s, t, env, engine)
}

// radiographTask is a top of the image network with a linear layer that judges its pooled features.
type radiographTask struct {
	settings   radiographSettings
	labels     []string
	start      map[string]tensor.Raw // the published top
	trunk      *featureSet           // of the films and then of their variants: 112 rows of 14 x 14
	films, val []film
	order      []int
	top        *efficientnet.Top
	judge      *layer.Linear
}

// radiographBatch is what the trunk made of some films, and their labels (B, L).
type radiographBatch struct {
	trunk  []uint16
	labels []float32
}

// load runs the trunk on the training and validation films.
func (t *radiographTask) load(ctx context.Context, seed uint64, env Env, engine *tensor.Engine) error {
	splits, err := dataset.ReadChest(env.Data)
	if err != nil {
		return err
	}
	t.labels = filmLabels(splits["train"])
	var plain, varied []artefact
	for _, split := range []string{"train", "val"} {
		for _, r := range splits[split] {
			b, err := os.ReadFile(r.Path)
			if err != nil {
				return err
			}
			f := film{images: []int{len(plain)}}
			plain = append(plain, bytesArtefact(b))
			for _, l := range t.labels {
				v := float32(0)
				if r.Has(l) {
					v = 1
				}
				f.labels = append(f.labels, v)
			}
			if split == "val" {
				t.val = append(t.val, f)
				continue
			}
			for i := range t.settings.Variants {
				f.images = append(f.images, len(varied))
				varied = append(varied, variedArtefact("varyFilm 1", b, seed, i, varyFilm))
			}
			t.films = append(t.films, f)
		}
	}
	for _, f := range t.films {
		for i := range f.images[1:] {
			f.images[1+i] += len(plain)
		}
	}
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		return err
	}
	encoder := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: 1})
	defer encoder.Close()
	var net *efficientnet.Model
	if err := encoder.Do(ctx, func(a *tensor.Arena) (err error) {
		if net, err = efficientnet.Load(a, path); err == nil {
			t.start = net.Top().Weights(a)
		}
		return err
	}); err != nil {
		return err
	}
	defer func() {
		_ = encoder.Do(context.Background(), func(a *tensor.Arena) error { net.Free(a); return nil }) // the engine is open
	}()
	trunk := func(ctx context.Context, b []byte) (*analysis.Features, error) {
		d, err := media.DecodeImage(b)
		if err != nil {
			return nil, err
		}
		const cells = efficientnet.CutGrid * efficientnet.CutGrid
		f := &analysis.Features{Modality: analysis.Image, TokenCount: efficientnet.CutDim, TokenDim: cells, Model: media.ImagePreprocessing}
		err = encoder.Do(ctx, func(a *tensor.Arena) error {
			x := a.FromFloat32(media.ImageTensor(d.Image, efficientnet.Side), 1, 3, efficientnet.Side, efficientnet.Side)
			f.Tokens = a.Float32s(a.Contiguous(net.Trunk(a, x)))
			return nil
		})
		return f, err
	}
	if t.trunk, err = encodeAll(ctx, env.Log, engine, env.Cache, "film-trunks", plain, trunk); err != nil {
		return err
	}
	more, err := encodeAll(ctx, env.Log, engine, env.Cache, "varied-film-trunks", varied, trunk)
	if err != nil {
		return err
	}
	t.trunk.join(more)
	return nil
}

func (t *radiographTask) Random(seed uint64) *rand.PCG               { return rand.NewPCG(seed, 8) }
func (t *radiographTask) Pretrained() (map[string]tensor.Raw, error) { return t.start, nil }
func (t *radiographTask) EpochLength() int                           { return len(t.films) / t.settings.Batch }
func (t *radiographTask) Shuffle(rng *rand.Rand)                     { t.order = rng.Perm(len(t.films)) }

// Metadata names what the last layer judges.
func (t *radiographTask) Metadata() map[string]string {
	b, err := json.Marshal(t.labels)
	if err != nil {
		panic(err) // strings
	}
	return map[string]string{"labels": string(b)}
}

func (t *radiographTask) Build(a *tensor.Arena, p *tensor.Params) {
	t.top = efficientnet.NewTop(a, p)
	t.judge = layer.NewLinear(a, p.Sub("judge"), efficientnet.Dim, int64(len(t.labels)))
}

func (t *radiographTask) Draw(rng *rand.Rand, i int) func() (radiographBatch, error) {
	films := make([]film, t.settings.Batch)
	images := make([]int, len(films))
	for j, row := range t.order[i*len(films) : (i+1)*len(films)] {
		films[j] = t.films[row]
		images[j] = pick(rng, films[j].images)
	}
	return func() (radiographBatch, error) { return t.batch(films, images), nil }
}

func (t *radiographTask) batch(films []film, images []int) radiographBatch {
	var b radiographBatch
	for i, f := range films {
		b.trunk = append(b.trunk, t.trunk.Rows[images[i]]...)
		b.labels = append(b.labels, f.labels...)
	}
	return b
}

// forward returns logits (B, L).
func (t *radiographTask) forward(a *tensor.Arena, b radiographBatch, dropout float64) tensor.T {
	n := int64(len(b.labels) / len(t.labels))
	x := a.ToKind(a.FromHalf(b.trunk, n, efficientnet.CutDim, efficientnet.CutGrid, efficientnet.CutGrid), tensor.Float)
	features, _ := t.top.Forward(a, x)
	if dropout > 0 {
		features = a.Dropout(features, dropout)
	}
	return t.judge.Forward(a, features)
}

// Loss is the cross-entropy of each label, meaned; those of all but pneumonia, which most films tell, count less.
func (t *radiographTask) Loss(a *tensor.Arena, b radiographBatch) (loss tensor.T, note string) {
	each := a.BinaryCrossEntropy(t.forward(a, b, t.settings.Dropout), a.FromFloat32(b.labels, int64(t.settings.Batch), int64(len(t.labels))))
	return a.Mean(a.Mul(each, a.FromFloat32(t.weights(), int64(len(t.labels)))), false), ""
}

// weights are those of the labels in the loss.
func (t *radiographTask) weights() []float32 {
	w := slices.Repeat([]float32{float32(t.settings.Others)}, len(t.labels))
	if i := slices.Index(t.labels, "Pneumonia"); i >= 0 {
		w[i] = 1
	}
	return w
}

// Validate prints the AUROC of each label and returns the validation loss, negated.
func (t *radiographTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	var logits [][]float64
	loss := 0.0
	for chunk := range slices.Chunk(t.val, 32) {
		mark := a.Mark()
		images := make([]int, len(chunk))
		for i, f := range chunk {
			images[i] = f.images[0]
		}
		b := t.batch(chunk, images)
		z := t.forward(a, b, 0)
		each := a.BinaryCrossEntropy(z, a.FromFloat32(b.labels, int64(len(chunk)), int64(len(t.labels))))
		loss += a.Item(a.Sum(a.Mul(each, a.FromFloat32(t.weights(), int64(len(t.labels)))), false))
		logits = append(logits, rows(a, z)...)
		a.Release(mark)
	}
	loss /= float64(len(t.val) * len(t.labels))
	fmt.Fprintf(out, "validation: loss %.4f  AUROC", loss)
	for j, l := range t.labels {
		var scores []float64
		var truth []bool
		for i, f := range t.val {
			scores, truth = append(scores, logits[i][j]), append(truth, f.labels[j] == 1)
		}
		fmt.Fprintf(out, "  %s %.3f", l, AUROC(scores, truth))
	}
	fmt.Fprintln(out)
	return -loss
}
