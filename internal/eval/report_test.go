package eval

import (
	"io"
	"math"
	"slices"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
	"consilium/internal/dataset"
)

// TestReportsAreReadBack adds two reports: words that may stand, and a first draft that may not.
func TestReportsAreReadBack(t *testing.T) {
	result := &analysis.Result{
		Findings: []analysis.Finding{
			{Label: "Consolidation", Probability: 0.9, Threshold: 0.5, Present: true, Modality: analysis.Image},
			{Label: "Effusion", Probability: 0.1, Threshold: 0.5, Modality: analysis.Image},
		},
		Models: map[string]string{},
	}
	statements := []analysis.Statement{
		{Asserts: []analysis.Assertion{{Observation: chexpert.Consolidation, Present: true}}},
		{Asserts: []analysis.Assertion{{Observation: chexpert.PleuralEffusion}}},
	}
	drafts := [][]string{{"Large consolidation.", "There is consolidation."}, {"Clear."}}
	result.Wordings = []analysis.Wording{{Section: "findings", Statement: statements[0], Text: "There is consolidation."}}
	w := &writtenReports{}
	w.add(io.Discard, result, &recorder{statements: statements, drafts: drafts}, chexpert.Own)
	one := w.reports[0]
	if w.refused.share() != 1 || w.worded.share() != 0.5 || one.stated != 3 || one.contradicting != 0 {
		t.Errorf("refused %v, worded %v, %+v", w.refused, w.worded, one)
	}
	if !one.labels[chexpert.Consolidation] || one.labels[chexpert.PleuralEffusion] || one.labels[chexpert.NoFinding] {
		t.Errorf("labels %v", one.labels)
	}
	want := []string{"There is consolidation.", "Effusion: not found in the image."}
	if !slices.Equal(one.findings, want) || one.plain[0] != "Consolidation: present in the image." {
		t.Errorf("findings %q, plain %q", one.findings, one.plain)
	}
}

func TestReportFigures(t *testing.T) {
	set := func(observations ...string) map[string]bool {
		m := map[string]bool{}
		for _, o := range observations {
			m[o] = true
		}
		return m
	}
	of := func(patient string, vector []float32, labels map[string]bool, sentences ...string) reportCase {
		return reportCase{film: dataset.Film{Patient: patient, NIH: sentences == nil}, labels: labels, sentences: sentences, vector: vector}
	}
	cases := map[string][]reportCase{
		"train": {
			of("a", []float32{1, 0}, set(chexpert.Edema)), of("b", []float32{0, 1}, set(chexpert.Pneumonia), "There is pneumonia in the lung"),
			of("c", []float32{1, 1}, set(chexpert.Pneumonia), "There is pneumonia in the lung"),
		},
		"test": {
			of("d", []float32{1, 0.1}, set(chexpert.Edema)), of("e", []float32{0, 1}, set(chexpert.Pneumonia), "There is pneumonia in the lung"),
			of("f", []float32{0, 1}, set(chexpert.Pneumonia), "No edema in the lung"),
		},
	}
	w := &writtenReports{reports: []writtenReport{
		{labels: set(chexpert.Edema), stated: 1},
		{labels: set(chexpert.Pneumonia), findings: []string{"There is pneumonia in the lung."}, plain: []string{"Pneumonia."}, stated: 1},
		{labels: set(chexpert.Edema), findings: []string{"There is edema."}, plain: []string{"Edema."}, stated: 1, contradicting: 1},
	}}
	got := map[string]Figure{}
	for _, f := range w.figures("", cases, true) {
		got[f.Metric] = f
	}
	for metric, want := range map[string][2]float64{ // value and cases
		"label-f1": {2.0 / 3, 3}, "label-f1-nih": {1, 1}, "label-f1-majority": {2.0 / 3, 3}, "label-f1-nearest": {1, 3}, "label-f1-over-nearest": {-1.0 / 3, 3},
		"contradictions": {1, 3}, "rouge-l-plain": {(2.0/7 + 1.0/3) / 2, 2},
		"bleu-4-nearest": {math.Sqrt(math.Sqrt(9.0 / 12 * 7 / 10 * 5 / 8 * 3 / 6)), 2}, // matches of each order over n-grams
	} {
		f, ok := got[metric]
		if d := f.Value - want[0]; !ok || d > 1e-9 || d < -1e-9 || float64(f.N) != want[1] {
			t.Errorf("%s is %v of %d, want %v", metric, f.Value, f.N, want)
		}
	}
	if f := got["label-f1"]; f.Floor != 1 || f.Low > f.Value || f.High < f.Value {
		t.Errorf("label-f1 %+v", f)
	}
}
