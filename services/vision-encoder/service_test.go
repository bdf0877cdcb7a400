package visionencoder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

const (
	// minCosine and tolerance compare vectors made from file bytes with those of Pillow and PyTorch; tolerance is the
	// greatest difference relative to the greatest value of the vector. JPEG decoders and resizers round differently.
	minCosine = 0.9995
	tolerance = 0.03
	// noise is how far the same picture may differ from call to call, relative to the greatest value.
	noise = 1e-5
)

func start(t testing.TB, cfg Config) *Service {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func encode(t testing.TB, s *Service, images ...[]byte) []*analysis.Features {
	t.Helper()
	features, err := s.EncodeImage(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	if len(features) != len(images) {
		t.Fatalf("%d features of %d pictures", len(features), len(images))
	}
	for i, f := range features {
		if err := f.Check(); err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		if len(f.Vector) != 1280 || f.TokenCount != 49 || f.TokenDim != 1280 || f.Rows != 7 || f.Cols != 7 || f.Model != s.Digest() {
			t.Fatalf("picture %d: vector of %d, %d tokens of %d, grid %d x %d, model %s", i, len(f.Vector), f.TokenCount, f.TokenDim, f.Rows, f.Cols, f.Model)
		}
	}
	return features
}

// files returns the pictures of testdata/make_golden.py.
func files(t testing.TB) (names []string, contents [][]byte) {
	t.Helper()
	vqa, err := weights.Path("easy-vqa")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 8 {
		names = append(names, filepath.Join(vqa, "data", "test", "images", strconv.Itoa(n)+".png"))
	}
	radiographs, err := weights.Path("pneumonia-val")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(radiographs, "*.jpeg"))
	if err != nil || len(found) < 12 {
		t.Fatalf("%d radiographs in %s: %v", len(found), radiographs, err)
	}
	slices.Sort(found)
	names = append(names, found[:12]...)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, b)
	}
	return names, contents
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// distance returns the greatest difference, relative to the greatest value of want.
func distance(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, scale float64
	for i := range want {
		diff = max(diff, math.Abs(float64(got[i]-want[i])))
		scale = max(scale, math.Abs(float64(want[i])))
	}
	return diff / scale
}

func TestFilesEqualPillowAndPyTorch(t *testing.T) {
	s := start(t, Config{Threads: 1})
	raw, _, err := tensor.ReadSafetensors(filepath.Join("testdata", "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	names, contents := files(t)
	least, worst := 1.0, 0.0
	for i, f := range encode(t, s, contents...) {
		want := raw["vectors"].Values[i*1280:][:1280]
		c, d := tensor.Cosine(f.Vector, want), distance(f.Vector, want)
		least, worst = min(least, c), max(worst, d)
		if !(c >= minCosine) || !(d <= tolerance) {
			t.Errorf("%s: cosine %.6f and relative difference %.3g, want at least %v and at most %v", filepath.Base(names[i]), c, d, minCosine, tolerance)
		}
		if len(f.Notes) != 1 || f.Notes[0].Kind != "resized" || !strings.Contains(f.Notes[0].Detail, "224 x 224") {
			t.Errorf("%s: notes %v", filepath.Base(names[i]), f.Notes)
		}
		var mean [1280]float32
		for j, v := range f.Tokens {
			mean[j%1280] += v / 49
		}
		if d := distance(mean[:], f.Vector); !(d <= noise) {
			t.Errorf("%s: the grid's mean differs from the vector by %.2g", filepath.Base(names[i]), d)
		}
	}
	t.Logf("least cosine %.7f, greatest relative difference %.3g", least, worst)
}

func TestProbe(t *testing.T) {
	s := start(t, Config{Threads: 1})
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := encode(t, s, probePicture)[0]
	if d := distance(f.Vector, s.probe); !(d <= 1e-4) {
		t.Errorf("a picture of the net's own size differs from PyTorch's by %.2g", d)
	}
	if f.Notes != nil {
		t.Errorf("it has the notes %v", f.Notes)
	}
	s.probe = slices.Clone(s.probe)
	slices.Sort(s.probe)
	if err := s.Probe(t.Context()); err == nil {
		t.Error("another vector passes")
	}
}

func TestConcurrentEqualsAlone(t *testing.T) {
	s := start(t, Config{Threads: 2})
	_, contents := files(t)
	contents = contents[4:12]
	alone := make([]*analysis.Features, len(contents))
	for i, b := range contents {
		alone[i] = encode(t, s, b)[0]
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			order := append(slices.Clone(contents[g:]), contents[:g]...)
			features, err := s.EncodeImage(t.Context(), order)
			if err != nil {
				t.Error(err)
				return
			}
			for i, f := range features {
				want := alone[(i+g)%len(contents)]
				if d := max(distance(f.Vector, want.Vector), distance(f.Tokens, want.Tokens)); !(d <= noise) {
					t.Errorf("goroutine %d, picture %d differs by %.2g", g, i, d)
				}
			}
		})
	}
	wg.Wait()
}

func TestNotes(t *testing.T) {
	s := start(t, Config{Threads: 1})
	grey := image.NewGray16(image.Rect(0, 0, 300, 200))
	for i := range 300 * 200 {
		grey.SetGray16(i%300, i/300, color.Gray16{Y: uint16(i % 4096)})
	}
	var kinds []string
	for _, n := range encode(t, s, encodePNG(t, grey))[0].Notes {
		kinds = append(kinds, n.Kind+" "+n.Detail)
	}
	want := []string{
		"converted 16-bit grey: the values 0 to 4095 mapped to 8 bits",
		"resized from 300 x 200 to 224 x 224 pixels, which changes its proportions",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("notes %q, want %q", kinds, want)
	}
}

func TestBadPictures(t *testing.T) {
	s := start(t, Config{Threads: 1})
	good := encodePNG(t, image.NewGray(image.Rect(0, 0, 64, 64)))
	damaged := slices.Clone(good)
	damaged[len(damaged)-20] ^= 0xff // in the checksum or the data of the pixels
	for name, c := range map[string]struct {
		images [][]byte
		code   analysis.Code
		field  string
	}{
		"empty":    {[][]byte{{}}, analysis.InvalidArgument, "image[0]"},
		"gif":      {[][]byte{good, []byte("GIF89a\xff\xff\xff\xff")}, analysis.UnsupportedMedia, "image[1]"},
		"cut off":  {[][]byte{good[:len(good)/2]}, analysis.InvalidArgument, "image[0]"},
		"damaged":  {[][]byte{good, good, damaged}, analysis.InvalidArgument, "image[2]"},
		"too many": {make([][]byte, MaxImages+1), analysis.TooLarge, "image"},
	} {
		t.Run(name, func(t *testing.T) {
			features, err := s.EncodeImage(t.Context(), c.images)
			var e *analysis.Error
			if features != nil || !errors.As(err, &e) || e.Code != c.code || e.Field != c.field {
				t.Errorf("got %v, want %s of %s", err, c.code, c.field)
			}
		})
	}
	encode(t, s, good)
	if features, err := s.EncodeImage(t.Context(), nil); err != nil || len(features) != 0 {
		t.Errorf("no picture: %v, %v", features, err)
	}
}

func TestCancelAndClose(t *testing.T) {
	s := start(t, Config{Threads: 1})
	good := encodePNG(t, image.NewGray(image.Rect(0, 0, 64, 64)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.EncodeImage(ctx, [][]byte{good}); analysis.CodeOf(err) != analysis.Canceled {
		t.Errorf("a canceled call gave %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := s.EncodeImage(t.Context(), [][]byte{good}); err != nil && analysis.CodeOf(err) != analysis.Unavailable {
				t.Errorf("a call beside Close gave %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.EncodeImage(t.Context(), [][]byte{good}); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("a call after Close gave %v", err)
	}
	if err := s.Probe(t.Context()); err == nil {
		t.Error("the probe passes after Close")
	}
}

func TestNewRefusesAnUnknownDevice(t *testing.T) {
	if _, err := New(Config{Device: "tpu"}); err == nil || !strings.Contains(err.Error(), "tpu") {
		t.Errorf("got %v", err)
	}
}

// resident returns the process's resident memory in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("resident memory is read from /proc, which this system lacks")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestMemoryStaysFlat(t *testing.T) {
	s := start(t, Config{Threads: 1})
	_, contents := files(t)
	rounds := func(n int) {
		for i := range n {
			encode(t, s, contents[i%len(contents)])
		}
		debug.FreeOSMemory() // what Go holds in reserve is no leak
	}
	rounds(40) // the allocators' pools and Go's heap reach their size
	before := resident(t)
	rounds(200)
	grown := resident(t) - before
	t.Logf("200 pictures left %d bytes of resident memory, of %d", grown, before)
	if grown > 8<<20 {
		t.Errorf("200 pictures left %d bytes of resident memory, want at most %d", grown, 8<<20)
	}
}

func BenchmarkEncodeImage(b *testing.B) {
	_, contents := files(b)
	for _, threads := range []int{1, 2} {
		for name, file := range map[string][]byte{"png-64": contents[0], "jpeg-1272x1040": contents[9]} {
			b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
				s := start(b, Config{Threads: threads})
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if _, err := s.EncodeImage(context.Background(), [][]byte{file}); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
