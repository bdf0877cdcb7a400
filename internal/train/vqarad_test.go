package train

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/dataset"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// runFakeRad goes on from the fake fusion with questions that its pictures answer, of which one answer is new, and
// returns the losses and the weights.
func runFakeRad(t *testing.T, overrides ...string) ([]float64, map[string]tensor.Raw) {
	t.Helper()
	_, start := runFakeVQA(t)
	r, err := ReadRecipe("vqa-rad", append([]string{"epochs=30", "warmup=4", "rate=1e-2", "batch=8", "tokens=0.1", "blind=0", "lora_rank=2", "lora_alpha=4", "patience=0"}, overrides...))
	if err != nil {
		t.Fatal(err)
	}
	var s Settings
	task := &radTask{start: start}
	if err := r.Decode(&s, &task.settings); err != nil {
		t.Fatal(err)
	}
	fake := fakeVQA(vqaSettings{Dim: 24, Heads: 3, Depth: 2, ContrastDim: 8})
	task.config = fake.config
	task.config.Answers = append(slices.Clone(fake.config.Answers), "axial")
	task.data = &radData{text: fake.data.text, image: fake.data.image}
	for i := range 8 {
		q := radQuestion{text: i % 3, images: []int{i, 8 + i}, answer: 3 + i%2, closed: i%2 == 0}
		task.data.train, task.data.val = append(task.data.train, q), append(task.data.val, q)
	}
	task.data.val = append(task.data.val, radQuestion{images: []int{0}, answer: -1}) // nobody can know
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer engine.Close()
	var losses []float64
	env := Env{Out: filepath.Join(t.TempDir(), "w"), Log: io.Discard, onStep: func(_ int, loss float64) { losses = append(losses, loss) }}
	if err := fit(t.Context(), r, s, task, env, engine); err != nil {
		t.Fatal(err)
	}
	raw, metadata, err := tensor.ReadSafetensors(env.Out)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := fusion.ParseConfig(metadata); err != nil || len(c.Answers) != 5 || c.Answers[4] != "axial" {
		t.Errorf("config %+v, %v", c, err)
	}
	return losses, raw
}

func TestVQARADRecipe(t *testing.T) {
	for name, overrides := range map[string][]string{"adapters": nil, "everything": {"freeze=0", "lora_rank=0", "rate=3e-3"}} {
		losses, raw := runFakeRad(t, overrides...)
		if first, last := mean(losses[:4]), mean(losses[len(losses)-4:]); !(last < 0.8*first) {
			t.Errorf("%s: the loss fell from %v to %v only", name, first, last)
		}
		if shape := raw["answer.weight"].Shape; !slices.Equal(shape, []int64{5, 24}) {
			t.Errorf("%s: answers of shape %v, want 5 of 24", name, shape)
		}
		if again, _ := runFakeRad(t, overrides...); !slices.Equal(again, losses) {
			t.Errorf("%s: the same seed gives other losses", name)
		}
	}
}

// TestWidenAnswers keeps what is known and in its order, and never looks at the test.
func TestWidenAnswers(t *testing.T) {
	var questions []dataset.RadQuestion
	for _, q := range []dataset.RadQuestion{
		{Answer: "axial", Split: "train", Official: "train"}, {Answer: "rare", Split: "train", Official: "train"},
		{Answer: "secret", Split: "test", Official: "train"}, {Answer: "blue", Split: "train", Official: "test"}, {Answer: "fat", Split: "val", Official: "train"},
	} {
		n := minAnswers
		if q.Answer == "rare" {
			n--
		}
		for range n {
			questions = append(questions, q)
		}
	}
	for split, want := range map[string]string{"image": "blue yes axial no", "official": "blue yes axial no secret"} {
		if got := strings.Join(widenAnswers([]string{"blue", "yes"}, questions, split), " "); got != want {
			t.Errorf("%s: %s, want %s", split, got, want)
		}
	}
}

func TestVQARADRefuses(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	for override, want := range map[string]string{
		"batch=0":       "batch = 0",
		"tokens=1":      "tokens = 1",
		"split=patient": `split = "patient"`,
	} {
		r, err := ReadRecipe("vqa-rad", []string{override})
		if err != nil {
			t.Fatal(err)
		}
		if err := Train(t.Context(), r, Env{Data: data, Log: io.Discard}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", override, err, want)
		}
	}
	if data == "" {
		t.Skip("the rest needs the data folder that CONSILIUM_DATA names")
	}
	r, err := ReadRecipe("vqa-rad", []string{"start=nowhere.safetensors"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Train(t.Context(), r, Env{Data: data, Log: io.Discard}); err == nil || !strings.Contains(err.Error(), "nowhere.safetensors") {
		t.Errorf("a missing start: %v", err)
	}
}

func TestVaryRad(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 600, 300))); err != nil {
		t.Fatal(err)
	}
	varied, err := varyRad(b.Bytes(), rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(varied))
	if err != nil || config.Width > variedSide*11/10 || config.Width < variedSide*3/4 || config.Height >= config.Width {
		t.Errorf("%+v, %v", config, err)
	}
	if _, err := varyRad([]byte("none"), rand.New(rand.NewPCG(1, 1))); err == nil {
		t.Error("no picture was varied")
	}
}
