package pipeline

import (
	"context"
	"math"
	"reflect"
	"slices"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/media"
)

func TestTotalVariation(t *testing.T) {
	list := func(probabilities map[string]float64) (l []analysis.Candidate) {
		for text, p := range probabilities {
			l = append(l, analysis.Candidate{Text: text, Probability: p})
		}
		return l
	}
	for name, test := range map[string]struct {
		a, b map[string]float64
		want float64
	}{
		"the same":          {map[string]float64{"a": 0.75, "b": 0.25}, map[string]float64{"b": 0.25, "a": 0.75}, 0},
		"nothing in common": {map[string]float64{"a": 1}, map[string]float64{"b": 1}, 1},
		"a quarter moved":   {map[string]float64{"a": 0.75, "b": 0.25}, map[string]float64{"a": 0.5, "b": 0.5}, 0.25},
		"cut lists":         {map[string]float64{"a": 0.75}, map[string]float64{"a": 0.5}, 0.25},
		"another answer":    {map[string]float64{"a": 0.5}, map[string]float64{"b": 0.5}, 0.5},
		"rounded above 1":   {map[string]float64{"a": 1.0001}, map[string]float64{"b": 1.0001}, 1},
	} {
		if got := totalVariation(list(test.a), list(test.b)); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if a, b := totalVariation(list(test.a), list(test.b)), totalVariation(list(test.b), list(test.a)); a != b {
			t.Errorf("%s: %v one way and %v the other", name, a, b)
		}
	}
}

func TestShuffledIsTheSameEveryTimeAndLosesNothing(t *testing.T) {
	f := &analysis.Features{Modality: analysis.Image, Vector: []float32{7}, TokenCount: 49, TokenDim: 2, Rows: 7, Cols: 7, Model: "m"}
	for i := range 49 {
		f.Tokens = append(f.Tokens, float32(i), float32(-i))
	}
	other := shuffled(f)
	var order []int
	for i := range 49 {
		if other.Tokens[2*i] != -other.Tokens[2*i+1] {
			t.Fatalf("token %d was torn apart", i)
		}
		order = append(order, int(other.Tokens[2*i]))
	}
	if !reflect.DeepEqual(shuffled(f), other) {
		t.Error("the second shuffle is another one")
	}
	// A change of the generator would make stored measurements incomparable with new ones.
	if want := []int{9, 17, 5, 38, 31, 33}; !slices.Equal(order[:6], want) {
		t.Errorf("the shuffle begins with %v, want %v", order[:6], want)
	}
	slices.Sort(order)
	if order[0] != 0 || order[48] != 48 || len(slices.Compact(order)) != 49 {
		t.Error("a token is lost")
	}
	if other.Tokens = f.Tokens; !reflect.DeepEqual(other, f) {
		t.Error("the shuffle changed more than the tokens' order")
	}
}

// TestBlanksAreReadable decodes the blanks as the encoders do.
func TestBlanksAreReadable(t *testing.T) {
	picture, err := media.DecodeImage(greyPicture())
	if err != nil {
		t.Fatal(err)
	}
	if v := media.ImageTensor(picture.Image, 224); slices.ContainsFunc(v, func(v float32) bool { return v != 0 }) {
		t.Error("the grey picture is not all 0 to the encoder")
	}
	sound, err := media.DecodeWAV(silence(), true)
	if err != nil || len(sound.Samples) != 8000 || len(sound.Notes) != 0 {
		t.Errorf("the silence decodes to %+v, %v", sound, err)
	}
}

// byContent answers "seen" for what an encoder made of the request and something else for what was changed.
func byContent(request *analysis.FuseRequest) *analysis.Result {
	yes := 0.75
	switch {
	case request.Image != nil && request.Image.Vector[0] == 9: // the blank, see TestReliance
		yes = 0.25
	case request.Image != nil && request.Image.Tokens[0] != 1: // another order
		yes = 0.5625
	}
	result := &analysis.Result{Models: map[string]string{"fusion": "fusion-digest"}}
	for _, c := range []analysis.Candidate{{Text: "yes", Probability: yes}, {Text: "no", Probability: 1 - yes}} {
		if len(result.Answers) > 0 && c.Probability > yes {
			result.Answers = append([]analysis.Candidate{c}, result.Answers...)
		} else {
			result.Answers = append(result.Answers, c)
		}
	}
	return result
}

// grid gives each image four tokens, and a vector of its own to the blank.
type grid struct{ *parts }

func (g grid) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	features, err := g.parts.EncodeImage(ctx, images)
	if err != nil {
		return nil, err
	}
	f := features[0]
	f.Tokens, f.TokenCount, f.TokenDim, f.Rows, f.Cols = []float32{1, 2, 3, 4}, 4, 1, 2, 2
	if len(images[0]) > 10 {
		f.Vector[0] = 9
	}
	return features, nil
}

// changing has something happen before it encodes the blank.
type changing struct {
	*parts
	late func(*parts)
}

func (c changing) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	if len(images[0]) > 1 {
		c.late(c.parts)
	}
	return c.parts.EncodeImage(ctx, images)
}

func TestReliance(t *testing.T) {
	p := &parts{answer: byContent}
	line := &Pipeline{Text: p, Vision: grid{p}, Radiographs: grid{p}, Audio: p, Fusion: p}
	request := &analysis.Request{Task: analysis.Question, Question: "q?", Image: []byte{1}, Audio: []byte{2}, Candidates: 1}
	want := []analysis.Reliance{
		{Modality: analysis.Image, Score: 0.5,
			Blank:    analysis.Counterfactual{Answer: "no", Confidence: 0.75, Changed: true, Divergence: 0.5},
			Shuffled: analysis.Counterfactual{Answer: "yes", Confidence: 0.5625, Divergence: 0.1875}},
		{Modality: analysis.Audio,
			Blank:    analysis.Counterfactual{Answer: "yes", Confidence: 0.75},
			Shuffled: analysis.Counterfactual{Answer: "yes", Confidence: 0.75}},
	}
	ctx, timing := WithTiming(context.Background())
	result, err := line.Analyze(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(result.Reliance, want) {
		t.Errorf("reliance %+v, want %+v", result.Reliance, want)
	}
	if len(result.Answers) != 1 || result.Answers[0].Text != "yes" || result.Degraded != nil {
		t.Errorf("answers %+v, degraded %v", result.Answers, result.Degraded)
	}
	if p.calls != 1 || len(p.fused) != 5 || p.fused[0].Candidates != analysis.MaxAnswers {
		t.Errorf("the fusion was asked %d times in %d calls, first for %d answers", len(p.fused), p.calls, p.fused[0].Candidates)
	}
	for i, r := range p.fused[1:] { // what a change leaves as it was is shared
		if was := p.fused[0]; r.Question != was.Question || (i < 2) != (r.Audio == was.Audio) || (i < 2) != (r.Image != was.Image) {
			t.Errorf("change %d shares question, image and sound: %t, %t, %t", i, r.Question == was.Question, r.Image == was.Image, r.Audio == was.Audio)
		}
	}
	if !slices.ContainsFunc(timing.Stages(), func(s analysis.Stage) bool { return s.Name == "reliance" }) {
		t.Errorf("timed %v, without the reliance", timing.Stages())
	}
	if result, err = line.Analyze(ctx, request); err != nil || !reflect.DeepEqual(result.Reliance, want) || p.blanks != 2 {
		t.Errorf("the second time: %v, %v, with %d blanks encoded", result, err, p.blanks)
	}
	p.digest = "another"
	if _, err = line.Analyze(ctx, request); err != nil || p.blanks != 4 {
		t.Errorf("with other models: %v, with %d blanks encoded", err, p.blanks)
	}
	for name, other := range map[string]*analysis.Request{
		"question alone": {Task: analysis.Question, Question: "q?", Text: "note"},
		"report":         {Task: analysis.Report, Image: []byte{1}},
	} {
		p.fused = nil
		if result, err := line.Analyze(ctx, other); err != nil || result.Reliance != nil || len(p.fused) != 1 {
			t.Errorf("%s: reliance %v, %v, the fusion was asked %d times", name, result.Reliance, err, len(p.fused))
		}
	}
}

// TestRelianceMayBeUnknown has a part go away, or its model change, after the image was encoded.
func TestRelianceMayBeUnknown(t *testing.T) {
	request := analysis.Request{Task: analysis.Question, Question: "q?", Image: []byte{1}}
	const reason = "how much the answer depends on the image could not be measured"
	for name, test := range map[string]struct {
		late func(p *parts) // before the blank is encoded
		want analysis.Code  // when the whole is wanted
	}{
		"another fusion": {late: func(p *parts) {
			p.answer = func(*analysis.FuseRequest) *analysis.Result {
				result := byContent(&analysis.FuseRequest{})
				if len(p.fused) > 1 {
					result.Models = map[string]string{"fusion": "another"}
				}
				return result
			}
		}, want: analysis.Unavailable},
		"another encoder": {late: func(p *parts) { p.digest = "another" }, want: analysis.Unavailable},
		"busy encoder": {late: func(p *parts) {
			p.fail = map[analysis.Modality]error{analysis.Image: analysis.Errorf(analysis.Overloaded, "busy")}
		}, want: analysis.Overloaded},
	} {
		for _, whole := range []bool{false, true} {
			p := &parts{}
			line := p.pipeline()
			line.Vision = changing{p, test.late}
			request.Whole = whole
			result, err := line.Analyze(context.Background(), &request)
			switch {
			case whole && analysis.CodeOf(err) != test.want:
				t.Errorf("%s: %v, want %s", name, err, test.want)
			case !whole && (err != nil || len(result.Degraded) != 1 || result.Degraded[0] != analysis.Degradation{Modality: analysis.Image, Reason: reason} || result.Reliance != nil):
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
	}
	nonsense := &parts{}
	nonsense.answer = func(*analysis.FuseRequest) *analysis.Result {
		if len(nonsense.fused) == 1 {
			return byContent(&analysis.FuseRequest{})
		}
		return &analysis.Result{}
	}
	request.Whole = false
	if _, err := nonsense.pipeline().Analyze(context.Background(), &request); analysis.CodeOf(err) != analysis.BadUpstream {
		t.Errorf("a fusion that breaks its contract: %v", err)
	}
}
