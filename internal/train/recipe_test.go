package train

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecipesAreComplete runs every recipe that comes with the program as far as its settings.
func TestRecipesAreComplete(t *testing.T) {
	if len(RecipeNames()) < 2 {
		t.Fatalf("recipes %v", RecipeNames())
	}
	for _, name := range RecipeNames() {
		r, err := ReadRecipe(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := tasks[r.values["task"]]; !ok {
			t.Errorf("%s: no task %q", name, r.values["task"])
		}
		r.values["colour"] = "blue"
		err = Train(t.Context(), r, Env{Log: io.Discard})
		if err == nil || !strings.Contains(err.Error(), `unknown key "colour"; known are`) || !strings.Contains(err.Error(), "lora_rank") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := ReadRecipe("vqa", []string{"steps=12", " rate = 5e-4 "})
	if err != nil {
		t.Fatal(err)
	}
	var s Settings
	var v vqaSettings
	if err := r.Decode(&s, &v); err != nil || s.Steps != 12 || s.Rate != 5e-4 || s.Seed != 1 || v.VisualBatch != 32 || v.FilmTokens != 0.5 {
		t.Errorf("%+v %+v %v", s, v, err)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
}

func TestRecipeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.recipe")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("# my own\ntask = audio\nepochs = 3 # few\n")
	r, err := ReadRecipe(path, []string{"seed=9"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "mine" || r.values["epochs"] != "3" || r.values["seed"] != "9" || r.values["smoothing"] != "0.1" {
		t.Errorf("%+v", r)
	}
	for text, want := range map[string]string{
		"task = dance":             `no recipe "dance"; there are audio, `,
		"task = audio\nepochs 3":   `line 2: "epochs 3"`,
		"task = audio\ntask = vqa": `line 2`,
		"":                         `no recipe ""`,
	} {
		write(text)
		if _, err := ReadRecipe(path, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := ReadRecipe(filepath.Join(t.TempDir(), "none.recipe"), nil); err == nil || !strings.Contains(err.Error(), "none.recipe") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadRecipe("vqa", []string{"steps"}); err == nil || !strings.Contains(err.Error(), `"steps", want key=value`) {
		t.Errorf("got %v", err)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for override, want := range map[string]string{
		"steps=-1":                 `steps = "-1": want a whole number`,
		"steps=0":                  "steps = 0 and epochs = 0",
		"epochs=2":                 "steps = 48 and epochs = 2",
		"rate=fast":                `rate = "fast": want a number`,
		"rate=NaN":                 `rate = "NaN": want a number`,
		"rate=0":                   "rate = 0",
		"keep=all":                 `keep = "all": want best or last`,
		"freeze=1":                 "freeze = 1",
		"lora_rank=4":              "lora_rank = 4, freeze = 0",
		"precision=int8":           `precision = "int8": want float32 or bfloat16`,
		"checkpointing=much":       `checkpointing = "much": want true or false`,
		"checkpoint=0":             "checkpoint = 0",
		"clip=0":                   "clip = 0",
		"dropuot=0.1":              `unknown key "dropuot"; known are average, bad, batch`,
		"lora_rank=99\nfreeze=0.5": "lora_rank = 99: none of the",
	} {
		err := runTiny(t.Context(), tinyRecipe(t, strings.Split(override, "\n")...), Env{Out: filepath.Join(t.TempDir(), "w"), Log: io.Discard}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", override, err, want)
		}
	}
	r := tinyRecipe(t)
	delete(r.values, "rate")
	if err := runTiny(t.Context(), r, Env{}, nil); err == nil || !strings.Contains(err.Error(), "rate is not set") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingDataSetIsNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "nowhere")
	for _, name := range RecipeNames() {
		r, err := ReadRecipe(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		env := Env{Data: empty, EasyVQA: empty, Cache: t.TempDir(), Out: filepath.Join(t.TempDir(), "w"), Log: io.Discard,
			Encoders: func() (Encoders, func(), error) { return Encoders{}, func() {}, nil }}
		if err := Train(context.Background(), r, env); err == nil || !strings.Contains(err.Error(), empty) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
