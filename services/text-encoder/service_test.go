package textencoder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
)

const (
	// minCosine to PyTorch's sentence vector.
	minCosine = 0.99999
	// tolerance of one value: of a token vector to PyTorch's, and of anything to the same in another batch. The
	// values of token vectors reach 6.
	tolerance = 1e-5
	// goldenTokens is how many texts the golden has token vectors of.
	goldenTokens = 12
)

func start(t testing.TB) *Service {
	t.Helper()
	s, err := New(Config{Device: "cpu", Threads: 1})
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

func encode(t testing.TB, s *Service, texts ...string) []*analysis.Features {
	t.Helper()
	features, err := s.EncodeText(t.Context(), texts, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(features) != len(texts) {
		t.Fatalf("%d features of %d texts", len(features), len(texts))
	}
	for i, f := range features {
		if err := f.Check(); err != nil {
			t.Fatalf("text %d: %v", i, err)
		}
		if len(f.Vector) != 384 || f.TokenDim != 384 || f.TokenCount > MaxTokens || f.Model != s.Digest() {
			t.Fatalf("text %d: vector of %d, %d tokens of %d, model %s", i, len(f.Vector), f.TokenCount, f.TokenDim, f.Model)
		}
	}
	return features
}

// far returns the largest difference of two slices, NaN if a value is NaN.
func far(t testing.TB, got, want []float32) (worst float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range got {
		worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
	}
	return worst
}

// golden returns the texts of testdata/make_golden.py with what PyTorch made of them.
func golden(t testing.TB) (texts []string, vectors, tokens []float32) {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	raw, _, err := tensor.ReadSafetensors("testdata/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return texts, raw["vectors"].Values, raw["tokens"].Values
}

func TestVectorsEqualPyTorch(t *testing.T) {
	s := start(t)
	texts, vectors, tokens := golden(t)
	if len(texts) != 200 {
		t.Fatalf("the golden holds %d texts, want 200", len(texts))
	}
	batched := slices.Concat(encode(t, s, texts[:MaxTexts]...), encode(t, s, texts[MaxTexts:]...))
	least, worstToken, worstMate := 1.0, 0.0, 0.0
	for i, text := range texts {
		alone, want := encode(t, s, text)[0], vectors[i*384:][:384]
		for name, f := range map[string]*analysis.Features{"alone": alone, "batched": batched[i]} {
			c := tensor.Cosine(f.Vector, want)
			if least = min(least, c); !(c >= minCosine) {
				t.Errorf("text %d %s: cosine %.8f, want at least %v", i, name, c, minCosine)
			}
		}
		if n := alone.TokenCount * 384; i < goldenTokens {
			d := far(t, alone.Tokens, tokens[:n])
			if worstToken = max(worstToken, d); !(d <= tolerance) {
				t.Errorf("text %d: token vectors differ from PyTorch's by %g, want at most %g", i, d, tolerance)
			}
			tokens = tokens[n:]
		}
		d := max(far(t, alone.Vector, batched[i].Vector), far(t, alone.Tokens, batched[i].Tokens))
		if worstMate = max(worstMate, d); !(d <= tolerance) {
			t.Errorf("text %d: alone and in a batch differ by %g, want at most %g", i, d, tolerance)
		}
	}
	if len(tokens) != 0 {
		t.Errorf("%d token values of the golden are left over", len(tokens))
	}
	t.Logf("least cosine %.9f; token values to PyTorch's %.2g; alone to batched %.2g", least, worstToken, worstMate)
}

// TestInt8 holds 8 bits to what int8.md promises, against PyTorch's vectors, and a vector to the same among others.
func TestInt8(t *testing.T) {
	s, err := New(Config{Device: "cpu", Threads: 2, Precision: analysis.Int8})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if whole := start(t); s.Digest() == whole.Digest() {
		t.Error("8 bits have the digest of fp32")
	} else if record := s.Calibration(); record == nil || record.Check() != nil || whole.Calibration() != nil {
		t.Errorf("the calibration is %+v, of fp32 %+v", record, whole.Calibration())
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	texts, vectors, _ := golden(t)
	batched := slices.Concat(encode(t, s, texts[:MaxTexts]...), encode(t, s, texts[MaxTexts:]...))
	least, total := 1.0, 0.0
	for i := range texts {
		c := tensor.Cosine(batched[i].Vector, vectors[i*384:][:384])
		least, total = min(least, c), total+c
		if i%10 == 0 && !slices.Equal(encode(t, s, texts[i])[0].Vector, batched[i].Vector) {
			t.Errorf("text %d has another vector in a batch", i)
		}
	}
	mean := total / float64(len(texts))
	if !(mean >= 0.99 && least >= 0.97) {
		t.Errorf("cosine to PyTorch: mean %.5f, least %.5f, want 0.99 and 0.97", mean, least)
	}
	t.Logf("cosine to PyTorch: mean %.5f, least %.5f", mean, least)
}

func TestLongTextIsCutOrRefused(t *testing.T) {
	s := start(t)
	fits, long := strings.Repeat("cough ", MaxTokens-2), strings.Repeat("cough ", 300)
	for _, strict := range []bool{false, true} {
		features, err := s.EncodeText(t.Context(), []string{fits}, strict)
		if err != nil {
			t.Fatal(err)
		}
		if f := features[0]; f.TokenCount != MaxTokens || f.Notes != nil {
			t.Errorf("strict %v: a text that fits has %d tokens and the notes %v", strict, f.TokenCount, f.Notes)
		}
	}
	features := encode(t, s, "short", long)
	want := []analysis.Note{{Modality: analysis.Text, Kind: "truncated", Detail: "cut from 302 to 256 tokens"}}
	if f := features[1]; !slices.Equal(f.Notes, want) || f.TokenCount != MaxTokens {
		t.Errorf("the long text has %d tokens and the notes %v, want %v", f.TokenCount, f.Notes, want)
	}
	if features[0].Notes != nil {
		t.Errorf("the short text has the notes %v", features[0].Notes)
	}
	if d := far(t, features[1].Vector, encode(t, s, fits)[0].Vector); !(d <= tolerance) {
		t.Errorf("the cut text differs from its beginning by %g", d)
	}
	_, err := s.EncodeText(t.Context(), []string{"short", long}, true)
	var e *analysis.Error
	if !errors.As(err, &e) || e.Code != analysis.TooLarge || e.Field != "text[1]" || e.Limit != "256 tokens" || e.Value != "302 tokens" {
		t.Errorf("strict gave %v", err)
	}
}

func TestHostileTexts(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		texts []string
		code  analysis.Code
		field string
	}{
		"megabyte of one word": {[]string{"a", strings.Repeat("x", 1<<20)}, analysis.TooLarge, "text[1]"},
		"a byte too many":      {[]string{strings.Repeat("x", MaxTextBytes+1)}, analysis.TooLarge, "text[0]"},
		"NUL":                  {[]string{"a\x00b"}, analysis.InvalidArgument, "text[0]"},
		"only NULs":            {[]string{strings.Repeat("\x00", 1000)}, analysis.InvalidArgument, "text[0]"},
		"not UTF-8":            {[]string{"ok", "ok", "\xff\xfe"}, analysis.InvalidArgument, "text[2]"},
		"surrogate":            {[]string{"\xed\xa0\x80"}, analysis.InvalidArgument, "text[0]"},
		"too many texts":       {make([]string, MaxTexts+1), analysis.TooLarge, "text"},
	} {
		t.Run(name, func(t *testing.T) {
			features, err := s.EncodeText(t.Context(), c.texts, false)
			var e *analysis.Error
			if features != nil || !errors.As(err, &e) || e.Code != c.code || e.Field != c.field {
				t.Errorf("got %v, %v, want %s of %s", features, err, c.code, c.field)
			}
			if e != nil && e.Code == analysis.TooLarge && (e.Limit == "" || e.Value == "") {
				t.Errorf("%v does not name limit and value", err)
			}
		})
	}
	for name, text := range map[string]string{
		"empty":              "",
		"white space":        " \u3000\n\t",
		"one long word":      strings.Repeat("x", MaxTextBytes),
		"marks":              strings.Repeat("\u0301", MaxTextBytes/2),
		"one-letter words":   strings.Repeat("a ", MaxTextBytes/2),
		"punctuation":        strings.Repeat("!", MaxTextBytes),
		"Chinese":            strings.Repeat("中", MaxTextBytes/3),
		"emoji":              strings.Repeat("👩🏽‍⚕️", 1000),
		"literal separators": strings.Repeat("[SEP][CLS][PAD][MASK]", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			f := encode(t, s, text)[0]
			var length float64
			for _, v := range f.Vector {
				length += float64(v) * float64(v)
			}
			if math.Abs(length-1) > 1e-5 || f.TokenCount < 2 {
				t.Errorf("a vector of squared length %v from %d tokens", length, f.TokenCount)
			}
		})
	}
	if features, err := s.EncodeText(t.Context(), nil, true); err != nil || len(features) != 0 {
		t.Errorf("no texts gave %v, %v", features, err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("the encoder did not outlive its callers: %v", err)
	}
}

func TestManyCallersGetTheirOwn(t *testing.T) {
	s := start(t)
	texts, vectors, _ := golden(t)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := g; i < 64; i += 16 {
				mine := []string{texts[i], texts[i+64]}
				features, err := s.EncodeText(t.Context(), mine, false)
				if err != nil {
					t.Error(err)
					return
				}
				for j, f := range features {
					k := i + 64*j
					if c := tensor.Cosine(f.Vector, vectors[k*384:][:384]); !(c >= minCosine) {
						t.Errorf("goroutine %d: text %d has cosine %v", g, k, c)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestCanceledCall(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.EncodeText(ctx, []string{"a"}, false); analysis.CodeOf(err) != analysis.Canceled {
		t.Errorf("EncodeText gave %v", err)
	}
	if err := s.Probe(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Probe gave %v", err)
	}
}

// TestCloseWhileBusy: each call that Close meets is either answered or told that the service stops.
func TestCloseWhileBusy(t *testing.T) {
	s := start(t)
	texts, vectors, _ := golden(t)
	answered := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := 0; ; i = (i + 1) % 20 {
				features, err := s.EncodeText(t.Context(), texts[i:i+1], false)
				if err != nil {
					if code := analysis.CodeOf(err); code != analysis.Unavailable {
						t.Errorf("a call during Close gave %s: %v", code, err)
					}
					return
				}
				if c := tensor.Cosine(features[0].Vector, vectors[i*384:][:384]); !(c >= minCosine) {
					t.Errorf("text %d has cosine %v", i, c)
				}
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 10 {
		<-answered
	}
	for range 2 {
		wg.Go(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.Probe(t.Context()); err == nil {
		t.Error("a closed service passed its probe")
	}
}

func TestProbe(t *testing.T) {
	s := start(t)
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.probe = encode(t, s, "The chest radiograph shows consolidation.")[0].Vector
	if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "cosine") {
		t.Errorf("with another sentence's vector the probe gave %v", err)
	}
}

func TestDigest(t *testing.T) {
	s := start(t)
	if d := s.Digest(); len(d) != len("sha256:")+64 || !strings.HasPrefix(d, "sha256:") {
		t.Errorf("digest %q", d)
	}
}

func TestNewRefusesDevice(t *testing.T) {
	for _, device := range []string{"tpu", "cuda:-1", "cuda:99"} {
		if s, err := New(Config{Device: device}); err == nil || !strings.Contains(err.Error(), device) {
			t.Errorf("device %s: got %v, %v", device, s, err)
		}
	}
}

// TestMemoryStaysFlat encodes until the allocators have reached their size, then on: one tensor of a forward pass
// that stayed behind would be 12 MB or more.
func TestMemoryStaysFlat(t *testing.T) {
	s := start(t)
	texts := slices.Repeat([]string{"Is there a circle in the image?"}, 4)
	rounds := func(n int) {
		for range n {
			encode(t, s, texts...)
		}
	}
	rounds(60)
	before := resident(t)
	rounds(200)
	const most = 4 << 20
	if grown := resident(t) - before; grown > most {
		t.Errorf("200 calls left %d bytes of resident memory, want at most %d", grown, most)
	}
}

// resident returns the process's resident memory in bytes, without the garbage that Go has not returned yet.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("resident memory is read from /proc, which this system lacks")
	}
	var total, pages int
	if _, err := fmt.Sscan(string(statm), &total, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func BenchmarkEncodeText(b *testing.B) {
	s := start(b)
	for _, c := range []struct{ texts, tokens int }{{1, 16}, {64, 16}, {64, 64}, {16, 256}} {
		b.Run(fmt.Sprintf("%d of %d tokens", c.texts, c.tokens), func(b *testing.B) {
			texts := slices.Repeat([]string{strings.Repeat("cough ", c.tokens-2)}, c.texts)
			for b.Loop() {
				encode(b, s, texts...)
			}
			b.ReportMetric(float64(c.texts*b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}
