package reportdoc

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"consilium/internal/analysis"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "two\nlines\tand\r\u2028more": "two lines and  more", "caf\xe9": "caf\uFFFD", "a\x00b\u0085": "a\uFFFDb\uFFFD",
		"\u202Etluser\u202C": "\uFFFDtluser\uFFFD", "\u200F\u061C\u2069": "\uFFFD\uFFFD\uFFFD", "\uFEFF\U0001FFFE": "\uFFFD\uFFFD", "右肺 עברית 🫁 <b>": "右肺 עברית 🫁 <b>",
	} {
		if got := Plain(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("\u202E\xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		got := Plain(text)
		if got != strings.ToValidUTF8(got, "") || strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func TestStanding(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	by := analysis.Person{Name: "Ada Vogt", Role: "radiologist"}
	events := []analysis.ReportEvent{
		{Revision: 1, Action: analysis.CreateReport, Status: analysis.ReportPreliminary, Version: 1, At: at},
		{Revision: 2, Action: analysis.SignReport, Status: analysis.ReportFinal, Version: 1, By: by, At: at},
		{Revision: 3, Action: analysis.AmendReport, Status: analysis.ReportAmended, Version: 2, By: by, Reason: "second look", At: at},
		{Revision: 4, Action: analysis.RejectReport, Status: analysis.ReportRejected, Version: 2, By: by, Reason: "wrong patient", At: at},
	}
	const signed = "signed by Ada Vogt (radiologist) on 2026-11-22 12:00:00 UTC"
	for _, test := range []struct {
		events, version int
		want            []string
	}{
		{1, 1, []string{"Preliminary: no person has signed this report."}},
		{2, 1, []string{"Final: " + signed + "."}},
		{3, 2, []string{"Amended and " + signed + ": second look"}},
		{3, 1, []string{"Final: " + signed + ".", "This is version 1. Version 2 has taken its place."}},
		{4, 1, []string{"Rejected by Ada Vogt (radiologist) on 2026-11-22 12:00:00 UTC: wrong patient", "Do not use this report.", "This is version 1. Version 2 has taken its place."}},
	} {
		d := &Document{Report: &analysis.DiagnosticReport{Version: test.version, Events: events[:test.events]}}
		if got := strings.Join(d.Standing(), " "); got != strings.Join(test.want, " ") {
			t.Errorf("version %d after %d events: %s", test.version, test.events, got)
		}
	}
}

func TestFiguresNeverLookAlike(t *testing.T) {
	finding := analysis.Finding{Label: "nodule", Probability: 0.49999999, Threshold: 0.5, Modality: analysis.Image}
	d := &Document{Report: &analysis.DiagnosticReport{Result: &analysis.Result{Models: map[string]string{"fusion": "abc"}}}}
	got := d.Evidence(&analysis.Sentence{Evidence: []analysis.Finding{finding}})
	if want := "nodule: not present; probability 0.49999999, threshold 0.5, from the image, model abc"; len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCodesAreForOurOwnLabels(t *testing.T) {
	ours := &Document{Report: &analysis.DiagnosticReport{Result: &analysis.Result{}}}
	theirs := &Document{Report: &analysis.DiagnosticReport{Result: &analysis.Result{Brought: &analysis.BroughtModel{Digest: "sha256:x"}}}}
	finding := analysis.Finding{Label: "Pneumonia"}
	if term, ok := ours.Term(&finding); !ok || term.Code != "233604007" {
		t.Error(term, ok)
	}
	finding.Model = "sha256:x"
	if term, ok := theirs.Term(&finding); ok {
		t.Errorf("a label of a model that a user brought means %v", term)
	}
	if _, ok := ours.Term(&analysis.Finding{Label: "triangle"}); ok {
		t.Error("a triangle has a code")
	}
}

// The evidence of a sentence and the finding of the result are read from two places, and say where a finding was seen
// each in memory of its own.
func TestAFindingIsKnownByWhatItJudges(t *testing.T) {
	seen := func() *analysis.Finding {
		return &analysis.Finding{Label: "Edema", Modality: analysis.Image, Probability: 0.8, Activation: &analysis.Grid{Rows: 1, Cols: 1, Values: []float32{1}}}
	}
	d := &Document{Report: &analysis.DiagnosticReport{Narrative: analysis.Narrative{Sections: []analysis.Section{{Name: "findings", Sentences: []analysis.Sentence{
		{Text: "No edema.", WrittenBy: analysis.ByPerson, Evidence: []analysis.Finding{*seen()}},
		{Text: "Edema of a sound.", WrittenBy: analysis.ByPerson, Evidence: []analysis.Finding{{Label: "Edema", Modality: analysis.Audio}}},
	}}}}}}
	if got := d.Replaced(seen()); got != "No edema." {
		t.Errorf("a person wrote %q", got)
	}
	unseen := *seen()
	unseen.Activation = nil // as the impression has it
	sections := &d.Report.Narrative.Sections
	*sections = append(*sections, analysis.Section{Name: "impression", Sentences: []analysis.Sentence{{Evidence: []analysis.Finding{unseen}}}})
	if all := d.Findings(); len(all) != 2 || all[0].Activation == nil {
		t.Errorf("two findings are listed as %v", all)
	}
}
