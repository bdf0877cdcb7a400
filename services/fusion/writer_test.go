package fusion

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
	"consilium/internal/narrative"
)

func TestWriterProbe(t *testing.T) {
	w := open(t).Writer()
	if *update {
		drafts, err := w.WriteSentence(t.Context(), w.goldenRequest())
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(drafts.Texts[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("weights/golden.report.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Skip("wrote weights/golden.report.json; run again without -update")
	}
	if err := w.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWriterStatesWhatItIsAskedFor has every observation that the platform judges written as present and as absent: a draft
// of each is fit for a report.
func TestWriterStatesWhatItIsAskedFor(t *testing.T) {
	w := open(t).Writer()
	for _, label := range []string{"Edema", "Effusion", "Infiltration", "Pleural_Thickening", "Pneumonia", "Atelectasis", "Consolidation", "Cardiomegaly"} {
		for _, present := range []bool{true, false} {
			r := w.goldenRequest()
			f := analysis.Finding{Label: label, Probability: 0.2, Threshold: 0.5, Modality: analysis.Image}
			if f.Present = present; present {
				f.Probability = 0.8
			}
			r.Findings, r.Drafts = []analysis.Finding{f}, 8
			facts := narrative.FactsOf(r.Findings, nil)
			r.Statement = facts.Statement(chexpert.Of(label))
			drafts, err := w.WriteSentence(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if drafts.Model != w.Digest() || !slices.ContainsFunc(drafts.Texts, func(s string) bool { return facts.Carries(r.Statement, s) == nil }) {
				t.Errorf("%s, present %v: no draft of %q may stand", label, present, drafts.Texts)
			}
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	w := open(t).Writer()
	for name, c := range map[string]struct {
		change func(r *analysis.SentenceRequest)
		want   string
	}{
		"no drafts":        {func(r *analysis.SentenceRequest) { r.Drafts = 0 }, "drafts"},
		"too many drafts":  {func(r *analysis.SentenceRequest) { r.Drafts = analysis.MaxDrafts + 1 }, "drafts"},
		"no image":         {func(r *analysis.SentenceRequest) { r.Image = nil }, "image"},
		"half an image":    {func(r *analysis.SentenceRequest) { r.Image.Tokens = r.Image.Tokens[:5] }, "image"},
		"another grid":     {func(r *analysis.SentenceRequest) { r.Image.Rows, r.Image.Cols = 49, 1 }, "image"},
		"not finite":       {func(r *analysis.SentenceRequest) { r.Image.Tokens[3] = float32(math.NaN()) }, "image"},
		"nothing to state": {func(r *analysis.SentenceRequest) { r.Statement.Asserts = nil }, "statement"},
		"unknown":          {func(r *analysis.SentenceRequest) { r.Statement.Asserts[0].Observation = "Joy" }, "statement"},
		"unknown side":     {func(r *analysis.SentenceRequest) { r.Statement.Side = "up" }, "side"},
		"a probability":    {func(r *analysis.SentenceRequest) { r.Findings[0].Probability = math.NaN() }, "findings"},
	} {
		r := w.goldenRequest()
		c.change(r)
		_, err := w.WriteSentence(t.Context(), r)
		if analysis.CodeOf(err) != analysis.InvalidArgument || !strings.HasPrefix(err.Error(), c.want+":") {
			t.Errorf("%s: %v, want an invalid %s", name, err, c.want)
		}
	}
}

// BenchmarkSentence measures one sentence with its drafts.
func BenchmarkSentence(b *testing.B) {
	s, err := New(Config{Device: "cpu", Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := s.Writer().goldenRequest()
	r.Drafts = 8
	for b.Loop() {
		if _, err := s.Writer().WriteSentence(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
