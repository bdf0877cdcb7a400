package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"consilium/internal/analysis"
)

// reference implements all interfaces without a net: its vectors are drawn from the bytes of the input, its
// errors and notes follow the contracts of package analysis. The services' own tests run the same suite on nets.
type reference struct{}

const (
	referenceDigest = "sha256:reference"
	maxWords        = 256
	maxFileBytes    = 1 << 20
)

func draw(seed []byte, n int) []float32 {
	random := rand.New(rand.NewChaCha8(sha256.Sum256(seed)))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	return values
}

func (reference) EncodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	features := make([]*analysis.Features, len(texts))
	for i, text := range texts {
		f := &analysis.Features{Modality: analysis.Text, TokenCount: len(strings.Fields(text)) + 2, TokenDim: textDim, Model: referenceDigest}
		if n := f.TokenCount; n > maxWords {
			if strict {
				return nil, &analysis.Error{Code: analysis.TooLarge, Field: "text", Message: "is too long", Limit: "256 tokens", Value: fmt.Sprint(n, " tokens")}
			}
			f.TokenCount = maxWords
			f.Notes = []analysis.Note{{Modality: analysis.Text, Kind: "truncated", Detail: fmt.Sprintf("%d tokens cut to %d", n, maxWords)}}
		}
		f.Vector, f.Tokens = draw([]byte(text), textDim), draw([]byte("t"+text), f.TokenCount*textDim)
		features[i] = f
	}
	return features, ctx.Err()
}

func file(field string, content []byte) error {
	switch {
	case len(content) == 0:
		return analysis.Invalid(field, "is empty")
	case len(content) > maxFileBytes:
		return &analysis.Error{Code: analysis.TooLarge, Field: field, Message: "is too large", Limit: "1048576 bytes", Value: fmt.Sprint(len(content), " bytes")}
	case !bytes.HasPrefix(content, []byte("good")):
		return &analysis.Error{Code: analysis.UnsupportedMedia, Field: field, Message: "is of no known format", Err: fmt.Errorf("secret path")}
	}
	return nil
}

func (reference) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	features := make([]*analysis.Features, len(images))
	for i, image := range images {
		if err := file("image", image); err != nil {
			return nil, err
		}
		features[i] = &analysis.Features{
			Modality: analysis.Image, Vector: draw(image, imageDim), Tokens: draw(image, 49*imageDim),
			TokenCount: 49, TokenDim: imageDim, Rows: 7, Cols: 7, Model: referenceDigest,
			Notes: []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: "from 1024 x 1024 to 224 x 224"}},
		}
	}
	return features, ctx.Err()
}

func (reference) EncodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*analysis.Features, error) {
	features := make([]*analysis.Features, len(sounds))
	for i, sound := range sounds {
		if err := file("audio", sound); err != nil {
			return nil, err
		}
		if strict && bytes.Contains(sound, []byte("long")) {
			return nil, &analysis.Error{Code: analysis.TooLarge, Field: "audio", Message: "is too long", Limit: "30 s", Value: "31 s"}
		}
		n := 1 + len(sound)%20
		features[i] = &analysis.Features{
			Modality: analysis.Audio, Vector: draw(sound, 96), Tokens: draw(sound, n*96),
			TokenCount: n, TokenDim: 96, Seconds: float64(len(sound)) / 7, Model: referenceDigest,
		}
	}
	return features, ctx.Err()
}

func (r reference) Fuse(_ context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	if err := analysis.CheckFuseRequests(requests); err != nil {
		return nil, err
	}
	results := make([]*analysis.Result, len(requests))
	for i, request := range requests {
		var err error
		if results[i], err = r.fuse(request); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (reference) fuse(r *analysis.FuseRequest) (*analysis.Result, error) {
	if r.Task != analysis.Question && r.Task != analysis.Report {
		return nil, analysis.Invalid("task", "unknown task %q", r.Task)
	}
	if (r.Task == analysis.Question) != (r.Question != nil) {
		return nil, analysis.Invalid("question", "goes with the task question")
	}
	result := &analysis.Result{Models: map[string]string{"fusion": referenceDigest}}
	for _, f := range []struct {
		field string
		*analysis.Features
	}{{"question", r.Question}, {"text", r.Text}, {"image", r.Image}, {"audio", r.Audio}} {
		if f.Features == nil {
			continue
		}
		if err := f.Check(); err != nil {
			return nil, analysis.Invalid(f.field, "%v", err)
		}
		if f.field != "question" {
			p := 1 / (1 + float64(f.Vector[0]*f.Vector[0]))
			result.Modalities = append(result.Modalities, analysis.ModalityWeight{Modality: f.Modality, Weight: p, Entropy: 1 - p})
			if r.Task == analysis.Report {
				finding := analysis.Finding{Label: f.field + " finding", Probability: p, Threshold: 0.37, Present: p >= 0.37, Modality: f.Modality}
				if f.Modality == analysis.Image {
					for _, label := range []string{"first", "second"} { // two, so that their grids may not be confused
						finding.Label = label + " image finding"
						finding.Activation = &analysis.Grid{Rows: f.Rows, Cols: f.Cols, Values: make([]float32, f.TokenCount)}
						finding.Activation.Values[len(label)] = 1
						result.Findings = append(result.Findings, finding)
					}
					continue
				}
				result.Findings = append(result.Findings, finding)
			}
		}
	}
	if len(result.Modalities) == 0 {
		return nil, analysis.Invalid("features", "at least one modality has to be present")
	}
	if r.Task == analysis.Question {
		for i := range max(r.Candidates, 1) {
			result.Answers = append(result.Answers, analysis.Candidate{Text: fmt.Sprint("answer ", i), Probability: 1 / float64(i+3)})
		}
	}
	if r.Image != nil {
		result.Attention = &analysis.Grid{Rows: r.Image.Rows, Cols: r.Image.Cols, Values: make([]float32, r.Image.TokenCount)}
		result.Attention.Values[3] = 1
	}
	return result, nil
}

func (reference) Probe(context.Context) error { return nil }

func info() ModelInfo { return ModelInfo{Digest: referenceDigest, Probe: reference{}.Probe} }

// start serves handler over real HTTP and returns its address.
func start(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// options of a client whose calls end before the test does.
var options = ClientOptions{Timeout: 20 * time.Second}

func textClient(t *testing.T, url string) *TextEncoder {
	t.Helper()
	client, err := NewTextEncoder(url, options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
