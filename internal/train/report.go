package train

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"consilium/internal/chexpert"
	"consilium/internal/dataset"
	"consilium/internal/model/sentence"
	"consilium/internal/narrative"
	"consilium/internal/tensor"
)

// reportSettings are the recipe's keys besides those that all recipes have.
type reportSettings struct {
	Batch   int     `recipe:"batch"`
	Dim     int64   `recipe:"dim"`
	Heads   int64   `recipe:"heads"`
	Depth   int     `recipe:"depth"`
	Own     float64 `recipe:"own"`     // share of the sentences that were written about the film itself
	Dropout float64 `recipe:"dropout"` // of the image's values
}

// trainReport trains the decoder that writes the sentences of reports.
func trainReport(ctx context.Context, r *Recipe, env Env) error {
	var s Settings
	t := &reportTask{}
	if err := r.Decode(&s, &t.settings); err != nil {
		return err
	}
	if v := t.settings; v.Batch == 0 || v.Dim == 0 || v.Heads == 0 || v.Dim%v.Heads != 0 || v.Depth == 0 || v.Own > 1 || v.Dropout >= 1 {
		return fmt.Errorf("recipe %s: %+v: want a batch, a depth, a dim that the heads divide, and shares below 1", r.Name, v)
	}
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	if err := t.load(ctx, env, engine); err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "report: %d training films, %d of them with %d sentences of their own, %d sentences in all, %d words; %d validation sentences\n",
		len(t.films), len(t.written), t.own, len(t.corpus), len(t.config.Words)-1, len(t.val))
	return fit(ctx, r, s, t, env, engine)
}

// reportFilm is a film with its labels, as observations, and what was written about it.
type reportFilm struct {
	image    int
	present  map[string]bool
	examples []narrative.Example
}

// reportExample is a sentence about a film.
type reportExample struct {
	film int // of films, or of valFilms
	narrative.Example
}

// reportTask is the decoder with what it learns from: sentences that people wrote, shortened to what a report may state.
type reportTask struct {
	settings reportSettings
	config   sentence.Config
	index    map[string]int64 // of words

	images          *featureSet
	films, valFilms []reportFilm
	written         []int // of films, those with sentences of their own
	own             int   // sentences of those
	corpus          []narrative.Example
	val             []reportExample
	model           *sentence.Model
}

// reportBatch is some inputs with their sentences, of which length is that of the longest.
type reportBatch struct {
	inputs []*sentence.Input
	words  [][]int64
	length int
}

// maxReportWords bounds a sentence.
const maxReportWords = 20

func (t *reportTask) load(ctx context.Context, env Env, engine *tensor.Engine) error {
	films, err := dataset.ReadFilms(env.Data)
	if err != nil {
		return err
	}
	reports, err := dataset.ReadReports(env.Data)
	if err != nil {
		return err
	}
	questions, err := dataset.ReadVQARAD(env.Data)
	if err != nil {
		return err
	}
	texts := map[string][]string{}
	for _, r := range reports {
		texts[r.Film] = r.Sentences
	}
	var pictures []artefact
	for _, f := range films {
		if f.Split != "train" && f.Split != "val" || !f.NIH && texts[f.ID] == nil {
			continue
		}
		b, err := os.ReadFile(f.Path)
		if err != nil {
			return err
		}
		r := reportFilm{image: len(pictures), present: map[string]bool{}}
		pictures = append(pictures, bytesArtefact(b))
		for _, l := range f.Labels {
			if o := chexpert.Of(l); o != "" {
				r.present[o] = true
			}
		}
		for _, s := range texts[f.ID] {
			r.examples = append(r.examples, narrative.Examples(s)...)
		}
		t.add(r, f.Split)
	}
	for _, s := range dataset.Statements(questions, "train") {
		t.corpus = append(t.corpus, narrative.Examples(s)...)
	}
	slices.SortFunc(t.corpus, func(a, b narrative.Example) int { return strings.Compare(a.Text, b.Text) })
	t.corpus = slices.CompactFunc(t.corpus, func(a, b narrative.Example) bool { return a.Text == b.Text })
	encoders, closeAll, err := env.Encoders()
	if err != nil {
		return err
	}
	defer closeAll()
	if t.images, err = encodeAll(ctx, env.Log, engine, env.Cache, "report-films", pictures, encoders.encodeRadiograph); err != nil {
		return err
	}
	t.describe()
	return nil
}

func (t *reportTask) add(r reportFilm, split string) {
	if split == "val" {
		for _, e := range r.examples {
			t.val = append(t.val, reportExample{len(t.valFilms), e})
		}
		t.valFilms = append(t.valFilms, r)
		return
	}
	if len(r.examples) > 0 {
		t.written = append(t.written, len(t.films))
	}
	t.own += len(r.examples)
	t.corpus = append(t.corpus, r.examples...)
	t.films = append(t.films, r)
}

// describe makes the net's config of the corpus, and leaves out validation sentences with words that it does not have.
func (t *reportTask) describe() {
	words := []string{}
	for _, e := range t.corpus {
		words = append(words, narrative.Words(e.Text)...)
	}
	slices.Sort(words)
	t.config = sentence.Config{
		Dim: t.settings.Dim, Heads: t.settings.Heads, Depth: t.settings.Depth, Length: maxReportWords, Grid: 7, ImageDim: int64(t.images.Dim),
		Words: append([]string{sentence.End}, slices.Compact(words)...), Observations: chexpert.Observations[1:], Parents: chexpert.Parent,
	}
	t.index = map[string]int64{}
	for i, w := range t.config.Words {
		t.index[w] = int64(i)
	}
	t.val = slices.DeleteFunc(t.val, func(e reportExample) bool { return t.ids(e.Text) == nil })
}

// ids are those of a text's words, with that of End; nil if one is unknown or there are too many.
func (t *reportTask) ids(text string) []int64 {
	var out []int64
	for _, w := range narrative.Words(text) {
		id, ok := t.index[w]
		if !ok || len(out) == maxReportWords-1 {
			return nil
		}
		out = append(out, id)
	}
	return append(out, 0)
}

func (t *reportTask) Random(seed uint64) *rand.PCG               { return rand.NewPCG(seed, 9) }
func (t *reportTask) Pretrained() (map[string]tensor.Raw, error) { return nil, nil }
func (t *reportTask) EpochLength() int                           { return 0 }
func (t *reportTask) Shuffle(*rand.Rand)                         {}
func (t *reportTask) Metadata() map[string]string                { return t.config.Metadata() }

func (t *reportTask) Build(a *tensor.Arena, p *tensor.Params) { t.model = sentence.New(a, p, t.config) }

// Draw takes films with sentences of their own, and films of which only the labels are known with sentences from the corpus
// that state nothing else than the labels do.
func (t *reportTask) Draw(rng *rand.Rand, _ int) func() (reportBatch, error) {
	var drawn []reportExample
	for len(drawn) < t.settings.Batch {
		if rng.Float64() < t.settings.Own {
			film := pick(rng, t.written)
			drawn = append(drawn, reportExample{film, pick(rng, t.films[film].examples)})
			continue
		}
		film, e := rng.IntN(len(t.films)), pick(rng, t.corpus)
		if agrees(t.films[film].present, e) {
			drawn = append(drawn, reportExample{film, e})
		}
	}
	seed := rng.Uint64()
	return func() (reportBatch, error) { return t.batch(rand.New(rand.NewPCG(seed, 1)), t.films, drawn), nil }
}

// agrees reports whether a sentence states no more than labels do.
func agrees(present map[string]bool, e narrative.Example) bool {
	for _, a := range e.Statement.Asserts {
		if present[a.Observation] != a.Present {
			return false
		}
	}
	return true
}

// batch draws what would have been judged of each film: the labels, and what its sentence states, with a probability on the
// right side of one half.
func (t *reportTask) batch(rng *rand.Rand, films []reportFilm, examples []reportExample) reportBatch {
	var b reportBatch
	for _, e := range examples {
		film := films[e.film]
		in := &sentence.Input{Judged: map[string]float64{}, Present: map[string]bool{}, Asserts: map[string]bool{}, Side: e.Statement.Side, GroundGlass: e.Statement.GroundGlass}
		for _, o := range t.config.Observations {
			in.Present[o] = film.present[o]
		}
		for _, a := range e.Statement.Asserts {
			in.Asserts[a.Observation], in.Present[a.Observation] = a.Present, a.Present
		}
		for _, o := range t.config.Observations {
			if in.Judged[o] = rng.Float64() / 2; in.Present[o] {
				in.Judged[o] += 0.5
			}
		}
		in.Image = tensor.Widen(t.images.Rows[film.image])
		b.inputs = append(b.inputs, in)
		b.words = append(b.words, t.ids(e.Text))
		b.length = max(b.length, len(b.words[len(b.words)-1]))
	}
	return b
}

// Loss is the cross-entropy a word.
func (t *reportTask) Loss(a *tensor.Arena, b reportBatch) (loss tensor.T, note string) {
	return t.loss(a, b, t.settings.Dropout), ""
}

func (t *reportTask) loss(a *tensor.Arena, b reportBatch, dropout float64) tensor.T {
	n, v := int64(len(b.inputs)), int64(len(t.config.Words))
	var before, targets []int64
	var weights []float32
	total := 0
	for _, words := range b.words {
		row, target, weight := make([]int64, b.length-1), make([]int64, b.length), make([]float32, b.length)
		copy(row, words[:len(words)-1])
		copy(target, words)
		for i := range words {
			weight[i] = 1
		}
		before, targets, weights = append(before, row...), append(targets, target...), append(weights, weight...)
		total += len(words)
	}
	in := t.config.Batch(a, b.inputs)
	in.Image = a.Dropout(in.Image, dropout)
	logits := t.model.Forward(a, in, a.FromInt64(before, n, int64(b.length-1))) // (B, T, V)
	log := a.LogSoftmax(a.Reshape(logits, -1, v), -1)
	each := a.Squeeze(a.Gather(log, 1, a.FromInt64(targets, int64(len(targets)), 1)), 1)
	return a.DivScalar(a.Sum(a.Mul(each, a.FromFloat32(weights, int64(len(weights)))), false), -float64(total))
}

// Validate prints some sentences and returns the loss of the validation films' own sentences, negated.
func (t *reportTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	rng := rand.New(rand.NewPCG(1, 1))
	loss, words := 0.0, 0
	for chunk := range slices.Chunk(t.val, 32) {
		mark := a.Mark()
		b := t.batch(rng, t.valFilms, chunk)
		n := 0
		for _, w := range b.words {
			n += len(w)
		}
		loss += a.Item(t.loss(a, b, 0)) * float64(n)
		words += n
		a.Release(mark)
	}
	loss /= float64(max(1, words))
	fmt.Fprintf(out, "validation: loss %.4f a word\n", loss)
	for _, e := range t.val[:min(3, len(t.val))] {
		mark := a.Mark()
		in := t.batch(rng, t.valFilms, []reportExample{e}).inputs[0]
		drafts := t.model.Write(a, in, 4, func(w string) bool { return narrative.Allows(e.Statement, w) })
		fmt.Fprintf(out, "  %q: %q\n", e.Text, drafts)
		a.Release(mark)
	}
	return -loss
}
