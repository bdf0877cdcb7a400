package pipeline

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
)

// shelf implements the store and the runner of models.
type shelf struct {
	analysis.ModelStore
	mu     sync.Mutex
	loaded bool
	loads  int
	evict  bool // a model is gone as soon as it is loaded
	logits []float32
	text   []float32
	err    error // of LoadModel
}

func (s *shelf) OpenModel(context.Context, *analysis.ModelVersion) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("weights")), nil
}

func (s *shelf) LoadModel(context.Context, *analysis.ModelVersion, io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	s.loaded = s.err == nil && !s.evict
	return s.err
}

func (s *shelf) UnloadModel(context.Context, string) error      { return nil }
func (s *shelf) LoadedModels(context.Context) ([]string, error) { return nil, nil }

func (s *shelf) RunModel(_ context.Context, _ string, _ []byte, text []float32) (*analysis.Judgement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "the model is not loaded"}
	}
	s.text = text
	return &analysis.Judgement{Logits: s.logits, Notes: []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: "to fit"}}}, nil
}

func brought(task string, modalities ...analysis.Modality) *analysis.ModelVersion {
	return &analysis.ModelVersion{ID: "id", Version: 4, Card: analysis.ModelCard{
		Name: "nodule", Task: task, Licence: "CC0-1.0", SHA256: "abc", Modalities: modalities,
		Labels: []analysis.CardLabel{{Name: "benign", Threshold: 0.5}, {Name: "malignant", Threshold: 0.25}},
	}}
}

var studied = &analysis.Request{Task: analysis.Report, Image: []byte("image"), Text: "a note"}

func TestJudge(t *testing.T) {
	models := &shelf{logits: []float32{1, 0}}
	j := &Judge{Text: &parts{}, Models: models, Runner: models}
	result, err := j.Judge(t.Context(), studied, brought(analysis.MultiLabel, analysis.Image))
	if err != nil {
		t.Fatal(err)
	}
	want := []analysis.Finding{
		{Label: "benign", Probability: 1 / (1 + math.Exp(-1)), Threshold: 0.5, Present: true, Modality: analysis.Image, Model: "sha256:abc"},
		{Label: "malignant", Probability: 0.5, Threshold: 0.25, Present: true, Modality: analysis.Image, Model: "sha256:abc"},
	}
	if !slices.Equal(result.Findings, want) || result.Models[BroughtRole] != "sha256:abc" || len(result.Models) != 1 || len(result.Notes) != 1 ||
		*result.Brought != (analysis.BroughtModel{Name: "nodule", Version: 4, Digest: "sha256:abc", Licence: "CC0-1.0"}) {
		t.Errorf("%+v", result)
	}
	narrative := WriteBrought(result, &brought(analysis.MultiLabel, analysis.Image).Card, map[analysis.Modality]bool{analysis.Image: true, analysis.Text: true})
	if !strings.HasPrefix(narrative.Disclaimer, Disclaimer) || !strings.Contains(narrative.Disclaimer, "nodule, version 4 (sha256:abc)") ||
		!strings.Contains(narrative.Disclaimer, `"CC0-1.0"; this platform has not validated it`) {
		t.Errorf("disclaimer: %s", narrative.Disclaimer)
	}
	if len(narrative.NotAssessed) != 2 || narrative.NotAssessed[0].Reason != "The model nodule does not read the note." ||
		narrative.NotAssessed[1].Reason != "The study has no sound, and the model nodule reads none." {
		t.Errorf("not assessed: %+v", narrative.NotAssessed)
	}
	if text := narrative.Sections[len(narrative.Sections)-1].Sentences[0].Text; text != "Present: benign and malignant." {
		t.Errorf("impression: %s", text)
	}

	// With the note, one of the labels, from a model that is loaded already.
	result, err = j.Judge(t.Context(), studied, brought(analysis.OneOf, analysis.Image, analysis.Text))
	if err != nil {
		t.Fatal(err)
	}
	if p := result.Findings[0].Probability; math.Abs(p-math.E/(1+math.E)) > 1e-9 || math.Abs(p+result.Findings[1].Probability-1) > 1e-9 {
		t.Errorf("softmax: %+v", result.Findings)
	}
	if len(models.text) != 2 || result.Models["text"] != "text-digest" || len(result.Notes) != 2 || models.loads != 1 {
		t.Errorf("text %v, models %v, notes %v, %d loads", models.text, result.Models, result.Notes, models.loads)
	}
	if n := WriteBrought(result, &brought(analysis.OneOf, analysis.Image, analysis.Text).Card, nil); len(n.NotAssessed) != 1 || !strings.Contains(n.Disclaimer, "together with the note") {
		t.Errorf("%+v", n)
	}
}

func TestJudgeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		models  *shelf
		request *analysis.Request
		version *analysis.ModelVersion
		parts   *parts
		code    analysis.Code
		field   string
	}{
		"no image":             {request: &analysis.Request{Task: analysis.Report, Text: "a note"}, code: analysis.InvalidArgument, field: "model"},
		"no note":              {request: &analysis.Request{Task: analysis.Report, Image: []byte("x")}, version: brought(analysis.OneOf, analysis.Image, analysis.Text), code: analysis.InvalidArgument, field: "model"},
		"nothing":              {request: &analysis.Request{Task: analysis.Report}, code: analysis.InvalidArgument, field: "study"},
		"always evicted":       {models: &shelf{evict: true}, code: analysis.Overloaded},
		"weights that changed": {models: &shelf{err: analysis.Invalid("weights", "they changed")}, code: analysis.BadUpstream, field: "model"},
		"encoder down":         {models: &shelf{err: analysis.Errorf(analysis.Unavailable, "down")}, code: analysis.Unavailable},
		"three logits":         {models: &shelf{loaded: true, logits: make([]float32, 3)}, code: analysis.BadUpstream},
		"NaN":                  {models: &shelf{loaded: true, logits: []float32{0, float32(math.NaN())}}, code: analysis.BadUpstream},
		"all infinite":         {models: &shelf{loaded: true, logits: []float32{float32(math.Inf(1)), 0}}, version: brought(analysis.OneOf, analysis.Image), code: analysis.BadUpstream},
		"text encoder down": {models: &shelf{loaded: true}, version: brought(analysis.OneOf, analysis.Image, analysis.Text),
			parts: &parts{fail: map[analysis.Modality]error{analysis.Text: analysis.Errorf(analysis.Unavailable, "down")}}, code: analysis.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if test.models == nil {
				test.models = &shelf{loaded: true, logits: []float32{1, 0}}
			}
			if test.request == nil {
				test.request = studied
			}
			if test.version == nil {
				test.version = brought(analysis.MultiLabel, analysis.Image)
			}
			if test.parts == nil {
				test.parts = &parts{}
			}
			j := &Judge{Text: test.parts, Models: test.models, Runner: test.models}
			_, err := j.Judge(t.Context(), test.request, test.version)
			if analysis.CodeOf(err) != test.code || test.field != "" && !strings.HasPrefix(err.Error(), test.field+":") {
				t.Errorf("got %v, want %s about %q", err, test.code, test.field)
			}
		})
	}
}

func TestManyStudiesWaitForOneModel(t *testing.T) {
	models := &shelf{logits: []float32{1, 0}}
	j := &Judge{Text: &parts{}, Models: models, Runner: models}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := j.Judge(t.Context(), studied, brought(analysis.MultiLabel, analysis.Image)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	models.loaded = false
	if err := j.Load(ended, brought(analysis.MultiLabel, analysis.Image)); err != nil && analysis.CodeOf(err) != analysis.Canceled {
		t.Errorf("a caller that went away: %v", err)
	}
}
