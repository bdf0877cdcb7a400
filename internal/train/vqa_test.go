package train

import (
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// fakeVQA is a small set of random features with answers that the pictures and sounds tell.
func fakeVQA(settings vqaSettings) *vqaTask {
	rng := rand.New(rand.NewPCG(4, 4))
	rows := func(n, tokens, dim int) *featureSet {
		s := &featureSet{Dim: dim}
		for range n {
			row := make([]uint16, tokens*dim)
			for i := range row {
				row[i] = 0x3000 | uint16(rng.IntN(0xfff)) | uint16(rng.IntN(2))<<15 // half precision, up to 1
			}
			s.Rows = append(s.Rows, row)
		}
		return s
	}
	d := &vqaData{text: rows(12, 3, 5), image: rows(16, 49, 6), audio: rows(8, 2, 4), answers: []string{"red", "blue", "dog", "zero"}}
	for i := range 8 {
		q := question{text: i % 2, image: i, audio: -1, note: -1, caption: 2 + i%2, answer: i % 2}
		d.visual, d.val = append(d.visual, q), append(d.val, q)
		d.heard = append(d.heard, question{text: 4, image: -1, audio: i, note: -1, caption: 5 + i%2, answer: 2 + i%2})
		d.films = append(d.films, film{picture: 8 + i, images: []int{8 + i}, records: []int{7, 8}, labels: []float32{float32(i % 2), 0}})
		d.valSounds = append(d.valSounds, clip{audio: i, cough: i%2 == 0})
	}
	d.radiograph = &featureSet{Dim: d.image.Dim, Rows: d.image.Rows}
	d.valFilms, d.coughs, d.others = d.films, []int{0, 2}, []int{1, 3}
	d.pictures, d.sounds = []int{0, 3, 8, 9}, []int{0, 1, 2, 3}
	d.findings = []fusion.Label{{Name: "Edema", Modality: "image", Scale: 1, Threshold: 0.5}, {Name: cough, Modality: "audio", Scale: 1, Threshold: 0.5}}
	return &vqaTask{settings: settings, data: d, config: fusion.Config{
		Dim: settings.Dim, Heads: settings.Heads, Depth: settings.Depth, ContrastDim: settings.ContrastDim, Grid: 7,
		TextDim: 5, ImageDim: 6, AudioDim: 4, Answers: d.answers, Temperature: 1, Findings: d.findings,
	}}
}

// runFakeVQA trains on the fake set by the vqa recipe with overrides and returns the losses and the weights.
func runFakeVQA(t *testing.T, overrides ...string) ([]float64, map[string]tensor.Raw) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w")
	losses, err := fakeVQATo(t, path, overrides...)
	if err != nil {
		t.Fatal(err)
	}
	raw, metadata, err := tensor.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := fusion.ParseConfig(metadata); err != nil || !slices.Equal(c.Answers, []string{"red", "blue", "dog", "zero"}) {
		t.Errorf("config %+v, %v", c, err)
	}
	return losses, raw
}

// fakeVQATo does it and writes the weights to path.
func fakeVQATo(t *testing.T, path string, overrides ...string) (losses []float64, err error) {
	t.Helper()
	r, err := ReadRecipe("vqa", append([]string{"steps=24", "warmup=4", "rate=3e-3", "dim=24", "heads=3", "contrast_dim=8",
		"visual_batch=8", "mixed_batch=8", "film_batch=4", "triple_batch=0"}, overrides...))
	if err != nil {
		t.Fatal(err)
	}
	var s Settings
	var v vqaSettings
	if err := r.Decode(&s, &v); err != nil {
		t.Fatal(err)
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer engine.Close()
	env := Env{Out: path, Log: io.Discard, onStep: func(_ int, loss float64) { losses = append(losses, loss) }}
	return losses, fit(t.Context(), r, s, fakeVQA(v), env, engine)
}

func TestVQAGoesOnFromWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	if _, err := fakeVQATo(t, path, "average=0"); err != nil {
		t.Fatal(err)
	}
	anew, _ := runFakeVQA(t)
	on, _ := runFakeVQA(t, "start="+path)
	if mean(on[:4]) >= 0.9*mean(anew[:4]) {
		t.Errorf("the first losses are %v from trained weights, %v from random ones", on[:4], anew[:4])
	}
	for name, c := range map[string]struct {
		change func(c *fusion.Config)
		want   string
	}{
		"answers":  {func(c *fusion.Config) { c.Answers = []string{"red"} }, "knows the answers [red]"},
		"findings": {func(c *fusion.Config) { c.Findings = c.Findings[:1] }, "knows the findings [Edema]"},
	} {
		config := fakeVQA(vqaSettings{Dim: 24, Heads: 3, Depth: 2, ContrastDim: 8}).config
		c.change(&config)
		other := filepath.Join(t.TempDir(), "other")
		if err := tensor.WriteSafetensors(other, nil, config.Metadata()); err != nil {
			t.Fatal(err)
		}
		if _, err := fakeVQATo(t, filepath.Join(t.TempDir(), "w"), "start="+other); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("other %s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := fakeVQATo(t, filepath.Join(t.TempDir(), "w"), "start=/nowhere"); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("no such file: %v", err)
	}
}

func TestVQARecipe(t *testing.T) {
	want, weights := runFakeVQA(t)
	if first, last := mean(want[:4]), mean(want[20:]); !(last < 0.8*first) {
		t.Errorf("the loss fell from %v to %v only", first, last)
	}
	if again, _ := runFakeVQA(t); !slices.Equal(again, want) {
		t.Error("the same seed gives other losses")
	}
	for name, c := range map[string]struct {
		overrides []string
		tolerance float64 // of every loss, as a share
	}{
		"checkpointing": {[]string{"checkpointing=true"}, 1e-4},
		"bfloat16":      {[]string{"precision=bfloat16"}, 0.03},
	} {
		got, _ := runFakeVQA(t, c.overrides...)
		for i := range want {
			if math.Abs(got[i]-want[i]) > c.tolerance*want[i] {
				t.Errorf("%s: loss %d is %v, want %v", name, i+1, got[i], want[i])
			}
		}
	}
	_, adapted := runFakeVQA(t, "freeze=0.8", "lora_rank=2", "lora_alpha=4")
	if len(adapted) != len(weights) {
		t.Errorf("%d tensors with adapters, %d without", len(adapted), len(weights))
	}
	if aligned, _ := runFakeVQA(t, "alignment=0.5"); aligned[0] <= want[0] {
		t.Errorf("the first loss is %v with the alignment loss, %v without", aligned[0], want[0])
	}
}
