package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/layer"
	"consilium/internal/tensor"
	"consilium/internal/train/allreduce"
)

// tinyTask fits a net of three layers to a function of four numbers, with dropout, from shuffled examples.
type tinyTask struct {
	settings tinySettings
	block    func(place string) // called with the places where a test wants to hold the run
	params   *tensor.Params
	first    *layer.Linear
	mlps     []*layer.MLP
	last     *layer.Linear
	order    []int
	count    int // validations
}

type tinySettings struct {
	Batch   int     `recipe:"batch"`
	Hidden  int64   `recipe:"hidden"`
	Dropout float64 `recipe:"dropout"`
	Bulk    int     `recipe:"bulk"` // numbers that every batch carries besides
	Bad     int     `recipe:"bad"`  // draw from which on the examples hold a NaN; 0: none
}

const tinyExamples = 96

type tinyBatch struct{ x, y, bulk []float32 }

func tinyExample(i int) (x [4]float32, y float32) {
	rng := rand.New(rand.NewPCG(uint64(i), 9))
	for j := range x {
		x[j] = float32(rng.NormFloat64())
	}
	return x, x[0]*x[1] + float32(math.Sin(float64(2*x[2]))) - x[3]
}

func (t *tinyTask) Random(seed uint64) *rand.PCG               { return rand.NewPCG(seed, 5) }
func (t *tinyTask) Pretrained() (map[string]tensor.Raw, error) { return nil, nil }
func (t *tinyTask) Metadata() map[string]string                { return map[string]string{"kind": "tiny"} }
func (t *tinyTask) EpochLength() int                           { return tinyExamples / t.settings.Batch }
func (t *tinyTask) Shuffle(rng *rand.Rand)                     { t.order = rng.Perm(tinyExamples) }

func (t *tinyTask) Build(a *tensor.Arena, p *tensor.Params) {
	h := t.settings.Hidden
	t.params, t.mlps = p, nil
	t.first = layer.NewLinear(a, p.Sub("first"), 4, h)
	for i := range 3 {
		t.mlps = append(t.mlps, layer.NewMLP(a, p.Sub("mlp"+strconv.Itoa(i)), h, 2*h))
	}
	t.last = layer.NewLinear(a, p.Sub("last"), h, 1)
}

func (t *tinyTask) Draw(rng *rand.Rand, i int) func() (tinyBatch, error) {
	rows := t.order[i*t.settings.Batch : (i+1)*t.settings.Batch]
	jitter := make([]float32, len(rows))
	for j := range jitter {
		jitter[j] = float32(rng.NormFloat64() * 1e-3)
	}
	t.hold("draw", i)
	return func() (tinyBatch, error) {
		b := tinyBatch{bulk: make([]float32, t.settings.Bulk)}
		for j, row := range rows {
			x, y := tinyExample(row)
			b.x, b.y = append(b.x, x[0], x[1], x[2], x[3]), append(b.y, y+jitter[j])
		}
		if t.settings.Bad > 0 && i >= t.settings.Bad {
			b.x[0] = float32(math.NaN())
		}
		return b, nil
	}
}

func (t *tinyTask) hold(place string, i int) {
	if t.block != nil {
		t.block(place + " " + strconv.Itoa(i))
	}
}

func (t *tinyTask) forward(a *tensor.Arena, x tensor.T, dropout float64) tensor.T {
	x = t.first.Forward(a, x)
	for _, m := range t.mlps {
		x = a.Checkpoint(func(in []tensor.T) []tensor.T {
			return []tensor.T{a.Add(in[0], a.Dropout(m.Forward(a, in[0]), dropout))}
		}, x)[0]
	}
	return a.Squeeze(t.last.Forward(a, x), 1)
}

func (t *tinyTask) Loss(a *tensor.Arena, b tinyBatch) (tensor.T, string) {
	n := int64(len(b.y))
	a.FromFloat32(b.bulk, int64(len(b.bulk)))
	y := t.forward(a, a.FromFloat32(b.x, n, 4), t.settings.Dropout)
	return a.Mean(a.Square(a.Sub(y, a.FromFloat32(b.y, n))), false), ""
}

// Validate prints the figure and the digest of every bit of the parameters.
func (t *tinyTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	t.count++
	t.hold("validate", t.count)
	b := tinyBatch{}
	for i := range tinyExamples {
		x, y := tinyExample(tinyExamples + i)
		b.x, b.y = append(b.x, x[:]...), append(b.y, y)
	}
	y := t.forward(a, a.FromFloat32(b.x, tinyExamples, 4), 0)
	figure := -a.Item(a.Mean(a.Square(a.Sub(y, a.FromFloat32(b.y, tinyExamples))), false))
	digest := sha256.New()
	for _, name := range t.params.Names() {
		for _, v := range a.Float32s(t.params.Tensor(name)) {
			digest.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
		}
	}
	fmt.Fprintf(out, "validation %.6f digest %x\n", figure, digest.Sum(nil))
	return figure
}

// tinyRecipe is a recipe of the tiny task with overrides key=value.
func tinyRecipe(t *testing.T, overrides ...string) *Recipe {
	t.Helper()
	values, err := parseRecipe([]byte(`
		task = tiny
		seed = 3
		steps = 48
		epochs = 0
		rate = 1e-2
		warmup = 5
		clip = 1
		weight_decay = 0.01
		average = 0.9
		validate = 7
		patience = 0
		keep = last
		checkpoint = 5
		freeze = 0
		lora_rank = 0
		lora_alpha = 32
		precision = float32
		checkpointing = false
		batch = 8
		hidden = 16
		dropout = 0.2
		bulk = 0
		bad = 0`))
	if err != nil {
		t.Fatal(err)
	}
	r := &Recipe{Name: "tiny", values: values}
	more, err := parseRecipe([]byte(strings.Join(overrides, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.values, more)
	return r
}

func runTiny(ctx context.Context, r *Recipe, env Env, block func(place string)) error {
	var s Settings
	task := &tinyTask{block: block}
	if err := r.Decode(&s, &task.settings); err != nil {
		return err
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer engine.Close()
	env.Device, env.Threads = tensor.CPU, 1
	return fit(ctx, r, s, task, env, engine)
}

// The tests below run the tiny recipe in processes of its own, so that they can be killed: this test, started with
// tinyOut set, is such a process.
const (
	tinyOut   = "CONSILIUM_TEST_TINY_OUT"   // file of weights
	tinySet   = "CONSILIUM_TEST_TINY_SET"   // overrides, separated by blanks
	tinyHold  = "CONSILIUM_TEST_TINY_HOLD"  // place at which the process says so and waits to be killed
	tinyGroup = "CONSILIUM_TEST_TINY_GROUP" // rank, world and address
)

func TestTinyProcess(t *testing.T) {
	if os.Getenv(tinyOut) == "" {
		t.Skip("runs in a process that another test starts")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	env := Env{Out: os.Getenv(tinyOut), Log: os.Stdout, onStep: func(step int, loss float64) { fmt.Printf("loss %d %.9g\n", step, loss) }}
	if group := strings.Fields(os.Getenv(tinyGroup)); len(group) == 3 {
		rank, _ := strconv.Atoi(group[0])
		world, _ := strconv.Atoi(group[1])
		var err error
		if env.Group, err = allreduce.Join(ctx, rank, world, group[2]); err != nil {
			t.Fatal(err)
		}
	}
	err := runTiny(ctx, tinyRecipe(t, strings.Fields(os.Getenv(tinySet))...), env, func(place string) {
		if place == os.Getenv(tinyHold) {
			fmt.Println("HOLD")
			select {}
		}
	})
	if err != nil {
		fmt.Println("ERROR", err)
		os.Exit(3)
	}
}

func TestEarlyStoppingKeepsTheBest(t *testing.T) {
	out := filepath.Join(t.TempDir(), "w.safetensors")
	var log strings.Builder
	r := tinyRecipe(t, "rate=0.5", "clip=1000", "patience=3", "keep=best", "steps=4800", "validate=12")
	if err := runTiny(t.Context(), r, Env{Out: out, Log: &log}, nil); err != nil {
		t.Fatal(err)
	}
	figures := strings.Count(log.String(), "validation ")
	if !strings.Contains(log.String(), "in 3 validations: done after step") || figures < 4 || figures > 300 {
		t.Errorf("it did not stop early: %s", log.String())
	}
	if _, metadata, err := tensor.ReadSafetensors(out); err != nil || metadata["kind"] != "tiny" {
		t.Errorf("weights: %v, %v", metadata, err)
	}
	if _, err := os.Stat(checkpointPath(out)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint of a finished run: %v", err)
	}
}

// curve trains with overrides and returns the loss of every step.
func curve(t *testing.T, overrides ...string) []float64 {
	t.Helper()
	var losses []float64
	env := Env{Out: filepath.Join(t.TempDir(), "w.safetensors"), Log: io.Discard, onStep: func(_ int, loss float64) { losses = append(losses, loss) }}
	if err := runTiny(t.Context(), tinyRecipe(t, overrides...), env, nil); err != nil {
		t.Fatal(err)
	}
	return losses
}

func TestEpochsCountSteps(t *testing.T) {
	if n := len(curve(t, "steps=0", "epochs=2", "validate=0")); n != 24 {
		t.Errorf("two epochs of 96 examples in batches of 8 are %d steps, want 24", n)
	}
}

// TestPrecision compares the loss curve in bfloat16 with that in float32: bfloat16 has 8 bits, so that single losses
// may differ by 5 % and their means over 12 steps by 3 %.
func TestPrecision(t *testing.T) {
	want, got := curve(t, "steps=96", "dropout=0"), curve(t, "steps=96", "dropout=0", "precision=bfloat16")
	differ := false
	for i := 0; i < len(want); i += 12 {
		var w, g float64
		for j := i; j < i+12; j++ {
			w, g = w+want[j], g+got[j]
			differ = differ || want[j] != got[j]
			if math.Abs(got[j]-want[j]) > 0.05*math.Max(0.1, want[j]) {
				t.Errorf("step %d: loss %v in bfloat16, %v in float32", j+1, got[j], want[j])
			}
		}
		if math.Abs(g-w) > 0.03*w {
			t.Errorf("steps %d to %d: mean loss %v in bfloat16, %v in float32", i+1, i+12, g/12, w/12)
		}
	}
	if !differ {
		t.Error("bfloat16 changes nothing")
	}
}

func TestCheckpointingChangesNothing(t *testing.T) {
	want, got := curve(t), curve(t, "checkpointing=true")
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("step %d: loss %v, want %v", i+1, got[i], want[i])
		}
	}
}
