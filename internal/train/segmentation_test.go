package train

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/dataset"
	"consilium/internal/mask"
	"consilium/internal/tensor"
)

// writeGrey writes a PNG of 64 x 48 pixels.
func writeGrey(t *testing.T, path string, at func(x, y int) uint8) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 64, 48))
	for y := range 48 {
		for x := range 64 {
			img.SetGray(x, y, color.Gray{Y: at(x, y)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	writeFileIn(t, path, b.Bytes())
}

// filmFolder holds schematic films: two dark lungs, a bright heart between them, a grey lesion on every second one. What must not
// be opened is no picture at all.
func filmFolder(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	cxr := filepath.Join(data, "cxr")
	table := "id,file,patient_id,split,view,labels,mask_lung,mask_anatomy,mask_lesion,source_dataset,age,sex\n"
	inside := func(x, y, cx, cy, rx, ry int) bool {
		dx, dy := float64(x-cx)/float64(rx), float64(y-cy)/float64(ry)
		return dx*dx+dy*dy < 1
	}
	for i := range 12 {
		split, view := "train", "PA"
		switch i {
		case 8:
			view = "L"
		case 9:
			split = "val"
		case 10, 11:
			split = "test"
		}
		id, shift := fmt.Sprintf("f%d", i), i%3
		lung := func(x, y int) bool { return inside(x, y, 18+shift, 24, 10, 16) || inside(x, y, 46+shift, 24, 10, 16) }
		heart := func(x, y int) bool { return inside(x, y, 32+shift, 28, 8, 9) && !lung(x, y) }
		lesion := func(x, y int) bool { return inside(x, y, 18+shift, 30, 5, 5) }
		lateral, film := view == "L", filepath.Join(cxr, "images", id+".png")
		if split == "test" {
			writeFileIn(t, film, []byte("a test film"))
		} else {
			writeGrey(t, film, func(x, y int) uint8 {
				switch {
				case lateral:
					return 120
				case i%2 == 0 && lesion(x, y):
					return 130
				case lung(x, y):
					return 40
				case heart(x, y):
					return 230
				}
				return 180
			})
		}
		row := []string{id, "images/" + id + ".png", fmt.Sprintf("p%d", i), split, view, "", "", "", "", "NIH", "", ""}
		if i%2 == 1 {
			row[5] = "No Finding"
		}
		if !lateral && i != 7 { // one film has no mask of anything
			row[6], row[7] = "lung/"+id+".png", "anatomy/"+id+".png"
			if i%2 == 0 {
				row[8] = "lesion/" + id + ".png"
			}
			if split == "test" {
				writeFileIn(t, filepath.Join(cxr, row[6]), []byte("a test mask"))
			} else {
				value := func(on bool, v uint8) uint8 {
					if on {
						return v
					}
					return 0
				}
				writeGrey(t, filepath.Join(cxr, row[6]), func(x, y int) uint8 { return value(lung(x, y), 255) })
				writeGrey(t, filepath.Join(cxr, row[7]), func(x, y int) uint8 {
					if heart(x, y) {
						return dataset.AnatomyHeart
					}
					return value(lung(x, y), dataset.AnatomyLeftLung)
				})
				writeGrey(t, filepath.Join(cxr, "lesion", id+".png"), func(x, y int) uint8 {
					return value(lesion(x, y), dataset.LesionGroundGlass+uint8(i/2%2))
				})
			}
		}
		table += strings.Join(row, ",") + "\n"
	}
	writeFileIn(t, filepath.Join(cxr, "metadata.csv"), []byte(table))
	return data
}

// fitSmall runs a recipe on small films and returns what it logged.
func fitSmall(t *testing.T, recipe, data, out string, set ...string) string {
	t.Helper()
	r, err := ReadRecipe(recipe, append([]string{"side=64", "batch=3", "warmup=5", "validate=20", "average=0"}, set...))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if err := Train(t.Context(), r, Env{Data: data, Out: out, Device: tensor.CPU, Threads: 1, Log: &log}); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

func TestLungsAreLearntFromAFewFilmsAndLesionsOnTheirEncoder(t *testing.T) {
	data, out := filmFolder(t), filepath.Join(t.TempDir(), "lungs.safetensors")
	log := fitSmall(t, "lungs", data, out, "steps=60")
	if !strings.Contains(log, "14 training films, 1 with nothing to find, 1 validation films") {
		t.Errorf("the log says %s", log)
	}
	var lungs, heart, rest float64
	last := log[strings.LastIndex(log, "Dice of the lungs"):]
	if _, err := fmt.Sscanf(last, "Dice of the lungs %f (median %f", &lungs, &rest); err != nil {
		t.Fatalf("%q: %v", last, err)
	}
	if _, err := fmt.Sscanf(last[strings.Index(last, "of the heart"):], "of the heart %f", &heart); err != nil {
		t.Fatalf("%q: %v", last, err)
	}
	if !(lungs > 0.9) || !(heart > 0.6) {
		t.Errorf("after 60 steps the Dice of the lungs is %v, of the heart %v", lungs, heart)
	}
	raw, metadata, err := tensor.ReadSafetensors(out)
	if err != nil || len(raw) == 0 || !strings.Contains(metadata["config"], `"heart"`) {
		t.Errorf("the weights hold %d tensors and %v: %v", len(raw), metadata, err)
	}

	lesions := filepath.Join(t.TempDir(), "lesions.safetensors")
	log = fitSmall(t, "lesions", data, lesions, "start="+out, "batch=4", "empty=2", "steps=10", "validate=10", "fold=1")
	if !strings.Contains(log, "3 training films, 4 with nothing to find, 1 validation films") || !strings.Contains(log, "Dice of lesion 0.") || !strings.Contains(log, "on 19 of 20 (1 films)") {
		t.Errorf("the log says %s", log)
	}
	raw, metadata, err = tensor.ReadSafetensors(lesions)
	if err != nil || len(metadata[LeftOut]) != 64 || raw["encoder.stem.weight"].Values != nil {
		t.Errorf("the weights hold %d tensors and %v: %v", len(raw), metadata, err)
	}
}

func TestBadSegmentationRecipesAreRefused(t *testing.T) {
	data := filmFolder(t)
	for name, test := range map[string]struct {
		recipe string
		set    []string
		want   string
	}{
		"side":        {"lungs", []string{"side=100"}, "a multiple of 32"},
		"batch":       {"lungs", []string{"batch=0"}, "want a film or more"},
		"all empty":   {"lungs", []string{"batch=2", "empty=2"}, "fewer empty ones"},
		"split":       {"lungs", []string{"validation=test"}, "want held or trained"},
		"large batch": {"lungs", []string{"side=32", "batch=500"}, "too few for a batch"},
		"fold":        {"lungs", []string{"side=32", "fold=1"}, "folds are of films with lesions"},
		"no fold":     {"lesions", []string{"side=32", "fold=9", "start=efficientnet"}, "at most fold 5"},
		"start":       {"lungs", []string{"start=absent.safetensors"}, "absent.safetensors"},
	} {
		r, err := ReadRecipe(test.recipe, test.set)
		if err != nil {
			t.Fatal(err)
		}
		err = Train(t.Context(), r, Env{Data: data, Out: filepath.Join(t.TempDir(), "x"), Device: tensor.CPU, Threads: 1, Log: &strings.Builder{}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "cxr", "lung", "f0.png"), []byte("no mask"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe("lungs", []string{"side=32"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Train(t.Context(), r, Env{Data: data, Out: filepath.Join(t.TempDir(), "x"), Device: tensor.CPU, Threads: 1, Log: &strings.Builder{}}); err == nil || !strings.Contains(err.Error(), "f0.png") {
		t.Errorf("a broken mask: %v", err)
	}
}

func TestClassesCountTheSame(t *testing.T) {
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer engine.Close()
	var got []float32
	err := engine.Do(t.Context(), func(a *tensor.Arena) error {
		v := a.FromFloat32([]float32{1, 2, 7, 3, 8, 7, 5, 6, 7}, 3, 3)
		counts := a.FromFloat32([]float32{1, 0, 0, 1, 0, 0, 1, 1, 0}, 3, 3) // all films, one film, no film
		got = a.Float32s(classMean(a, v, counts))
		return nil
	})
	if want := (3 + 6 + 0) / 3.0; err != nil || len(got) != 1 || math.Abs(float64(got[0])-want) > 1e-4 {
		t.Errorf("the mean over classes is %v, want %v: %v", got, want, err)
	}
}

func TestSharesKeepTheArea(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, side := range []int{32, 64, 96} {
		m := mask.New(48, 80)
		for i := range m.On {
			m.On[i] = rng.IntN(3) == 0
		}
		sum := 0.0
		for _, v := range shares(m, side) {
			sum += float64(v)
		}
		want := float64(m.Area()) / float64(len(m.On))
		if got := sum / float64(side*side); math.Abs(got-want) > 1e-3 {
			t.Errorf("side %d: the share is %.4f, want %.4f", side, got, want)
		}
	}
}

func TestVariantsMoveFilmAndMaskAlike(t *testing.T) {
	const side = 64
	settings := segmentSettings{Side: side, Bend: 1, Mirror: true}
	image, target := make([]float32, side*side), make([]float32, side*side)
	for i := range image {
		if x, y := i%side, i/side; (x-32)*(x-32)+(y-32)*(y-32) < 200 {
			image[i], target[i] = 1, 1
		}
	}
	for seed := range uint64(20) {
		w := newWarp(rand.New(rand.NewPCG(seed, 0)), settings)
		a, b := w.apply(image), w.apply(target)
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("seed %d: pixel %d is %v on the film and %v in the mask", seed, i, a[i], b[i])
			}
		}
		e := variant(rand.New(rand.NewPCG(seed, 0)), segmentExample{image: image, target: [][]float32{target, nil}}, settings)
		again := variant(rand.New(rand.NewPCG(seed, 0)), segmentExample{image: image, target: [][]float32{target, nil}}, settings)
		for i, v := range e.image {
			if v != again.image[i] || math.IsNaN(float64(v)) {
				t.Fatalf("seed %d: pixel %d is %v, then %v", seed, i, v, again.image[i])
			}
		}
		if e.target[1] != nil {
			t.Error("a mask that nobody drew appeared")
		}
	}
}
