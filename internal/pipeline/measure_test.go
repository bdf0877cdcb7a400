package pipeline

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/mask"
)

// box is a rectangle of cells, its ends exclusive.
type box struct{ left, top, right, bottom int }

// side is that of the masks in these tests.
const side = 100

// chest is a plausible film: the lungs 20 columns wide and 50 rows high each, 70 columns from edge to edge, a heart of 35.
func chest() map[string][]box {
	return map[string][]box{
		analysis.RightLung: {{15, 20, 35, 70}}, analysis.LeftLung: {{65, 20, 85, 70}}, analysis.Heart: {{35, 50, 70, 70}},
		analysis.Lesion: {{15, 20, 35, 30}, {65, 60, 70, 70}}, analysis.GroundGlass: {{15, 20, 35, 30}}, analysis.Consolidation: {{65, 60, 70, 70}},
	}
}

func segmentation(boxes map[string][]box) *analysis.Segmentation {
	s := &analysis.Segmentation{Rows: side, Cols: side, Model: "sha256:masks"}
	for _, name := range analysis.Structures {
		m, confidence := mask.New(side, side), 0.0
		for _, b := range boxes[name] {
			for y := b.top; y < b.bottom; y++ {
				for x := b.left; x < b.right; x++ {
					m.On[y*side+x], confidence = true, 0.97
				}
			}
		}
		s.Masks = append(s.Masks, analysis.Mask{Structure: name, Runs: m.Runs(), Confidence: confidence})
	}
	return s
}

// masks is a Segmenter that says what it was told to.
type masks struct {
	made []*analysis.Segmentation
	err  error
	wait bool
}

func (m masks) Segment(ctx context.Context, _ [][]byte) ([]*analysis.Segmentation, error) {
	if m.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.made, m.err
}

var imageReport = analysis.Request{Task: analysis.Report, Image: []byte{1}}

func judged() *analysis.Result {
	return &analysis.Result{
		Findings: []analysis.Finding{{Label: "pneumonia", Probability: 0.8, Threshold: 0.5, Present: true, Modality: analysis.Image}},
		Models:   map[string]string{"fusion": "fusion-digest"},
	}
}

func TestAReportMeasuresTheMasks(t *testing.T) {
	p := (&parts{result: judged()}).pipeline()
	boxes := chest()
	boxes[analysis.Lesion][0].bottom, boxes[analysis.GroundGlass][0].bottom = 50, 50
	s := segmentation(boxes)
	p.Segmenter = masks{made: []*analysis.Segmentation{s}}
	ctx, timing := WithTiming(t.Context())
	result, err := p.Analyze(ctx, &imageReport)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"right_lung_area": 0.1, "left_lung_area": 0.1, "cardiothoracic_ratio": 0.5, "lesion_share_right_lung": 0.6, "lesion_share_left_lung": 0.05,
		"ground_glass_share": 0.3, "consolidation_share": 0.025,
	}
	got := result.Segmentation.Measurements
	if len(got) != len(want) {
		t.Fatalf("measured %+v", got)
	}
	for _, m := range got {
		if math.Abs(m.Value-want[m.Name]) > 1e-9 || m.Modality != analysis.Image || len(m.Structures) == 0 || m.Unit == "" {
			t.Errorf("measured %+v, want %v", m, want[m.Name])
		}
	}
	if len(s.Measurements) != 0 {
		t.Error("what the segmenter returned was changed")
	}
	if result.Models["segmentation"] != "sha256:masks" || len(result.Degraded) != 0 {
		t.Errorf("models %v, degraded %v", result.Models, result.Degraded)
	}
	timed := false
	for _, stage := range timing.Stages() {
		timed = timed || stage.Name == "segmentation"
	}
	if !timed {
		t.Errorf("the stages are %v", timing.Stages())
	}

	n := Write(result, map[analysis.Modality]bool{analysis.Image: true})
	if len(n.Sections) != 3 || n.Sections[1].Name != "measurements" {
		t.Fatalf("sections %+v", n.Sections)
	}
	var text []string
	evidence := 0
	for _, sentence := range n.Sections[1].Sentences {
		text, evidence = append(text, sentence.Text), evidence+len(sentence.Measurements)
		if len(sentence.Measurements) == 0 || sentence.Evidence == nil {
			t.Errorf("%q rests on %v and %v", sentence.Text, sentence.Measurements, sentence.Evidence)
		}
	}
	all := strings.Join(text, "\n")
	for _, part := range []string{"right lung covers 10.0 % of the picture, the left lung 10.0 %", "Cardiothoracic ratio: 0.50", "60.0 % of the right lung and 5.0 % of the left", "30.0 % are marked as ground glass and 2.5 % as consolidation"} {
		if !strings.Contains(all, part) {
			t.Errorf("the report lacks %q:\n%s", part, all)
		}
	}
	if evidence != len(want) {
		t.Errorf("%d measurements are evidence, want %d", evidence, len(want))
	}
	if !strings.Contains(reasons(n), "Pleural effusion was not measured") {
		t.Errorf("not assessed: %v", n.NotAssessed)
	}
}

func TestAReportNamesNoKindOfOpacityWhereHealthyLungsShowAsMuch(t *testing.T) {
	usual := analysis.UsualLesionShare
	for name, test := range map[string]struct {
		rows  int // of the right lung's 50, marked as ground glass
		says  string
		kinds bool
	}{
		"nothing marked":    {0, "marks 0.0 % of the right lung and 5.0 % of the left lung as opacities, no more than on healthy films", false},
		"as on healthy":     {int(50 * usual), "as opacities, no more than on healthy films", false},
		"more than healthy": {int(50*usual) + 1, "as opacities, more than on most healthy films", true},
	} {
		boxes := chest()
		marked := box{15, 20, 35, 20 + test.rows}
		boxes[analysis.Lesion][0], boxes[analysis.GroundGlass] = marked, []box{marked}
		s := segmentation(boxes)
		if err := Measure(s); err != nil || s.Problem != "" {
			t.Fatalf("%s: %v %s", name, err, s.Problem)
		}
		var text []string
		for _, sentence := range measured(s) {
			text = append(text, sentence.plain.Text)
		}
		all := strings.Join(text, "\n")
		if !strings.Contains(all, test.says) || strings.Contains(all, "ground glass") != test.kinds || strings.Contains(all, "%!") || strings.Contains(all, "%%") {
			t.Errorf("%s: the report says\n%s", name, all)
		}
		if !strings.Contains(all, "19 of 20 films without a finding") {
			t.Errorf("%s: the report does not say what healthy lungs show:\n%s", name, all)
		}
	}
}

func reasons(n analysis.Narrative) string {
	var all []string
	for _, o := range n.NotAssessed {
		all = append(all, string(o.Modality)+": "+o.Reason)
	}
	return strings.Join(all, "\n")
}

func TestWhatIsNoChestIsNotMeasured(t *testing.T) {
	with := func(change func(map[string][]box)) *analysis.Segmentation {
		boxes := chest()
		change(boxes)
		return segmentation(boxes)
	}
	unsure := segmentation(chest())
	unsure.Masks[1].Confidence = 0.6
	for name, test := range map[string]struct {
		s    *analysis.Segmentation
		want string
	}{
		"nothing":   {segmentation(nil), "no lungs were found"},
		"one lung":  {with(func(b map[string][]box) { delete(b, analysis.LeftLung) }), "no two lungs were found"},
		"specks":    {with(func(b map[string][]box) { b[analysis.LeftLung] = []box{{70, 30, 75, 35}} }), "no two lungs were found"},
		"too large": {with(func(b map[string][]box) { b[analysis.RightLung] = []box{{0, 0, 60, 90}} }), "too large"},
		"unequal":   {with(func(b map[string][]box) { b[analysis.LeftLung] = []box{{65, 20, 75, 45}} }), "4.0 times as large"},
		"over each other": {with(func(b map[string][]box) {
			b[analysis.RightLung], b[analysis.LeftLung] = []box{{40, 5, 60, 45}}, []box{{41, 55, 61, 95}}
		}), "side by side"},
		"swapped": {with(func(b map[string][]box) {
			b[analysis.RightLung], b[analysis.LeftLung] = b[analysis.LeftLung], b[analysis.RightLung]
		}), "side by side"},
		"unsure": {unsure, "enough confidence"},
	} {
		t.Run(name, func(t *testing.T) {
			p := (&parts{result: judged()}).pipeline()
			p.Segmenter = masks{made: []*analysis.Segmentation{test.s}}
			result, err := p.Analyze(t.Context(), &imageReport)
			if err != nil {
				t.Fatal(err)
			}
			s := result.Segmentation
			if !strings.Contains(s.Problem, test.want) || len(s.Measurements) != 0 {
				t.Errorf("problem %q and measurements %v", s.Problem, s.Measurements)
			}
			n := Write(result, map[analysis.Modality]bool{analysis.Image: true})
			if len(n.Sections) != 2 || !strings.Contains(reasons(n), "image: Nothing was measured in the image: ") || !strings.Contains(reasons(n), test.want) {
				t.Errorf("sections %v, not assessed %s", n.Sections, reasons(n))
			}
		})
	}
}

func TestTheHeartMayBeMissing(t *testing.T) {
	faint := segmentation(chest())
	faint.Masks[2].Confidence = 0.5
	outside := chest()
	outside[analysis.Heart] = []box{{5, 50, 60, 70}}
	none := chest()
	delete(none, analysis.Heart)
	for name, test := range map[string]struct {
		s    *analysis.Segmentation
		want string
	}{
		"none": {segmentation(none), "the heart's edge"}, "faint": {faint, "the heart's edge"}, "outside": {segmentation(outside), "between the lungs"},
	} {
		if err := Measure(test.s); err != nil {
			t.Fatal(err)
		}
		for _, m := range test.s.Measurements {
			if m.Name == analysis.CardiothoracicRatio {
				t.Errorf("%s: measured %+v", name, m)
			}
		}
		n := Write(&analysis.Result{Segmentation: test.s, Models: map[string]string{}}, nil)
		if len(test.s.Measurements) != 6 || !strings.Contains(reasons(n), "The cardiothoracic ratio is not available: "+test.want) && !strings.Contains(reasons(n), test.want) {
			t.Errorf("%s: %v, %s", name, test.s.Measurements, reasons(n))
		}
	}
}

func TestTheSegmentationMayBeDown(t *testing.T) {
	whole := imageReport
	whole.Whole = true
	down := analysis.Errorf(analysis.Unavailable, "the segmentation is not reachable")
	bad := segmentation(chest())
	bad.Masks = bad.Masks[1:]
	for name, test := range map[string]struct {
		segmenter masks
		request   analysis.Request
		limit     time.Duration
		code      analysis.Code // "" for a result without measurements
	}{
		"down":           {segmenter: masks{err: down}, request: imageReport},
		"stalled":        {segmenter: masks{wait: true}, request: imageReport, limit: 50 * time.Millisecond},
		"down, whole":    {segmenter: masks{err: down}, request: whole, code: analysis.Unavailable},
		"broken picture": {segmenter: masks{err: analysis.Invalid("image", "broken")}, request: imageReport, code: analysis.InvalidArgument},
		"too few":        {segmenter: masks{}, request: imageReport, code: analysis.BadUpstream},
		"nil":            {segmenter: masks{made: []*analysis.Segmentation{nil}}, request: imageReport, code: analysis.BadUpstream},
		"a mask less":    {segmenter: masks{made: []*analysis.Segmentation{bad}}, request: imageReport, code: analysis.BadUpstream},
	} {
		t.Run(name, func(t *testing.T) {
			p := (&parts{result: judged()}).pipeline()
			p.Segmenter, p.EncoderTime = test.segmenter, test.limit
			result, err := p.Analyze(t.Context(), &test.request)
			if analysis.CodeOf(err) != test.code {
				t.Fatalf("got %v, want the code %q", err, test.code)
			}
			if test.code != "" {
				return
			}
			if len(result.Degraded) != 1 || !strings.HasPrefix(result.Degraded[0].Reason, "nothing was measured: the segmentation ") || len(result.Findings) == 0 {
				t.Errorf("degraded %v", result.Degraded)
			}
			n := Write(result, map[analysis.Modality]bool{analysis.Image: true})
			if r := reasons(n); !strings.Contains(r, "Nothing was measured in the image: the segmentation ") || strings.Contains(r, "could not be read") {
				t.Errorf("not assessed: %s", r)
			}
		})
	}
}

func TestOnlyImagesOfReportsAreSegmented(t *testing.T) {
	p := (&parts{}).pipeline()
	p.Segmenter = masks{err: analysis.Errorf(analysis.Internal, "was asked")}
	for _, request := range []analysis.Request{
		{Task: analysis.Question, Question: "q?", Image: []byte{1}}, {Task: analysis.Report, Text: "note"},
		{Task: analysis.Report, Image: []byte{1}, FindingsOnly: true},
	} {
		if result, err := p.Analyze(t.Context(), &request); err != nil || result.Segmentation != nil {
			t.Errorf("%+v: %v", request, err)
		}
	}
}
