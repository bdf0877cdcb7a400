package eval

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/mask"
)

// Greys of a schematic film, by what stands there.
var greys = map[string]uint8{analysis.RightLung: 50, analysis.LeftLung: 60, analysis.Heart: 200, analysis.GroundGlass: 100, analysis.Consolidation: 120}

// reader reads the masks off the greys of a schematic film.
type reader struct{ asked map[[32]byte]int }

func (r reader) Segment(_ context.Context, images [][]byte) ([]*analysis.Segmentation, error) {
	var made []*analysis.Segmentation
	for _, b := range images {
		r.asked[sha256.Sum256(b)]++
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		grey := img.(*image.Gray)
		size := grey.Bounds().Size()
		s := &analysis.Segmentation{Rows: size.Y, Cols: size.X, Model: "reader"}
		for _, name := range analysis.Structures {
			var values []uint8
			switch name {
			case analysis.Lesion:
				values = []uint8{greys[analysis.GroundGlass], greys[analysis.Consolidation]}
			case analysis.RightLung: // lesions are of the right lung here
				values = []uint8{greys[name], greys[analysis.GroundGlass], greys[analysis.Consolidation]}
			default:
				values = []uint8{greys[name]}
			}
			m := mask.FromGray(grey, values...)
			confidence := 0.0
			if m.Area() > 0 {
				confidence = 0.99
			}
			s.Masks = append(s.Masks, analysis.Mask{Structure: name, Runs: m.Runs(), Confidence: confidence})
		}
		made = append(made, s)
	}
	return made, nil
}

// schematicFilms writes a folder of films: 4 to train, 1 to validate, 3 to test, and a lateral one.
func schematicFilms(t *testing.T) (folder string, digests map[string]string) {
	t.Helper()
	folder, digests = t.TempDir(), map[string]string{}
	table := "id,file,patient_id,split,view,source_dataset,labels,mask_lung,mask_anatomy,mask_lesion\n"
	write := func(path string, at func(x, y int) uint8) string {
		img := image.NewGray(image.Rect(0, 0, 60, 40))
		for y := range 40 {
			for x := range 60 {
				img.SetGray(x, y, color.Gray{Y: at(x, y)})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		full := filepath.Join(folder, "cxr", path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b.Bytes())
		return hex.EncodeToString(sum[:])
	}
	for i, split := range []string{"train", "train", "train", "train", "val", "test", "test", "test", "test"} {
		id, move := fmt.Sprintf("f%d", i), i%4
		box := func(x, y, left, top, right, bottom int) bool {
			return x >= left+move && x < right+move && y >= top && y < bottom
		}
		view, label := "PA", "Pneumonia"
		if i == 8 {
			view = "L"
		}
		if i%2 == 0 {
			label = "No Finding"
		}
		kind := []string{analysis.GroundGlass, analysis.Consolidation}[i%2]
		structure := func(x, y int) string {
			switch {
			case view == "L":
				return ""
			case label == "Pneumonia" && box(x, y, 6, 20, 12, 30):
				return kind
			case box(x, y, 5, 5, 20, 35):
				return analysis.RightLung
			case box(x, y, 35, 5, 50, 35):
				return analysis.LeftLung
			case box(x, y, 22, 20, 35, 32):
				return analysis.Heart
			}
			return ""
		}
		digests[id] = write("images/"+id+".png", func(x, y int) uint8 { return max(greys[structure(x, y)], uint8(i)) })
		row := []string{id, "images/" + id + ".png", fmt.Sprintf("p%d", i), split, view, "NIH", label, "", "", ""}
		if view != "L" {
			row[7], row[8] = "lung/"+id+".png", "anatomy/"+id+".png"
			value := func(on bool, v uint8) uint8 {
				if on {
					return v
				}
				return 0
			}
			write(row[7], func(x, y int) uint8 {
				s := structure(x, y)
				return value(s != "" && s != analysis.Heart, 255)
			})
			write(row[8], func(x, y int) uint8 {
				return map[string]uint8{analysis.Heart: dataset.AnatomyHeart, analysis.LeftLung: dataset.AnatomyLeftLung,
					analysis.RightLung: dataset.AnatomyRightLung, kind: dataset.AnatomyRightLung}[structure(x, y)]
			})
			if label == "Pneumonia" {
				row[9] = "lesion/" + id + ".png"
				write(row[9], func(x, y int) uint8 {
					return map[string]uint8{analysis.GroundGlass: dataset.LesionGroundGlass, analysis.Consolidation: dataset.LesionConsolidation}[structure(x, y)]
				})
			}
		}
		table += strings.Join(row, ",") + "\n"
	}
	if err := os.WriteFile(filepath.Join(folder, "cxr", "metadata.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, digests
}

func TestSegmentationOfSchematicFilms(t *testing.T) {
	folder, digests := schematicFilms(t)
	shipped, fold := reader{map[[32]byte]int{}}, reader{map[[32]byte]int{}}
	env := Env{Data: folder, Out: io.Discard, Models: Models{Segmenter: shipped, Folds: []Fold{{LeftOut: []string{digests["f1"], digests["f3"]}, Segmenter: fold}}}}
	figures, err := segmentation(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Figure{}
	for _, f := range figures {
		by[f.Metric] = f
	}
	for metric, want := range map[string]struct {
		value float64
		n     int
	}{
		"dice-lung": {1, 3}, "dice-lung-median": {1, 3}, "dice-lung-min": {1, 3}, "dice-annotators": {1, 8}, "dice-heart": {1, 4}, "cardiothoracic-ratio-error": {0, 4},
		"dice-lesion": {1, 4}, "dice-consolidation": {1, 4}, "frontal-measured": {1, 3}, "lateral-refused": {1, 1}, "lesion-share-no-finding": {0, 1}, "lesion-usual-no-finding": {1, 1}, "lesion-usual-pneumonia": {1, 2},
		"auroc-pneumonia-by-lesion-share": {1, 3},
	} {
		if f := by[metric]; f.Value < want.value-1e-9 || f.Value > want.value+1e-9 || f.N != want.n {
			t.Errorf("%s is %v of %d cases, want %v of %d", metric, f.Value, f.N, want.value, want.n)
		}
	}
	if f := by["dice-lung"]; !(f.Floor > 0.5 && f.Floor < 0.99) || f.Low != 1 || f.High != 1 {
		t.Errorf("the floor of dice-lung is %v, the interval %v to %v", f.Floor, f.Low, f.High)
	}
	if f := by["dice-lung-shuffled-image"]; !(f.Value > 0.5 && f.Value < 0.99) || f.N != 3 {
		t.Errorf("of shuffled images it is %v of %d", f.Value, f.N)
	}
	for id, digest := range digests {
		raw, err := hex.DecodeString(digest)
		if err != nil {
			t.Fatal(err)
		}
		inFold := id == "f1" || id == "f3"
		if (fold.asked[[32]byte(raw)] > 0) != inFold {
			t.Errorf("the fold was asked about %s %d times", id, fold.asked[[32]byte(raw)])
		}
		if inFold && shipped.asked[[32]byte(raw)] > 0 {
			t.Errorf("what has seen %s was asked about it", id)
		}
	}

	env.Data = t.TempDir()
	if _, err := segmentation(t.Context(), env); err == nil {
		t.Error("a folder without a table is measured")
	}
	env.Data = ""
	if _, err := segmentation(t.Context(), env); err == nil {
		t.Error("no folder is measured")
	}
}

func TestPatientIntervalsAreWiderThanThoseOfFilms(t *testing.T) {
	var values []float64
	var one, each []string
	for i := range 40 {
		values = append(values, float64(i/10))
		one, each = append(one, fmt.Sprint(i/10)), append(each, fmt.Sprint(i))
	}
	wideLow, wideHigh := patientInterval(values, one)
	low, high := patientInterval(values, each)
	if !(wideLow < low && high < wideHigh && low < 1.5 && high > 1.5) {
		t.Errorf("by patient %v to %v, by film %v to %v", wideLow, wideHigh, low, high)
	}
	if low, high := patientInterval([]float64{1, 2}, []string{"a", "a"}); low != 0 || high != 0 {
		t.Errorf("one patient has the interval %v to %v", low, high)
	}
}
