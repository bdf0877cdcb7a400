package visionencoder

import (
	"errors"
	"image"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/mask"
)

// segment returns one result a picture, each without contradictions.
func segment(t testing.TB, g *Segmenter, images ...[]byte) []*analysis.Segmentation {
	t.Helper()
	made, err := g.Segment(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != len(images) {
		t.Fatalf("%d results of %d pictures", len(made), len(images))
	}
	for i, s := range made {
		if err := s.Check(); err != nil || s.Model != g.Digest() || len(s.Measurements) != 0 || s.Problem != "" {
			t.Fatalf("picture %d: %+v: %v", i, s, err)
		}
	}
	return made
}

func cells(t testing.TB, s *analysis.Segmentation, structure string) mask.Mask {
	t.Helper()
	m, err := mask.FromRuns(s.Mask(structure).Runs, s.Cols, s.Rows)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The radiographs are of children, whom the nets have never seen; what they are measured on is in docs/results.md.
func TestRadiographsHaveTwoLungs(t *testing.T) {
	g := start(t, Config{Threads: 1}).Segmenter()
	_, contents := files(t)
	whole := 0
	for i, s := range segment(t, g, contents[8:]...) {
		right, left := cells(t, s, analysis.RightLung), cells(t, s, analysis.LeftLung)
		x, _ := right.Centre()
		other, _ := left.Centre()
		if least := len(right.On) / 30; right.Area() > least && left.Area() > least && x < other {
			whole++
		}
		lungs := right.Or(left)
		for _, structure := range []string{analysis.Lesion, analysis.GroundGlass, analysis.Consolidation} {
			if m := cells(t, s, structure); m.And(lungs).Area() != m.Area() {
				t.Errorf("radiograph %d: the %s reaches beyond the lungs", i, structure)
			}
		}
		if len(cells(t, s, analysis.Heart).Components()) > 1 || right.And(left).Area() > 0 {
			t.Errorf("radiograph %d: two hearts, or lungs that overlap", i)
		}
	}
	if whole < 10 {
		t.Errorf("two lungs were found on %d of 12 radiographs", whole)
	}
}

func TestMasksDoNotDependOnCompany(t *testing.T) {
	g := start(t, Config{Threads: 2}).Segmenter()
	_, contents := files(t)
	contents = contents[8:12]
	together := segment(t, g, contents...)
	var group sync.WaitGroup
	for i, content := range contents {
		group.Go(func() {
			alone, err := g.Segment(t.Context(), [][]byte{content})
			if err != nil || !reflect.DeepEqual(alone[0], together[i]) {
				t.Errorf("picture %d has other masks alone: %v", i, err)
			}
		})
	}
	group.Wait()
}

func TestOddPicturesAreSegmented(t *testing.T) {
	g := start(t, Config{Threads: 1}).Segmenter()
	noise := image.NewGray(image.Rect(0, 0, 300, 200))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(i * 7919 >> 3)
	}
	for name, img := range map[string]image.Image{
		"one pixel": image.NewGray(image.Rect(0, 0, 1, 1)), "black": image.NewGray(image.Rect(0, 0, 100, 100)),
		"a line": image.NewGray(image.Rect(0, 0, 2000, 1)), "noise": noise, "colour": image.NewRGBA(image.Rect(0, 0, 30, 40)),
	} {
		s := segment(t, g, encodePNG(t, img))[0]
		if s.Rows != finer*g.side || len(s.Masks) != len(analysis.Structures) {
			t.Errorf("%s: %d masks of %d x %d", name, len(s.Masks), s.Rows, s.Cols)
		}
	}
}

func TestPicturesThatCannotBeSegmented(t *testing.T) {
	s := start(t, Config{Threads: 1})
	g := s.Segmenter()
	good := encodePNG(t, image.NewGray(image.Rect(0, 0, 64, 64)))
	for name, c := range map[string]struct {
		images [][]byte
		code   analysis.Code
		field  string
	}{
		"empty":    {[][]byte{{}}, analysis.InvalidArgument, "image[0]"},
		"gif":      {[][]byte{good, []byte("GIF89a\xff\xff\xff\xff")}, analysis.UnsupportedMedia, "image[1]"},
		"cut off":  {[][]byte{good, good, good[:len(good)/2]}, analysis.InvalidArgument, "image[2]"},
		"too many": {make([][]byte, MaxImages+1), analysis.TooLarge, "image"},
	} {
		made, err := g.Segment(t.Context(), c.images)
		var e *analysis.Error
		if made != nil || !errors.As(err, &e) || e.Code != c.code || e.Field != c.field {
			t.Errorf("%s: got %v, want %s of %s", name, err, c.code, c.field)
		}
	}
	if made, err := g.Segment(t.Context(), nil); err != nil || len(made) != 0 {
		t.Errorf("no picture: %v, %v", made, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Segment(t.Context(), [][]byte{good}); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("after the end: %v", err)
	}
}

func TestSegmenterProbe(t *testing.T) {
	s := start(t, Config{Threads: 1})
	if err := s.Segmenter().Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	folds, err := s.Folds()
	if err != nil || len(folds) == 0 {
		t.Fatalf("%d folds: %v", len(folds), err)
	}
	seen := map[string]bool{}
	for i, fold := range folds {
		if fold.Segmenter.Digest() == s.Segmenter().Digest() || len(fold.LeftOut) == 0 {
			t.Errorf("fold %d is what the platform runs, or leaves nothing out", i)
		}
		for _, digest := range fold.LeftOut {
			if seen[digest] || len(digest) != 64 {
				t.Errorf("fold %d leaves out %q, as another does", i, digest)
			}
			seen[digest] = true
		}
	}
	if err := folds[0].Segmenter.Probe(t.Context()); err == nil { // other weights
		t.Error("a fold passes the probe")
	}
}

func TestWeightsThatDoNotFitAreRefused(t *testing.T) {
	s := start(t, Config{Threads: 1})
	other := slices.Clone(lungWeights)
	for name, file := range map[string][]byte{"nothing": nil, "half": lesionWeights[:len(lesionWeights)/2], "a net of lungs": other} {
		if _, err := newSegmenter(s, file, 1, 1); err == nil || !strings.Contains(err.Error(), "load the segmentation") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
