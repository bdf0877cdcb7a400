package triples

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/media"
	"consilium/internal/weights"
)

func pictures(t *testing.T) []Picture {
	t.Helper()
	path, err := weights.Path("digits.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadPictures(path)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadPictures(t *testing.T) {
	all := pictures(t)
	counts, digits := map[string]int{}, map[int]bool{}
	for _, p := range all {
		counts[p.Split]++
		if p.Split == "test" {
			digits[p.Digit] = true
		}
	}
	if fmt.Sprint(counts) != "map[test:360 train:1257 val:180]" || len(digits) != 10 {
		t.Errorf("%v, %d digits in the test split", counts, len(digits))
	}
	if all[0].Digit != 0 || all[0].Ink[2] != 5.0/16 {
		t.Errorf("the first picture shows %d, cell 2 holds %v", all[0].Digit, all[0].Ink[2])
	}
}

func TestReadPicturesRefuses(t *testing.T) {
	row := strings.Repeat("0,", 64)
	for content, want := range map[string]string{
		"":                       "no rows",
		"1,2,3\n":                "wrong number of fields",
		row + "10\n":             "column 64",
		"17," + row[2:] + "1\n":  "column 0",
		"NaN," + row[2:] + "1\n": "column 0",
	} {
		path := filepath.Join(t.TempDir(), "digits.csv.gz")
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPictures(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", content, err, want)
		}
	}
	if _, err := ReadPictures(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file was read")
	}
}

// TestDraw looks for the ink where the cells hold it, and for paper around it.
func TestDraw(t *testing.T) {
	var p Picture
	p.Ink[2*side+5] = 1
	b, err := p.PNG()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	const cell = drawn / (side + 2.0)
	for _, c := range []struct {
		col, row float64
		dark     bool
	}{{6.5, 3.5, true}, {4.5, 3.5, false}, {6.5, 5.5, false}, {0.2, 0.2, false}} {
		grey, _, _, _ := img.At(int(c.col*cell), int(c.row*cell)).RGBA()
		if dark := grey < 0x4000; dark != c.dark {
			t.Errorf("at column %v, row %v the picture has %d", c.col, c.row, grey)
		}
	}
	varied, err := p.Vary(rand.New(rand.NewPCG(1, 1))).PNG()
	if err != nil || bytes.Equal(varied, b) {
		t.Errorf("a varied picture equals the plain one (%v)", err)
	}
}

func TestWAVIsReadBack(t *testing.T) {
	r := tone()
	got, err := media.DecodeWAV(r.WAV(), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Samples) != len(r.Samples) {
		t.Fatalf("%d samples, want %d", len(got.Samples), len(r.Samples))
	}
	for i, v := range got.Samples {
		if math.Abs(float64(v-r.Samples[i])) > 1e-4 {
			t.Fatalf("sample %d is %v, want %v", i, v, r.Samples[i])
		}
	}
}

// tone is half a second of 440 Hz.
func tone() Recording {
	r := Recording{Samples: make([]float32, media.SoundRate/2), Digit: 7}
	for i := range r.Samples {
		r.Samples[i] = float32(0.6 * math.Sin(2*math.Pi*440*float64(i)/media.SoundRate))
	}
	return r
}

// TestCorruptionGrows measures what each corruption takes away, over many draws: more at each strength.
func TestCorruptionGrows(t *testing.T) {
	picture, sound, word := pictures(t)[7], tone(), "seven"
	noisyPower := func(r Recording) float64 { // of what is left after taking out the tone, relative to the tone
		var product, own, all float64
		for i, v := range r.Samples {
			s := 0.6 * math.Sin(2*math.Pi*440*float64(i)/media.SoundRate)
			product, own, all = product+s*float64(v), own+s*s, all+float64(v)*float64(v)
		}
		kept := product * product / own
		return (all - kept) / kept
	}
	measures := map[string]func(rng *rand.Rand, kind Kind, s int) float64{
		"word": func(rng *rand.Rand, kind Kind, s int) float64 {
			got := CorruptWord(rng, word, kind, s)
			right := 0
			for i := range min(len(got), len(word)) {
				if got[i] == word[i] || got[len(got)-1-i] == word[len(word)-1-i] {
					right++
				}
			}
			return float64(len(word) - right)
		},
		"picture": func(rng *rand.Rand, kind Kind, s int) float64 {
			got, sum := picture.Corrupt(rng, kind, s), 0.0
			for i, v := range got.Ink {
				sum += (v - picture.Ink[i]) * (v - picture.Ink[i])
			}
			return sum
		},
		"sound": func(rng *rand.Rand, kind Kind, s int) float64 {
			got := sound.Corrupt(rng, kind, s)
			if kind == Noise {
				return noisyPower(got)
			}
			loud := 0
			for _, v := range got.Samples {
				if v != 0 {
					loud++
				}
			}
			return float64(len(sound.Samples) - loud)
		},
	}
	for name, measure := range measures {
		for kind := range Kinds {
			before := 0.0
			for s := 1; s <= Strengths; s++ {
				rng, sum := rand.New(rand.NewPCG(1, uint64(s))), 0.0
				for range 200 {
					sum += measure(rng, kind, s)
				}
				few := name == "word" && kind == Cut && sum == before // a word has few letters to cut
				if sum <= before && !few {
					t.Errorf("%s, kind %d: strength %d takes away %v, strength %d took %v", name, kind, s, sum, s-1, before)
				}
				before = sum
			}
		}
	}
	if picture != pictures(t)[7] {
		t.Error("the picture itself was changed")
	}
	if got := CorruptWord(rand.New(rand.NewPCG(1, 1)), word, Blank, Strengths); got != "" {
		t.Errorf("of a blanked word %q is left", got)
	}
	blank := picture.Corrupt(rand.New(rand.NewPCG(1, 1)), Blank, Strengths)
	for i, v := range blank.Ink {
		if v != grey {
			t.Fatalf("cell %d of a blank picture holds %v", i, v)
		}
	}
}

func TestTriples(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	recordings := []Recording{tone(), {Samples: make([]float32, 100), Digit: 2}}
	made, err := Make(rng, pictures(t), recordings, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 6 || made[0].Word != "seven" || made[0].Picture.Digit != 7 || made[5].Word != "two" {
		t.Fatalf("%d triples, the first %s and %d, the last %s", len(made), made[0].Word, made[0].Picture.Digit, made[5].Word)
	}
	seen := [Parts]int{}
	for range 200 {
		got, n := made[0].Corrupt(rng, 5), 0
		for part, c := range got.Corrupted {
			if c {
				n++
				seen[part]++
			}
		}
		if n != 2 {
			t.Fatalf("%d parts are corrupted", n)
		}
		if !got.Corrupted[Image] && got.Picture != made[0].Picture || !got.Corrupted[Text] && got.Word != "seven" {
			t.Fatal("a part that counts as whole was changed")
		}
	}
	for part, n := range seen {
		if n < 100 || n > 170 {
			t.Errorf("part %d was corrupted %d times of 200, want about 133", part, n)
		}
	}
	got := made[0].Mislead(rng, made, 3)
	if got.Word != "two" || got.Picture.Digit != 2 || got.Sound.Digit != 2 || got.Digit != 7 {
		t.Errorf("misled to %s, %d and %d", got.Word, got.Picture.Digit, got.Sound.Digit)
	}
	if _, err := Make(rng, nil, recordings, 1); err == nil || !strings.Contains(err.Error(), "no picture shows a 7") {
		t.Errorf("without pictures: %v", err)
	}
}
