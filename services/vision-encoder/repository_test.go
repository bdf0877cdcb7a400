package visionencoder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/media"
	"consilium/internal/sandbox"
)

// TestMain lets this test program be the process of a model.
func TestMain(m *testing.M) {
	sandbox.Enter()
	os.Exit(m.Run())
}

// script returns one of the sandbox's small models.
func script(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "internal", "sandbox", "testdata", name+".pt"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// spot is a dark picture with a bright round spot of that radius.
func spot(t *testing.T, width, height int, radius float64) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			d := math.Hypot(float64(x)-0.6*float64(width), float64(y)-0.4*float64(height))
			img.SetGray(x, y, color.Gray{Y: uint8(100 + 150*math.Exp(-d*d/(2*radius*radius+1e-9)))})
		}
	}
	return encodePNG(t, img)
}

func noduleVersion(id string, weights []byte) *analysis.ModelVersion {
	sum := sha256.Sum256(weights)
	return &analysis.ModelVersion{ID: id, Version: 1, Card: analysis.ModelCard{
		Name: "nodule", Task: analysis.MultiLabel, Licence: "CC0-1.0", Format: analysis.TorchScript, SHA256: hex.EncodeToString(sum[:]),
		Labels:     []analysis.CardLabel{{Name: "nodule", Threshold: 0.5}, {Name: "bright field", Threshold: 0.5}, {Name: "dark field", Threshold: 0.5}},
		Modalities: []analysis.Modality{analysis.Image},
		Input:      analysis.CardInput{Height: 64, Width: 64, Channels: 1, Normalisation: analysis.Normalisation{Mean: []float64{0.5}, Std: []float64{0.25}}},
	}}
}

func repository(t *testing.T) *Repository {
	t.Helper()
	r := newRepository(func(b []byte, use func(*media.Decoded)) error {
		d, err := media.DecodeImage(b)
		if err == nil {
			use(d)
		}
		return err
	})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func load(t *testing.T, r *Repository, v *analysis.ModelVersion, weights []byte) {
	t.Helper()
	if err := r.LoadModel(t.Context(), v, bytes.NewReader(weights)); err != nil {
		t.Fatal(err)
	}
}

func loaded(t *testing.T, r *Repository) []string {
	t.Helper()
	ids, err := r.LoadedModels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestModelsAreRunLoadedAndUnloaded(t *testing.T) {
	r := repository(t)
	weights := script(t, "nodule")
	load(t, r, noduleVersion("a", weights), weights)
	with, err := r.RunModel(t.Context(), "a", spot(t, 64, 64, 3), nil)
	if err != nil {
		t.Fatal(err)
	}
	without, err := r.RunModel(t.Context(), "a", spot(t, 300, 200, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !(with.Logits[0] > 0.5 && without.Logits[0] < -1) || len(with.Notes) != 0 || len(without.Notes) != 1 ||
		without.Notes[0].Detail != "from 300 x 200 to 64 x 64 pixels, which changes its proportions" {
		t.Errorf("with a spot %+v, without %+v", with, without)
	}
	for name, call := range map[string]struct {
		image []byte
		text  []float32
		field string
	}{"no picture": {[]byte("x"), nil, "image"}, "a text": {spot(t, 64, 64, 3), make([]float32, 384), "text"}} {
		if _, err := r.RunModel(t.Context(), "a", call.image, call.text); err == nil || !strings.HasPrefix(err.Error(), call.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ids := loaded(t, r); !slices.Equal(ids, []string{"a"}) {
		t.Errorf("loaded: %v", ids)
	}
	for range 2 {
		if err := r.UnloadModel(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.RunModel(t.Context(), "a", spot(t, 64, 64, 3), nil); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("an unloaded model: %v", err)
	}
	wrong := noduleVersion("a", weights)
	wrong.Card.SHA256 = strings.Repeat("0", 64)
	if err := r.LoadModel(t.Context(), wrong, bytes.NewReader(weights)); err == nil || !strings.HasPrefix(err.Error(), "card.sha256") {
		t.Errorf("another digest: %v", err)
	}
	if ids := loaded(t, r); len(ids) != 0 {
		t.Errorf("loaded: %v", ids)
	}
}

func TestTheLeastRecentlyUsedModelMakesRoom(t *testing.T) {
	r := repository(t)
	weights := script(t, "nodule")
	for i := range analysis.MaxModelsLoaded {
		load(t, r, noduleVersion(fmt.Sprint(i), weights), weights)
	}
	load(t, r, noduleVersion("0", weights), nil) // it is held: its weights are not read, and it counts as used
	load(t, r, noduleVersion("new", weights), weights)
	if ids := loaded(t, r); !slices.Equal(ids, []string{"0", "2", "3", "new"}) {
		t.Errorf("loaded: %v", ids)
	}
	for _, m := range r.held {
		m.calls++
	}
	if err := r.LoadModel(t.Context(), noduleVersion("more", weights), bytes.NewReader(weights)); analysis.CodeOf(err) != analysis.Overloaded {
		t.Errorf("while all are at work: %v", err)
	}
	for _, m := range r.held {
		m.calls--
	}
	// A process that ended makes room by itself, and its model is not held any more.
	if err := r.held["2"].process.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RunModel(t.Context(), "2", spot(t, 64, 64, 3), nil); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("a model whose process ended: %v", err)
	}
	load(t, r, noduleVersion("2", weights), weights)
	if ids := loaded(t, r); !slices.Equal(ids, []string{"0", "2", "3", "new"}) {
		t.Errorf("loaded: %v", ids)
	}
	if _, err := r.RunModel(t.Context(), "2", spot(t, 64, 64, 3), nil); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.LoadModel(t.Context(), noduleVersion("2", weights), bytes.NewReader(weights)); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("after the end: %v", err)
	}
}

func TestLoadingOneModelTwiceAtOnce(t *testing.T) {
	r := repository(t)
	weights := script(t, "nodule")
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := r.LoadModel(t.Context(), noduleVersion("a", weights), bytes.NewReader(weights)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if ids := loaded(t, r); !slices.Equal(ids, []string{"a"}) {
		t.Errorf("loaded: %v", ids)
	}
}
