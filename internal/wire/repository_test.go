package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
)

// shelf is a model repository whose models answer with the first bytes of the picture.
type shelf struct {
	reference
	mu   sync.Mutex
	held map[string]analysis.ModelCard
}

func (s *shelf) LoadModel(_ context.Context, version *analysis.ModelVersion, weights io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, weights); err != nil {
		return err
	}
	if found := hex.EncodeToString(h.Sum(nil)); found != version.Card.SHA256 {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: "card.sha256", Message: "another digest", Limit: version.Card.SHA256, Value: found}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[version.ID] = version.Card
	return nil
}

func (s *shelf) UnloadModel(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
	return nil
}

func (s *shelf) LoadedModels(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{}
	for id := range s.held {
		ids = append(ids, id)
	}
	return ids, nil
}

func (s *shelf) RunModel(_ context.Context, id string, image []byte, text []float32) (*analysis.Judgement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	card, ok := s.held[id]
	if !ok {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "the model is not loaded"}
	}
	j := &analysis.Judgement{Notes: []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: "to fit"}}}
	for i := range card.Labels {
		v := float32(image[i])
		if len(text) > 0 {
			v += text[i]
		}
		if image[0] == 'N' {
			v = float32(math.NaN())
		}
		j.Logits = append(j.Logits, v)
	}
	return j, nil
}

const anID = "0198c0de-0000-7000-8000-000000000001"

func aVersion(weights string) *analysis.ModelVersion {
	sum := sha256.Sum256([]byte(weights))
	return &analysis.ModelVersion{ID: anID, Version: 3, Bytes: int64(len(weights)), Card: analysis.ModelCard{
		Name: "a", SHA256: hex.EncodeToString(sum[:]), Labels: []analysis.CardLabel{{Name: "x", Threshold: 0.5}, {Name: "<ü>", Threshold: 0.25}},
		Modalities: []analysis.Modality{analysis.Image, analysis.Text},
		Input:      analysis.CardInput{Height: 8, Width: 9, Channels: 1, Normalisation: analysis.Normalisation{Mean: []float64{0.5}, Std: []float64{0.25}}},
	}}
}

func TestModelsCrossTheWire(t *testing.T) {
	models := &shelf{held: map[string]analysis.ModelCard{}}
	url := start(t, WithModels(NewVisionServer(models, info()), models, info()))
	runner, err := NewModelRunner(url+"/", options)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := runner.RunModel(ctx, anID, []byte("AB"), nil); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("a model that is not loaded: %v", err)
	}
	weights := strings.Repeat("weights ", 1<<18)
	version := aVersion(weights)
	if err := runner.LoadModel(ctx, version, strings.NewReader(weights)); err != nil {
		t.Fatal(err)
	}
	if card := models.held[anID]; card.Labels[1] != version.Card.Labels[1] || card.Input.Width != 9 || !card.Reads(analysis.Text) {
		t.Errorf("the card arrived as %+v", card)
	}
	if ids, err := runner.LoadedModels(ctx); err != nil || !slices.Equal(ids, []string{anID}) {
		t.Errorf("%v: %v", err, ids)
	}
	text := make([]float32, 384)
	text[1] = 0.5
	for _, test := range []struct {
		text []float32
		want []float32
	}{{nil, []float32{65, 66}}, {text, []float32{65, 66.5}}} {
		made, err := runner.RunModel(ctx, anID, []byte("AB"), test.text)
		if err != nil || !slices.Equal(made.Logits, test.want) || len(made.Notes) != 1 || made.Notes[0].Detail != "to fit" {
			t.Errorf("%v: %+v, want %v", err, made, test.want)
		}
	}
	if _, err := runner.RunModel(ctx, anID, []byte("NB"), nil); analysis.CodeOf(err) != analysis.Internal {
		t.Errorf("a logit that is no number: %v", err)
	}
	// The encoder beside it still answers.
	vision, err := NewVisionEncoder(url, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vision.EncodeImage(ctx, [][]byte{[]byte("good picture")}); err != nil {
		t.Error(err)
	}
	wrong := aVersion("other weights!!!")
	wrong.Bytes = int64(len(weights))
	err = runner.LoadModel(ctx, wrong, strings.NewReader(weights))
	if e := (*analysis.Error)(nil); !errors.As(err, &e) || e.Field != "card.sha256" || e.Value != version.Card.SHA256 {
		t.Errorf("another digest: %v", err)
	}
	for range 2 {
		if err := runner.UnloadModel(ctx, anID); err != nil {
			t.Error(err)
		}
	}
	if len(models.held) != 0 {
		t.Errorf("still held: %v", models.held)
	}
	if _, err := runner.RunModel(ctx, "../vision", nil, nil); err == nil {
		t.Error("an id that is none was called")
	}
}

func TestBadLoads(t *testing.T) {
	models := &shelf{held: map[string]analysis.ModelCard{}}
	url := start(t, WithModels(NewVisionServer(models, info()), models, info()))
	for name, test := range map[string]struct {
		path, length, body string
		status             int
	}{
		"no length":       {anID, "", "{}", 400},
		"no number":       {anID, "x", "{}", 400},
		"length 0":        {anID, "0", "{}", 400},
		"a long header":   {anID, "999999999", "{}", 400},
		"header cut off":  {anID, "100", "{}", 400},
		"no JSON":         {anID, "3", "abc", 400},
		"deep JSON":       {anID, "1000", strings.Repeat("[", 1000), 413},
		"another id":      {anID, "2", "{}", 400},
		"id that is none": {"x", "10", `{"id":"x"}`, 400},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v2/repository/models/"+test.path+"/load", bytes.NewReader([]byte(test.body)))
		if err != nil {
			t.Fatal(err)
		}
		if test.length != "" {
			request.Header.Set(headerLengthField, test.length)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, test.status)
		}
	}
	if len(models.held) != 0 {
		t.Errorf("held: %v", models.held)
	}
}
