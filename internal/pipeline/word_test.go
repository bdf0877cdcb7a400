package pipeline

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
)

// words writes what it has for the first observation of a statement.
type words struct {
	drafts map[string][]string
	err    error
	wait   bool
	asked  []analysis.SentenceRequest
}

func (w *words) WriteSentence(ctx context.Context, r *analysis.SentenceRequest) (*analysis.Drafts, error) {
	w.asked = append(w.asked, *r)
	if w.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	return &analysis.Drafts{Texts: w.drafts[r.Statement.Asserts[0].Observation], Model: "sha256:words"}, nil
}

// seen is a result with an opacity, of which measurements say that it is on the right side.
func seen() *analysis.Result {
	return &analysis.Result{
		Findings: []analysis.Finding{
			{Label: "Consolidation", Probability: 0.8, Threshold: 0.5, Present: true, Modality: analysis.Image, Activation: &analysis.Grid{Rows: 1, Cols: 1, Values: []float32{1}}},
			{Label: "Effusion", Probability: 0.1, Threshold: 0.5, Modality: analysis.Image},
		},
		Models: map[string]string{"fusion": "fusion-digest"},
	}
}

func reported(t *testing.T, w *words, hear func(string, analysis.Sentence)) (*analysis.Result, analysis.Narrative) {
	t.Helper()
	p := (&parts{result: seen()}).pipeline()
	p.Segmenter, p.Writer = masks{made: []*analysis.Segmentation{segmentation(chest())}}, w
	ctx := t.Context()
	if hear != nil {
		ctx = WithSentences(ctx, hear)
	}
	result, err := p.Analyze(ctx, &imageReport)
	if err != nil {
		t.Fatal(err)
	}
	return result, Write(result, map[analysis.Modality]bool{analysis.Image: true})
}

func texts(n analysis.Narrative) (out []string) {
	for _, section := range n.Sections {
		for _, s := range section.Sentences {
			out = append(out, section.Name+": "+s.Text)
		}
	}
	return out
}

func TestWordsAreTakenIfTheyMayStand(t *testing.T) {
	w := &words{drafts: map[string][]string{
		chexpert.Consolidation:   {"Patchy consolidation in the right lower lobe.", "There is no consolidation.", "There is consolidation.", "Consolidation."},
		chexpert.PleuralEffusion: {"Large pleural effusion.", "No pleural effusion or pneumothorax."},
		chexpert.Cardiomegaly:    {"The heart is not enlarged."},
	}}
	var heard []string
	result, n := reported(t, w, func(section string, s analysis.Sentence) { heard = append(heard, section+": "+s.Text) })
	got := texts(n)
	for _, want := range []string{
		"findings: There is consolidation (probability 0.80, threshold 0.50).",
		"findings: Effusion: not found in the image (probability 0.10, threshold 0.50).",
		"findings: The heart is not enlarged (cardiothoracic ratio 0.50).",
		"impression: There is consolidation.",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if !slices.Equal(heard, got) {
		t.Errorf("heard %q, written %q", heard, got)
	}
	if result.Models["writer"] != "sha256:words" || len(result.Wordings) != 3 || len(result.Degraded) != 0 {
		t.Errorf("models %v, wordings %+v, degraded %v", result.Models, result.Wordings, result.Degraded)
	}
	for _, s := range n.Sections[0].Sentences {
		if len(s.Evidence)+len(s.Measurements) == 0 {
			t.Errorf("%q has no evidence", s.Text)
		}
	}
	for _, r := range w.asked {
		if r.Image == nil || len(r.Findings) != 2 || r.Findings[0].Activation != nil || r.Drafts < 1 {
			t.Errorf("asked with %+v", r)
		}
	}
}

// TestStoredWordsAreHeldToTheFindings has words that do not belong to the result: they are not shown.
func TestStoredWordsAreHeldToTheFindings(t *testing.T) {
	result := seen()
	statement := analysis.Statement{Asserts: []analysis.Assertion{{Observation: chexpert.PleuralEffusion}}}
	result.Wordings = []analysis.Wording{{Section: "findings", Statement: statement, Text: "There is pleural effusion."}}
	for _, text := range texts(Write(result, nil)) {
		if strings.Contains(text, "There is pleural") {
			t.Errorf("it says %q", text)
		}
	}
}

func TestTheWriterMayBeDown(t *testing.T) {
	for name, w := range map[string]*words{
		"down":    {err: analysis.Errorf(analysis.Unavailable, "the report writer is not reachable")},
		"busy":    {err: analysis.Errorf(analysis.Overloaded, "the report writer is busy")},
		"stalled": {wait: true},
	} {
		p := (&parts{result: seen()}).pipeline()
		p.Writer, p.EncoderTime = w, 50*time.Millisecond
		result, err := p.Analyze(t.Context(), &imageReport)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(w.asked) != 1 || len(result.Degraded) != 1 || !strings.Contains(result.Degraded[0].Reason, "fixed words: the report writer") {
			t.Errorf("%s: asked %d times, degraded %+v", name, len(w.asked), result.Degraded)
		}
		if got := texts(Write(result, nil)); !strings.HasPrefix(got[0], "findings: Consolidation: present in the image") {
			t.Errorf("%s: %q", name, got)
		}
		whole := imageReport
		whole.Whole = true
		if _, err := p.Analyze(t.Context(), &whole); analysis.CodeOf(err) != analysis.Unavailable && analysis.CodeOf(err) != analysis.Overloaded {
			t.Errorf("%s: the whole: %v", name, err)
		}
	}
	p := (&parts{result: seen()}).pipeline()
	p.Writer = &words{err: analysis.Errorf(analysis.BadUpstream, "nonsense")}
	if _, err := p.Analyze(t.Context(), &imageReport); analysis.CodeOf(err) != analysis.BadUpstream {
		t.Errorf("nonsense: %v", err)
	}
}
