package wire

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// Align implements analysis.Aligner: a unit vector of the features' modality, values and grid.
func (reference) Align(ctx context.Context, f *analysis.Features) ([]float32, error) {
	seed, err := json.Marshal([]any{f.Modality, f.Vector, f.Tokens, f.TokenCount, f.TokenDim, f.Rows, f.Cols})
	if err != nil {
		return nil, err
	}
	vector, sum := draw(seed, analysis.VectorDim), 0.0
	for _, v := range vector {
		sum += float64(v) * float64(v)
	}
	for i := range vector {
		vector[i] /= float32(math.Sqrt(sum))
	}
	return vector, ctx.Err()
}

// brokenAligner is a projection that answers with what its function returns.
type brokenAligner func() ([]float32, error)

func (b brokenAligner) Align(context.Context, *analysis.Features) ([]float32, error) { return b() }

func alignerAt(t *testing.T, aligner analysis.Aligner) (*Aligner, string) {
	t.Helper()
	url := start(t, NewAlignServer(aligner, info()))
	remote, err := NewAligner(url, options)
	if err != nil {
		t.Fatal(err)
	}
	return remote, url
}

// featuresOf returns features of two rows and three columns of tokens.
func featuresOf(modality analysis.Modality) *analysis.Features {
	f := &analysis.Features{Modality: modality, Vector: draw([]byte(modality), 4), Tokens: draw([]byte("tokens"), 12), TokenCount: 6, TokenDim: 2}
	if modality == analysis.Image {
		f.Rows, f.Cols = 2, 3
	}
	return f
}

func TestAlignRoundTrip(t *testing.T) {
	remote, _ := alignerAt(t, reference{})
	for _, modality := range analysis.Modalities {
		f := featuresOf(modality)
		want, err := reference{}.Align(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Align(t.Context(), f)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", modality, got, err, want)
		}
	}
	if digest, err := remote.Digest(t.Context()); err != nil || digest != referenceDigest {
		t.Errorf("digest %s: %v", digest, err)
	}
}

func TestAlignRefuses(t *testing.T) {
	remote, _ := alignerAt(t, brokenAligner(func() ([]float32, error) { panic("was asked") }))
	for name, change := range map[string]func(f *analysis.Features){
		"another modality":    func(f *analysis.Features) { f.Modality = "video" },
		"no vector":           func(f *analysis.Features) { f.Vector = nil },
		"too few tokens":      func(f *analysis.Features) { f.Tokens = f.Tokens[1:] },
		"a grid of others":    func(f *analysis.Features) { f.Rows = 4 },
		"a value that is NaN": func(f *analysis.Features) { f.Tokens[3] = float32(math.NaN()) },
	} {
		f := featuresOf(analysis.Image)
		change(f)
		if _, err := remote.Align(t.Context(), f); analysis.CodeOf(err) != analysis.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAlignServerRefuses what a client of ours would not send.
func TestAlignServerRefuses(t *testing.T) {
	_, url := alignerAt(t, brokenAligner(func() ([]float32, error) { panic("was asked") }))
	body := func(modality, tokens, grid string) string {
		return `{"inputs":[{"name":"modality","datatype":"BYTES","shape":[1],"data":["` + modality + `"]},
			{"name":"embedding","datatype":"FP32","shape":[1,2],"data":[1,2]},` + tokens + grid + `]}`
	}
	tokens := `{"name":"tokens","datatype":"FP32","shape":[1,2,1],"data":[1,2]}`
	grid := func(rows, cols string) string {
		return `,{"name":"grid","datatype":"INT64","shape":[1,2],"data":[` + rows + `,` + cols + `]}`
	}
	for name, test := range map[string]struct{ body, says string }{
		"an unknown modality":      {body("video", tokens, ""), "modality"},
		"an image without a grid":  {body("image", tokens, ""), "grid"},
		"a grid of no rows":        {body("image", tokens, grid("0", "2")), "grid"},
		"a negative grid":          {body("image", tokens, grid("-1", "-2")), "grid"},
		"a grid that overflows":    {body("image", tokens, grid("4611686018427387904", "2")), "grid"},
		"a grid of other tokens":   {body("image", tokens, grid("2", "2")), "grid"},
		"no tokens":                {strings.Replace(body("text", tokens, ""), ","+tokens, "", 1), "tokens"},
		"tokens of another length": {body("text", strings.Replace(tokens, "[1,2,1]", "[1,3,1]", 1), ""), "tokens"},
	} {
		r, err := http.Post(url+"/v2/models/"+AlignModel+"/infer", "application/json", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode < 400 || r.StatusCode >= 500 || !strings.Contains(string(answer), test.says) {
			t.Errorf("%s: %s %s, %v", name, r.Status, answer, err)
		}
	}
}

// TestAProjectionThatBreaksItsContract is known for it by the client.
func TestAProjectionThatBreaksItsContract(t *testing.T) {
	unit := func(scale float32) []float32 {
		vector := make([]float32, analysis.VectorDim)
		vector[0] = scale
		return vector
	}
	for name, test := range map[string]struct {
		answer []float32
		code   analysis.Code
	}{
		"not of unit length": {unit(1.01), analysis.BadUpstream},
		"nothing but zeros":  {unit(0), analysis.BadUpstream},
		"too short":          {[]float32{1}, analysis.BadUpstream},
		"infinite":           {unit(float32(math.Inf(1))), analysis.Internal}, // which the server sees itself
		"NaN":                {unit(float32(math.NaN())), analysis.Internal},
	} {
		remote, _ := alignerAt(t, brokenAligner(func() ([]float32, error) { return test.answer, nil }))
		if vector, err := remote.Align(t.Context(), featuresOf(analysis.Text)); analysis.CodeOf(err) != test.code {
			t.Errorf("%s: %v, %v (%s)", name, vector, err, analysis.CodeOf(err))
		}
	}
	remote, _ := alignerAt(t, brokenAligner(func() ([]float32, error) {
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "busy"}
	}))
	if _, err := remote.Align(t.Context(), featuresOf(analysis.Text)); analysis.CodeOf(err) != analysis.Overloaded {
		t.Errorf("an overloaded projection: %v", err)
	}
}
