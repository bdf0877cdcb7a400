package train

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"consilium/internal/model/smolwriter"
	"consilium/internal/narrative"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// reportSmolLMSettings are the recipe's keys besides those that all recipes have.
type reportSmolLMSettings struct {
	Batch   int     `recipe:"batch"`
	Dim     int64   `recipe:"dim"`
	Heads   int64   `recipe:"heads"`
	Queries int64   `recipe:"queries"`
	Rank    int64   `recipe:"adapter_rank"`
	Alpha   float64 `recipe:"adapter_alpha"`
	Own     float64 `recipe:"own"`
	Dropout float64 `recipe:"dropout"`
}

// trainReportSmolLM trains a prefix and adapters of SmolLM2 on what the report's decoder is trained on.
func trainReportSmolLM(ctx context.Context, r *Recipe, env Env) error {
	var s Settings
	var v reportSmolLMSettings
	if err := r.Decode(&s, &v); err != nil {
		return err
	}
	if v.Batch == 0 || v.Dim == 0 || v.Heads == 0 || v.Dim%v.Heads != 0 || v.Queries == 0 || v.Rank == 0 || v.Alpha == 0 || v.Own > 1 || v.Dropout >= 1 {
		return fmt.Errorf("recipe %s: %+v: want a batch, queries, a rank and an alpha, a dim that the heads divide, and shares below 1", r.Name, v)
	}
	if err := weights.Fetch(ctx, env.Log, "smollm2"); err != nil {
		return err
	}
	path, err := weights.Path("smollm2.gguf")
	if err != nil {
		return err
	}
	engine := tensor.NewEngine(tensor.Options{Device: env.Device, Threads: env.Threads, Grad: true})
	defer engine.Close()
	t := &reportSmolLMTask{reportTask: reportTask{settings: reportSettings{Batch: v.Batch, Dim: v.Dim, Heads: v.Heads, Own: v.Own, Dropout: v.Dropout}}}
	if err := t.load(ctx, env, engine); err != nil {
		return err
	}
	t.lm = smolwriter.Config{Sentence: t.config, Queries: v.Queries, Rank: v.Rank, Alpha: v.Alpha}
	t.lm.Sentence.Length = maxReportTokens
	if err := engine.Do(ctx, func(a *tensor.Arena) (err error) {
		t.base, err = smolwriter.NewBase(a, path)
		return err
	}); err != nil {
		return err
	}
	defer func() {
		_ = engine.Do(context.Background(), func(a *tensor.Arena) error { t.base.Free(a); return nil }) // the engine is open
	}()
	fmt.Fprintf(env.Log, "report: %d training films, %d of them with %d sentences of their own, %d sentences in all; %d validation sentences\n",
		len(t.films), len(t.written), t.own, len(t.corpus), len(t.val))
	return fit(ctx, r, s, t, env, engine)
}

// maxReportTokens bounds a sentence of maxReportWords words.
const maxReportTokens = 48

// reportSmolLMTask is a prefix and adapters with what they learn from.
type reportSmolLMTask struct {
	reportTask
	lm     smolwriter.Config
	base   *smolwriter.Base
	writer *smolwriter.Model
}

func (t *reportSmolLMTask) Random(seed uint64) *rand.PCG { return rand.NewPCG(seed, 10) }
func (t *reportSmolLMTask) Metadata() map[string]string  { return t.lm.Metadata() }

func (t *reportSmolLMTask) Build(a *tensor.Arena, p *tensor.Params) {
	t.writer = smolwriter.New(a, p, t.lm, t.base)
}

// Loss is the cross-entropy a token.
func (t *reportSmolLMTask) Loss(a *tensor.Arena, b reportBatch) (loss tensor.T, note string) {
	loss, _ = t.tokenLoss(a, b, t.settings.Dropout)
	return loss, ""
}

// tokenLoss returns the cross-entropy a token, and how many tokens there are.
func (t *reportSmolLMTask) tokenLoss(a *tensor.Arena, b reportBatch, dropout float64) (loss tensor.T, total int) {
	var rows [][]int64
	longest := 0
	for _, ids := range b.words {
		words := make([]string, len(ids)-1) // without the end
		for i := range words {
			words[i] = t.config.Words[ids[i]]
		}
		tokens := t.writer.Tokens(words)
		rows = append(rows, tokens)
		longest = max(longest, len(tokens))
		total += len(tokens)
	}
	var before, targets []int64
	var weight []float32
	for _, tokens := range rows {
		pad := longest - len(tokens)
		before = append(append(before, tokens[:len(tokens)-1]...), make([]int64, pad)...)
		targets = append(append(targets, tokens...), make([]int64, pad)...)
		weight = append(append(weight, slices.Repeat([]float32{1}, len(tokens))...), make([]float32, pad)...)
	}
	logits := a.Reshape(t.writer.Forward(a, b.inputs, before, dropout), int64(len(targets)), int64(t.writer.Size()))
	each := a.CrossEntropy(logits, a.FromInt64(targets, int64(len(targets))))
	return a.DivScalar(a.Sum(a.Mul(each, a.FromFloat32(weight, int64(len(weight)))), false), float64(total)), total
}

// Validate prints some sentences and returns the loss of the validation films' own sentences, negated.
func (t *reportSmolLMTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	rng := rand.New(rand.NewPCG(1, 1))
	loss, tokens := 0.0, 0
	for chunk := range slices.Chunk(t.val, 32) {
		mark := a.Mark()
		l, n := t.tokenLoss(a, t.batch(rng, t.valFilms, chunk), 0)
		loss += a.Item(l) * float64(n)
		tokens += n
		a.Release(mark)
	}
	loss /= float64(max(1, tokens))
	fmt.Fprintf(out, "validation: loss %.4f a token\n", loss)
	shown := t.val[:min(3, len(t.val))]
	mark := a.Mark()
	drafts := t.writer.Write(a, t.batch(rng, t.valFilms, shown).inputs, 4, func(of int, word string) bool { return narrative.Allows(shown[of].Statement, word) })
	a.Release(mark)
	for i, e := range shown {
		fmt.Fprintf(out, "  %q: %q\n", e.Text, drafts[i])
	}
	return -loss
}
