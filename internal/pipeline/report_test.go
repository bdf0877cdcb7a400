package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// TestReportNeverContradictsFindings writes reports on random findings and reads them back.
func TestReportNeverContradictsFindings(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		present := map[analysis.Modality]bool{}
		result := &analysis.Result{}
		for _, modality := range analysis.Modalities {
			if present[modality] = random.IntN(2) == 0; !present[modality] {
				continue
			}
			if random.IntN(4) == 0 {
				result.Degraded = append(result.Degraded, analysis.Degradation{Modality: modality, Reason: "its encoder is not reachable"})
				continue
			}
			for i := range random.IntN(4) {
				f := analysis.Finding{Label: fmt.Sprintf("label%s%d", modality, i), Probability: random.Float64(), Threshold: random.Float64(), Modality: modality}
				if random.IntN(3) == 0 { // so close that two decimals hide the difference
					f.Threshold = f.Probability + (random.Float64()-0.5)*1e-4
				}
				f.Present = f.Probability >= f.Threshold
				result.Findings = append(result.Findings, f)
			}
		}
		narrative := Write(result, present)
		if narrative.Status != "preliminary" || !strings.Contains(narrative.Disclaimer, "not a medical device") {
			t.Fatalf("status %q, disclaimer %q", narrative.Status, narrative.Disclaimer)
		}
		findings, impression := narrative.Sections[0], narrative.Sections[1]
		if len(findings.Sentences) != len(result.Findings) {
			t.Fatalf("%d sentences for %d findings", len(findings.Sentences), len(result.Findings))
		}
		for _, sentence := range findings.Sentences {
			f := sentence.Evidence[0]
			if !strings.Contains(strings.ToLower(sentence.Text), f.Label) || strings.Contains(sentence.Text, ": present") != f.Present || strings.Contains(sentence.Text, "not found") == f.Present {
				t.Errorf("sentence %q on the evidence %+v", sentence.Text, f)
			}
			var p, threshold float64
			if _, err := fmt.Sscanf(sentence.Text[strings.Index(sentence.Text, "(probability"):], "(probability %f, threshold %f).", &p, &threshold); err != nil || (p >= threshold) != f.Present {
				t.Errorf("sentence %q shows figures that contradict %+v (%v)", sentence.Text, f, err)
			}
		}
		for _, sentence := range impression.Sentences {
			for _, f := range result.Findings {
				if strings.Contains(sentence.Text, f.Label) != f.Present {
					t.Errorf("impression %q on %+v", sentence.Text, f)
				}
			}
			if len(sentence.Evidence) == 0 {
				t.Errorf("impression %q has no evidence", sentence.Text)
			}
		}
		if (len(impression.Sentences) == 0) != (len(result.Findings) == 0) {
			t.Errorf("%d sentences of impression on %d findings", len(impression.Sentences), len(result.Findings))
		}
		omitted := map[analysis.Modality]bool{}
		for _, o := range narrative.NotAssessed {
			omitted[o.Modality] = true
			down := slices.ContainsFunc(result.Degraded, func(d analysis.Degradation) bool { return d.Modality == o.Modality })
			if strings.Contains(o.Reason, "its encoder is not reachable") != down {
				t.Errorf("%s is not assessed because %q, degraded %v", o.Modality, o.Reason, result.Degraded)
			}
		}
		for _, f := range result.Findings {
			if omitted[f.Modality] {
				t.Errorf("%s is called not assessed but %+v was judged", f.Modality, f)
			}
		}
		for _, modality := range analysis.Modalities {
			lost := slices.ContainsFunc(result.Degraded, func(d analysis.Degradation) bool { return d.Modality == modality })
			if (!present[modality] || lost) && !omitted[modality] {
				t.Errorf("the report keeps quiet about the absent %s", modality)
			}
		}
	}
}

func TestReportNamesWhatTheModelWasNotTrainedOn(t *testing.T) {
	judged := func(labels ...string) string {
		result := &analysis.Result{}
		for _, label := range labels {
			result.Findings = append(result.Findings, analysis.Finding{Label: label, Modality: analysis.Image})
		}
		for _, o := range Write(result, map[analysis.Modality]bool{analysis.Image: true}).NotAssessed {
			if o.Modality == analysis.Image {
				return o.Reason
			}
		}
		return ""
	}
	some := judged("Pneumonia", "Effusion", "Edema")
	if !strings.Contains(some, "pneumothorax") || strings.Contains(some, "pneumonia") || strings.Contains(some, "effusion") || !strings.Contains(some, "says nothing") {
		t.Errorf("with three labels of thirteen: %q", some)
	}
	if other := judged("Nodule"); other != "" {
		t.Errorf("of labels that are not CheXpert's: %q", other)
	}
}

// TestNoOpacityIsDeniedBesideOneOfItsKind: pneumonia and oedema are kinds of lung opacity, which Infiltration stands for.
func TestNoOpacityIsDeniedBesideOneOfItsKind(t *testing.T) {
	for _, c := range []struct {
		label   string
		present bool
		denied  bool
	}{{"Pneumonia", true, false}, {"Edema", true, false}, {"Effusion", true, true}, {"Pneumonia", false, true}} {
		result := &analysis.Result{Findings: []analysis.Finding{
			{Label: c.label, Probability: 0.5, Threshold: 0.4, Present: c.present, Modality: analysis.Image},
			{Label: "Infiltration", Probability: 0.1, Threshold: 0.2, Modality: analysis.Image},
		}}
		text := ""
		for _, s := range Write(result, map[analysis.Modality]bool{analysis.Image: true}).Sections[0].Sentences {
			text += s.Text
		}
		if !strings.Contains(text, c.label) || strings.Contains(text, "Infiltration: not found") != c.denied {
			t.Errorf("%s present: %v, the report says %q, want Infiltration denied: %v", c.label, c.present, text, c.denied)
		}
	}
}
