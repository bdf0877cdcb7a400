// Package conform tests that an implementation gives the same in process and over the wire.
//
// Every process's tests run the suite of its interface on its own service; package wire's run it on small
// implementations made for the purpose.
package conform

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"consilium/internal/analysis"
)

// tolerance is by how much a number may differ between two runs of one model: the batch that an input is in may
// change the order of a sum.
const tolerance = 1e-5

// Text runs cases on local and on remote, a client of a server of local.
func Text(t *testing.T, local, remote analysis.TextEncoder) {
	long := make([]byte, 0, 4000)
	for len(long) < 4000 {
		long = append(long, "fracture "...)
	}
	for name, test := range map[string]struct {
		texts  []string
		strict bool
	}{
		"one":              {texts: []string{"no acute findings"}},
		"several lengths":  {texts: []string{"cough", "a cough for two weeks, no fever", "", "右肺 opacité 🫁"}},
		"many":             {texts: many(100, "is there a fracture of rib ")},
		"too many":         {texts: many(200, "rib ")},
		"none":             {texts: []string{}},
		"cut":              {texts: []string{"short", string(long)}},
		"refused if cut":   {texts: []string{"short", string(long)}, strict: true},
		"control and NUL":  {texts: []string{"a\x00b\x01\u200b"}},
		"not UTF-8":        {texts: []string{"caf\xe9"}},
		"strict and short": {texts: []string{"short"}, strict: true},
	} {
		t.Run(name, func(t *testing.T) {
			want, wantErr := local.EncodeText(t.Context(), test.texts, test.strict)
			got, err := remote.EncodeText(t.Context(), test.texts, test.strict)
			sameFeatures(t, got, want)
			sameError(t, err, wantErr)
		})
	}
	t.Run("canceled", func(t *testing.T) {
		canceled(t, func(ctx context.Context) error { _, err := local.EncodeText(ctx, []string{"x"}, false); return err },
			func(ctx context.Context) error { _, err := remote.EncodeText(ctx, []string{"x"}, false); return err })
	})
}

func many(n int, text string) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = text + string(rune('a'+i%26))
	}
	return texts
}

// Vision runs cases of the given pictures, good and bad, by name, on local and on remote.
func Vision(t *testing.T, local, remote analysis.VisionEncoder, pictures map[string][]byte) {
	encode := func(e analysis.VisionEncoder) func(context.Context, [][]byte, bool) ([]*analysis.Features, error) {
		return func(ctx context.Context, images [][]byte, _ bool) ([]*analysis.Features, error) {
			return e.EncodeImage(ctx, images)
		}
	}
	media(t, encode(local), encode(remote), pictures, []bool{false})
}

// Audio runs cases of the given sounds, good and bad, by name, on local and on remote.
func Audio(t *testing.T, local, remote analysis.AudioEncoder, sounds map[string][]byte) {
	media(t, local.EncodeAudio, remote.EncodeAudio, sounds, []bool{false, true})
}

func media(t *testing.T, local, remote func(context.Context, [][]byte, bool) ([]*analysis.Features, error), files map[string][]byte, stricts []bool) {
	var good [][]byte
	try := func(t *testing.T, files [][]byte, strict bool) error {
		want, wantErr := local(t.Context(), files, strict)
		got, err := remote(t.Context(), files, strict)
		sameFeatures(t, got, want)
		sameError(t, err, wantErr)
		return wantErr
	}
	for name, file := range files {
		for _, strict := range stricts {
			t.Run(name, func(t *testing.T) {
				if try(t, [][]byte{file}, strict) == nil && !strict {
					good = append(good, file)
				}
			})
		}
	}
	t.Run("good ones together", func(t *testing.T) {
		if len(good) == 0 {
			t.Fatal("no file was good")
		}
		_ = try(t, good, false)
	})
	t.Run("empty", func(t *testing.T) { _ = try(t, [][]byte{nil}, false) })
	t.Run("none", func(t *testing.T) { _ = try(t, nil, false) })
	t.Run("canceled", func(t *testing.T) {
		canceled(t, func(ctx context.Context) error { _, err := local(ctx, good[:1], false); return err },
			func(ctx context.Context) error { _, err := remote(ctx, good[:1], false); return err })
	})
}

// Fusion runs cases of the given requests, good and bad, by name, on local and on remote, and then the good ones together.
func Fusion(t *testing.T, local, remote analysis.Fuser, requests map[string]*analysis.FuseRequest) {
	var good []*analysis.FuseRequest
	try := func(t *testing.T, requests ...*analysis.FuseRequest) {
		want, wantErr := local.Fuse(t.Context(), requests)
		got, err := remote.Fuse(t.Context(), requests)
		sameError(t, err, wantErr)
		if len(got) != len(want) {
			t.Fatalf("%d results over the wire, %d in process", len(got), len(want))
		}
		for i := range want {
			sameResult(t, got[i], want[i])
		}
		if wantErr == nil && len(requests) == 1 {
			good = append(good, requests...)
		}
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) { try(t, request) })
	}
	t.Run("good ones together", func(t *testing.T) {
		if len(good) < 2 {
			t.Fatalf("%d requests were good", len(good))
		}
		together := make([]*analysis.FuseRequest, len(good))
		for i := range good {
			request := *good[i]
			request.Candidates = 3
			together[i] = &request
		}
		try(t, together...)
		slices.Reverse(together)
		try(t, together...)
		for _, request := range requests { // one that is bad fails all
			if !slices.Contains(good, request) {
				bad := *request
				bad.Candidates = 3
				both := []*analysis.FuseRequest{together[0], &bad}
				_, wantErr := local.Fuse(t.Context(), both)
				// The wire has words of its own for sizes that differ within a call.
				if _, err := remote.Fuse(t.Context(), both); err == nil || analysis.CodeOf(err) != analysis.CodeOf(wantErr) {
					t.Errorf("error over the wire %v, in process %v", err, wantErr)
				}
			}
		}
	})
	t.Run("different candidates", func(t *testing.T) {
		a, b := *good[0], *good[0]
		a.Candidates, b.Candidates = 1, 2
		try(t, &a, &b)
	})
	t.Run("none", func(t *testing.T) { try(t) })
	t.Run("too many", func(t *testing.T) { try(t, slices.Repeat(good[:1], analysis.MaxFuseRequests+1)...) })
}

func canceled(t *testing.T, calls ...func(context.Context) error) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	for i, call := range calls {
		for _, ctx := range []context.Context{ended, late} {
			if code := analysis.CodeOf(call(ctx)); code != analysis.Canceled {
				t.Errorf("call %d with %v: code %q, want %q", i, ctx.Err(), code, analysis.Canceled)
			}
		}
	}
}

func sameFeatures(t *testing.T, got, want []*analysis.Features) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d features over the wire, %d in process", len(got), len(want))
	}
	for i := range want {
		g, w := *got[i], *want[i]
		if d := distance(g.Vector, w.Vector); d > tolerance {
			t.Errorf("item %d: the vectors differ by %g", i, d)
		}
		if d := distance(g.Tokens, w.Tokens); d > tolerance {
			t.Errorf("item %d: the tokens differ by %g", i, d)
		}
		if math.Abs(g.Seconds-w.Seconds) > tolerance*(1+w.Seconds) {
			t.Errorf("item %d: %v seconds over the wire, %v in process", i, g.Seconds, w.Seconds)
		}
		if len(g.Notes)+len(w.Notes) > 0 && !reflect.DeepEqual(g.Notes, w.Notes) {
			t.Errorf("item %d: notes %+v over the wire, %+v in process", i, g.Notes, w.Notes)
		}
		g.Vector, g.Tokens, g.Seconds, g.Notes = w.Vector, w.Tokens, w.Seconds, w.Notes
		if !reflect.DeepEqual(g, w) {
			t.Errorf("item %d differs: %d tokens of %d, grid %dx%d, model %s over the wire; %d of %d, %dx%d, %s in process",
				i, g.TokenCount, g.TokenDim, g.Rows, g.Cols, g.Model, w.TokenCount, w.TokenDim, w.Rows, w.Cols, w.Model)
		}
	}
}

func sameResult(t *testing.T, got, want *analysis.Result) {
	t.Helper()
	if (got == nil) != (want == nil) {
		t.Fatalf("result over the wire %v, in process %v", got, want)
	}
	if want == nil {
		return
	}
	gotShape, gotNumbers := split(got)
	wantShape, wantNumbers := split(want)
	if !reflect.DeepEqual(gotShape, wantShape) {
		t.Errorf("over the wire\n%+v\nin process\n%+v", gotShape, wantShape)
	}
	if d := distance(gotNumbers, wantNumbers); d > tolerance {
		t.Errorf("numbers over the wire\n%v\nin process\n%v\ndiffer by %g", gotNumbers, wantNumbers, d)
	}
}

// split returns r without its numbers, nil for empty lists, and the numbers in order.
func split(r *analysis.Result) (shape analysis.Result, numbers []float32) {
	add := func(values ...float64) {
		for _, v := range values {
			numbers = append(numbers, float32(v))
		}
	}
	shape.Models = r.Models
	for _, a := range r.Answers {
		add(a.Probability)
		shape.Answers = append(shape.Answers, analysis.Candidate{Text: a.Text})
	}
	for _, f := range r.Findings {
		add(f.Probability, f.Threshold)
		g := f.Activation
		if g != nil {
			numbers = append(numbers, g.Values...)
			g = &analysis.Grid{Rows: g.Rows, Cols: g.Cols}
		}
		shape.Findings = append(shape.Findings, analysis.Finding{Label: f.Label, Present: f.Present, Modality: f.Modality, Activation: g})
	}
	for _, m := range r.Modalities {
		add(m.Weight, m.Entropy)
		shape.Modalities = append(shape.Modalities, analysis.ModalityWeight{Modality: m.Modality})
	}
	if a := r.Attention; a != nil {
		shape.Attention = &analysis.Grid{Rows: a.Rows, Cols: a.Cols}
		numbers = append(numbers, a.Values...)
	}
	return shape, numbers
}

func sameError(t *testing.T, got, want error) {
	t.Helper()
	if analysis.CodeOf(got) != analysis.CodeOf(want) {
		t.Fatalf("error over the wire %v, in process %v", got, want)
	}
	var g, w *analysis.Error
	if !errors.As(want, &w) {
		return // an error without a code crosses as its code only
	}
	if !errors.As(got, &g) {
		t.Fatalf("error over the wire has no code of its own: %v", got)
	}
	shown := func(e analysis.Error) analysis.Error { e.Err = nil; return e }
	if shown(*g) != shown(*w) {
		t.Errorf("error over the wire\n%+v\nin process\n%+v", shown(*g), shown(*w))
	}
}

// distance is the largest difference between two vectors, infinite if their lengths differ.
func distance(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	most := 0.0
	for i := range a {
		most = max(most, math.Abs(float64(a[i])-float64(b[i])))
	}
	return most
}
