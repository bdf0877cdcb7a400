package narrative

import (
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
)

// judged returns findings of the image, with + before the label of one that is present.
func judged(labels ...string) []analysis.Finding {
	var out []analysis.Finding
	for _, l := range labels {
		name, present := strings.CutPrefix(l, "+")
		out = append(out, analysis.Finding{Label: name, Present: present, Modality: analysis.Image})
	}
	return out
}

func measured(values map[string]float64) *analysis.Segmentation {
	s := &analysis.Segmentation{}
	for name, v := range values {
		s.Measurements = append(s.Measurements, analysis.Measurement{Name: name, Value: v})
	}
	return s
}

func TestStatement(t *testing.T) {
	findings := judged("+Pneumonia", "Effusion", "Cough")
	for name, c := range map[string]struct {
		right, left, glass, heart float64
		want                      analysis.Statement
		heartSaid, heartPresent   bool
	}{
		"nothing measured": {},
		"right":            {right: 0.3, left: 0.05, want: analysis.Statement{Side: "right"}},
		"left":             {right: 0.01, left: 0.3, want: analysis.Statement{Side: "left"}},
		"both":             {right: 0.4, left: 0.3, glass: 0.1, want: analysis.Statement{Side: "both", GroundGlass: true}},
		"little":           {right: 0.2, left: 0.01, glass: 0.1},
		"a normal heart":   {heart: 0.45, heartSaid: true},
		"a doubtful heart": {heart: 0.52},
		"a large heart":    {heart: 0.6, heartSaid: true, heartPresent: true},
	} {
		values := map[string]float64{analysis.LesionShareRightLung: c.right, analysis.LesionShareLeftLung: c.left, analysis.GroundGlassShare: c.glass}
		if c.heart > 0 {
			values[analysis.CardiothoracicRatio] = c.heart
		}
		f := FactsOf(findings, measured(values))
		s := f.Statement(chexpert.Pneumonia)
		if s.Side != c.want.Side || s.GroundGlass != c.want.GroundGlass || len(s.Asserts) != 1 || !s.Asserts[0].Present {
			t.Errorf("%s: %+v", name, s)
		}
		if s := f.Statement(chexpert.PleuralEffusion); s.Side != "" || s.Asserts[0].Present {
			t.Errorf("%s: effusion %+v", name, s)
		}
		if present, ok := f.Judged(chexpert.Cardiomegaly); ok != c.heartSaid || present != c.heartPresent {
			t.Errorf("%s: heart %v %v", name, present, ok)
		}
	}
}

func TestCarries(t *testing.T) {
	f := FactsOf(judged("+Pneumonia", "+Consolidation", "Effusion", "Edema", "Atelectasis"),
		measured(map[string]float64{analysis.LesionShareRightLung: 0.4, analysis.LesionShareLeftLung: 0.02, analysis.CardiothoracicRatio: 0.4}))
	for _, c := range []struct{ observation, sentence, why string }{
		{chexpert.Consolidation, "There is consolidation in the right lung.", ""},
		{chexpert.Consolidation, "Right-sided airspace consolidation", ""},
		{chexpert.PleuralEffusion, "No pleural effusion.", ""},
		{chexpert.PleuralEffusion, "There is no pleural effusion or edema.", ""},
		{chexpert.PleuralEffusion, "No bilateral pleural effusion.", ""},
		{chexpert.Cardiomegaly, "The heart is not enlarged.", ""},
		{chexpert.Pneumonia, "Findings consistent with pneumonia in the right lung", ""},
		{chexpert.Pneumonia, "There are lung opacities consistent with pneumonia", ""}, // pneumonia is an opacity

		{chexpert.PleuralEffusion, "There is pleural effusion.", "Pleural Effusion is positive in it, want negative"},
		{chexpert.PleuralEffusion, "The heart is not enlarged.", "Pleural Effusion is not mentioned"},
		{chexpert.PleuralEffusion, "No pleural effusion or pneumothorax.", "Pneumothorax is negative is nothing that was judged"},
		{chexpert.PleuralEffusion, "No pleural effusion, but edema.", "Edema is positive"},
		{chexpert.PleuralEffusion, "No effusion. The lungs are clear.", "Lung Opacity is negative"},
		{chexpert.Pneumonia, "Possible pneumonia", "want positive"},
		{chexpert.Consolidation, "Consolidation with possible edema", "Edema is uncertain"},
		{chexpert.Consolidation, "Consolidation in the left lung", `"left"`},
		{chexpert.Consolidation, "Bilateral consolidation", `"bilateral"`},
		{chexpert.Consolidation, "Consolidation in the right upper lobe", `"upper"`},
		{chexpert.Consolidation, "Large consolidation", `"large"`},
		{chexpert.Consolidation, "Consolidation has progressed", `"progressed"`},
		{chexpert.Consolidation, "Ground glass and consolidation", "Lung Opacity"},
		{chexpert.Pneumonia, "There is lung opacities consistent with pneumonia", `"there is" does not go with "opacities"`},
		{chexpert.Consolidation, "There are consolidation", `"there are" does not go with "consolidation"`},
		{chexpert.Pneumonia, "Pneumonia of both", `"both"`},
		{chexpert.Pneumonia, "Viral pneumonia", `"viral"`},
		{chexpert.Pneumonia, "Pneumonia with probability 0.9", "pneumonia"},
		{chexpert.Consolidation, "Consolidation, 12 %", `"12"`},
		{chexpert.Consolidation, "Consolidation and a tube", "Support Devices"},
		{chexpert.Consolidation, "Consolidation consolidation", "repeated"},
		{chexpert.Consolidation, "There is consolidation there is lung", "repeated"},
		{chexpert.Consolidation, "Consolidation" + strings.Repeat(" of the lung and", 20), "words"},
		{chexpert.Consolidation, "Consolidation <script>", `"<"`},
		{chexpert.Consolidation, "", "not mentioned"},
	} {
		err := f.Carries(f.Statement(c.observation), c.sentence)
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) && c.why != "pneumonia" && !(c.why == "Lung Opacity" && strings.Contains(err.Error(), "ground")) {
			t.Errorf("%s, %q: %v, want %q", c.observation, c.sentence, err, c.why)
		}
	}
	two := f.Statement(chexpert.Pneumonia, chexpert.Consolidation)
	if err := f.Carries(two, "Consolidation of the right lung"); err == nil {
		t.Error("half of a statement is taken for it")
	}
	if err := f.Carries(two, "Consolidation consistent with pneumonia"); err != nil {
		t.Error(err)
	}
}

func TestContradicts(t *testing.T) {
	f := FactsOf(judged("+Consolidation", "Effusion", "Infiltration"), nil)
	for sentence, want := range map[string][]string{
		"No consolidation":                {chexpert.Consolidation},
		"Possible effusion":               {chexpert.PleuralEffusion},
		"Effusion":                        {chexpert.PleuralEffusion},
		"The lungs are clear":             {chexpert.LungOpacity},
		"Opacities, no effusion":          nil, // consolidation is an opacity, whatever was judged of infiltration
		"Pneumothorax":                    nil, // nothing was judged of it
		"Consolidation: present in image": nil,
	} {
		if got := f.Contradicts(chexpert.Own, sentence); !slices.Equal(got, want) {
			t.Errorf("%q contradicts %v, want %v", sentence, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for sentence, want := range map[string]string{
		"Bilateral patchy areas of peripheral consolidation":                         "bilateral areas of consolidation",
		"Patchy peripheral opacities are seen at the lung fields mid to lower zones": "opacities are seen",
		"A small right pleural effusion is also seen":                                "a right pleural effusion is also seen",
		"No pleural effusion.":                                 "no pleural effusion",
		"There is hazy, predominantly perihilar opacification": "",
		"The dense consolidation at admission shows aeration":  "",
		"Possible pneumonia":                                   "",
		"Fever":                                                "",
	} {
		if got, ok := Shorten(sentence); got != want && ok || ok != (want != "") {
			t.Errorf("%q became %q, %v, want %q", sentence, got, ok, want)
		}
	}
}

func TestExamples(t *testing.T) {
	var texts []string
	for _, e := range Examples("There is no pleural effusion.") {
		texts = append(texts, e.Text)
		if len(e.Statement.Asserts) != 1 || e.Statement.Asserts[0].Present {
			t.Errorf("%+v", e)
		}
	}
	want := []string{"there is no pleural effusion", "there is no pleural thickening", "there is no pulmonary edema", "there is no consolidation",
		"there is no pneumonia", "there is no atelectasis", "there is no lung opacity", "there is no cardiomegaly"}
	if !slices.Equal(texts, want) {
		t.Errorf("%q, want %q", texts, want)
	}
	if got := Examples("Right-sided airspace consolidation"); len(got) != 1 || got[0].Statement.Side != analysis.RightSide {
		t.Errorf("%+v", got)
	}
	if got := Examples("Fever"); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestMeasuredOpacitiesAreNotDenied(t *testing.T) {
	for share, ok := range map[float64]bool{0.3: false, 0.01: true} {
		f := FactsOf(judged("Infiltration"), measured(map[string]float64{analysis.LesionShareRightLung: share}))
		if err := f.Carries(f.Statement(chexpert.LungOpacity), "No lung opacity."); (err == nil) != ok {
			t.Errorf("with a share of %v: %v", share, err)
		}
	}
}

// TestDeny: what masks show is not denied, whatever was judged.
func TestDeny(t *testing.T) {
	opaque := map[string]float64{analysis.LesionShareRightLung: 0.4, analysis.LesionShareLeftLung: 0.02}
	solid := map[string]float64{analysis.LesionShareRightLung: 0.4, analysis.LesionShareLeftLung: 0.02, analysis.ConsolidationShare: 0.2}
	for _, c := range []struct {
		findings    []string
		masks       map[string]float64
		observation string
		want        bool
	}{
		{[]string{"Infiltration", "Consolidation"}, nil, chexpert.LungOpacity, true},
		{[]string{"Infiltration", "+Edema"}, nil, chexpert.LungOpacity, false},
		{[]string{"Infiltration", "Consolidation"}, opaque, chexpert.LungOpacity, false},
		{[]string{"Infiltration", "Consolidation"}, opaque, chexpert.Consolidation, true},
		{[]string{"Infiltration", "Consolidation"}, solid, chexpert.Consolidation, false},
		{[]string{"+Mass", "Nodule"}, nil, chexpert.LungLesion, false},
		{[]string{"Edema"}, nil, chexpert.Fracture, false},
	} {
		if got := FactsOf(judged(c.findings...), measured(c.masks)).Deny(c.observation); got != c.want {
			t.Errorf("%v, masks %v: %s denied is %v, want %v", c.findings, c.masks, c.observation, got, c.want)
		}
	}
}
