package pipeline

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"consilium/internal/analysis"
)

// parts implements all four interfaces and keeps what they were called with.
type parts struct {
	mu      sync.Mutex
	texts   []string
	strict  bool
	fused   []*analysis.FuseRequest
	calls   int // of the fusion
	blanks  int // how often a blank was encoded
	fail    map[analysis.Modality]error
	mangle  func(*analysis.Features)
	result  *analysis.Result
	answer  func(*analysis.FuseRequest) *analysis.Result // in place of result
	digest  string                                       // of the encoders, "" for one that says the modality
	waiting analysis.Modality                            // its encoder waits for its context's end
}

func (p *parts) features(ctx context.Context, modality analysis.Modality, n int) ([]*analysis.Features, error) {
	if p.waiting == modality {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := p.fail[modality]; err != nil {
		return nil, err
	}
	features := make([]*analysis.Features, n)
	for i := range features {
		f := &analysis.Features{Modality: modality, Vector: []float32{float32(i), 1}, Tokens: []float32{1, 2}, TokenCount: 1, TokenDim: 2, Model: string(modality) + "-digest"}
		if modality == analysis.Image {
			f.Rows, f.Cols = 1, 1
		}
		f.Notes = []analysis.Note{{Modality: modality, Kind: "resized", Detail: "detail"}}
		if p.digest != "" {
			f.Model = p.digest
		}
		if p.mangle != nil {
			p.mangle(f)
		}
		features[i] = f
	}
	return features, nil
}

func (p *parts) EncodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	p.mu.Lock()
	p.texts, p.strict = texts, strict
	p.mu.Unlock()
	return p.features(ctx, analysis.Text, len(texts))
}

func (p *parts) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	p.countBlank(images[0], greyPicture())
	return p.features(ctx, analysis.Image, len(images))
}

func (p *parts) EncodeAudio(ctx context.Context, sounds [][]byte, _ bool) ([]*analysis.Features, error) {
	p.countBlank(sounds[0], silence())
	return p.features(ctx, analysis.Audio, len(sounds))
}

func (p *parts) countBlank(content, blank []byte) {
	if bytes.Equal(content, blank) {
		p.mu.Lock()
		p.blanks++
		p.mu.Unlock()
	}
}

func (p *parts) Fuse(_ context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	p.calls++
	results := make([]*analysis.Result, len(requests))
	for i, request := range requests {
		var err error
		if results[i], err = p.fuse(request); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (p *parts) fuse(request *analysis.FuseRequest) (*analysis.Result, error) {
	p.mu.Lock()
	p.fused = append(p.fused, request)
	p.mu.Unlock()
	if err := p.fail["fusion"]; err != nil {
		return nil, err
	}
	if p.answer != nil {
		return p.answer(request), nil
	}
	if p.result != nil {
		return p.result, nil
	}
	return &analysis.Result{Answers: []analysis.Candidate{{Text: "yes", Probability: 0.75}, {Text: "no", Probability: 0.25}}, Models: map[string]string{"fusion": "fusion-digest"}}, nil
}

func (p *parts) pipeline() *Pipeline {
	return &Pipeline{Text: p, Vision: p, Radiographs: p, Audio: p, Fusion: p}
}

func TestAnalyzeEncodesWhatIsPresent(t *testing.T) {
	for name, test := range map[string]struct {
		request analysis.Request
		texts   []string
		models  []string
		notes   int
	}{
		"question alone":    {analysis.Request{Task: analysis.Question, Question: "q?"}, []string{"q?"}, []string{"fusion", "text"}, 1},
		"question and note": {analysis.Request{Task: analysis.Question, Question: "q?", Text: "note", Strict: true}, []string{"q?", "note"}, []string{"fusion", "text"}, 2},
		"all": {analysis.Request{Task: analysis.Question, Question: "q?", Text: "note", Image: []byte{1}, Audio: []byte{2}},
			[]string{"q?", "note"}, []string{"audio", "fusion", "image", "text"}, 4},
		"report on an image": {analysis.Request{Task: analysis.Report, Image: []byte{1}}, nil, []string{"fusion", "image"}, 1},
		"report on a note":   {analysis.Request{Task: analysis.Report, Text: "note"}, []string{"note"}, []string{"fusion", "text"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := &parts{}
			ctx, timing := WithTiming(context.Background())
			result, err := p.pipeline().Analyze(ctx, &test.request)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(p.texts, test.texts) || p.strict != test.request.Strict && test.texts != nil {
				t.Errorf("encoded texts %q strict %v, want %q strict %v", p.texts, p.strict, test.texts, test.request.Strict)
			}
			var models []string
			for name := range result.Models {
				models = append(models, name)
			}
			if slices.Sort(models); !slices.Equal(models, test.models) {
				t.Errorf("models %v, want %v", models, test.models)
			}
			if len(result.Notes) != test.notes {
				t.Errorf("%d notes, want %d", len(result.Notes), test.notes)
			}
			if f := p.fused[0]; (f.Question != nil) != (test.request.Task == analysis.Question) || (f.Text != nil) != (test.request.Text != "") ||
				(f.Image != nil) != (test.request.Image != nil) || (f.Audio != nil) != (test.request.Audio != nil) {
				t.Errorf("fused %+v for %+v", f, test.request)
			}
			stages := timing.Stages()
			if len(stages) < 3 || stages[len(stages)-1].Name != "total" {
				t.Errorf("timed %v, want at least an encoder, the fusion and the total at the end", stages)
			}
		})
	}
}

func TestAnalyzePassesErrorsThrough(t *testing.T) {
	question := &analysis.Request{Task: analysis.Question, Question: "q?", Image: []byte{1}}
	bad := func(change func(*analysis.Result)) *analysis.Result {
		result := &analysis.Result{Answers: []analysis.Candidate{{Text: "yes", Probability: 0.5}}, Models: map[string]string{}}
		change(result)
		return result
	}
	for name, test := range map[string]struct {
		parts   *parts
		request *analysis.Request
		want    analysis.Code
	}{
		"invalid":               {&parts{}, &analysis.Request{Task: analysis.Question}, analysis.InvalidArgument},
		"failure ends the rest": {&parts{waiting: analysis.Text, fail: map[analysis.Modality]error{analysis.Image: analysis.Errorf(analysis.BadUpstream, "nonsense")}}, question, analysis.BadUpstream},
		"plain error":           {&parts{fail: map[analysis.Modality]error{analysis.Text: errors.New("boom")}}, question, analysis.Internal},
		"panic":                 {&parts{mangle: func(*analysis.Features) { panic("boom") }}, question, analysis.Internal},
		"NaN":                   {&parts{mangle: func(f *analysis.Features) { f.Vector[0] = float32(math.NaN()) }}, question, analysis.BadUpstream},
		"wrong modality":        {&parts{mangle: func(f *analysis.Features) { f.Modality = analysis.Audio }}, question, analysis.BadUpstream},
		"half the tokens":       {&parts{mangle: func(f *analysis.Features) { f.Tokens = f.Tokens[:1] }}, question, analysis.BadUpstream},
		"no answer":             {&parts{result: bad(func(r *analysis.Result) { r.Answers = nil })}, question, analysis.BadUpstream},
		"probability above 1":   {&parts{result: bad(func(r *analysis.Result) { r.Answers[0].Probability = 2 })}, question, analysis.BadUpstream},
		"rising probabilities": {&parts{result: bad(func(r *analysis.Result) {
			r.Answers = []analysis.Candidate{{Text: "a", Probability: 0.1}, {Text: "b", Probability: 0.2}}
		})}, question, analysis.BadUpstream},
		"absent modality weighed": {&parts{result: bad(func(r *analysis.Result) {
			r.Modalities = []analysis.ModalityWeight{{Modality: analysis.Audio, Weight: 1}}
		})}, question, analysis.BadUpstream},
		"weights sum to 2": {&parts{result: bad(func(r *analysis.Result) {
			r.Modalities = []analysis.ModalityWeight{{Modality: analysis.Text, Weight: 1}, {Modality: analysis.Image, Weight: 1}}
		})}, question, analysis.BadUpstream},
		"finding against its threshold": {&parts{result: bad(func(r *analysis.Result) {
			r.Findings = []analysis.Finding{{Label: "x", Probability: 0.9, Threshold: 0.5, Modality: analysis.Image}}
		})}, question, analysis.BadUpstream},
		"activation of the wrong size": {&parts{result: bad(func(r *analysis.Result) {
			r.Findings = []analysis.Finding{{Label: "x", Modality: analysis.Image, Threshold: 0.5, Activation: &analysis.Grid{Rows: 1, Cols: 2, Values: []float32{1}}}}
		})}, question, analysis.BadUpstream},
		"activation above 1": {&parts{result: bad(func(r *analysis.Result) {
			r.Findings = []analysis.Finding{{Label: "x", Modality: analysis.Image, Threshold: 0.5, Activation: &analysis.Grid{Rows: 1, Cols: 1, Values: []float32{2}}}}
		})}, question, analysis.BadUpstream},
		"activation of a text": {&parts{result: bad(func(r *analysis.Result) {
			r.Findings = []analysis.Finding{{Label: "x", Modality: analysis.Text, Threshold: 0.5, Activation: &analysis.Grid{Rows: 1, Cols: 1, Values: []float32{1}}}}
		})}, question, analysis.BadUpstream},
		"attention of the wrong size": {&parts{result: bad(func(r *analysis.Result) { r.Attention = &analysis.Grid{Rows: 7, Cols: 7} })}, question, analysis.BadUpstream},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := test.parts.pipeline().Analyze(context.Background(), test.request)
			if analysis.CodeOf(err) != test.want || result != nil {
				t.Errorf("got %v and the error %v, want code %s", result, err, test.want)
			}
		})
	}
}

func TestEmbedKeepsTheOrder(t *testing.T) {
	inputs := []Input{{Modality: analysis.Text, Text: "a"}, {Modality: analysis.Image, Data: []byte{1}}, {Modality: analysis.Text, Text: "b"}, {Modality: analysis.Audio, Data: []byte{2}}, {Modality: analysis.Image, Data: []byte{3}}}
	features, err := (&parts{}).pipeline().Embed(context.Background(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		modality analysis.Modality
		position float32
	}{{analysis.Text, 0}, {analysis.Image, 0}, {analysis.Text, 1}, {analysis.Audio, 0}, {analysis.Image, 1}} {
		if features[i].Modality != want.modality || features[i].Vector[0] != want.position {
			t.Errorf("input %d: got %s %v, want %s %v", i, features[i].Modality, features[i].Vector[0], want.modality, want.position)
		}
	}
}
