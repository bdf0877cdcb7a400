package gateway

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/mask"
	"consilium/internal/pipeline"
)

// segmenter finds a schematic chest in every picture, or what it was told to.
type segmenter struct {
	*models
	nothing bool
}

func (s segmenter) Segment(_ context.Context, images [][]byte) ([]*analysis.Segmentation, error) {
	s.mu.Lock()
	err := s.fail["segmentation"]
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	const side = 20
	boxes := map[string][4]int{
		analysis.RightLung: {3, 4, 8, 14}, analysis.LeftLung: {12, 4, 17, 14}, analysis.Heart: {8, 10, 14, 14},
		analysis.Lesion: {3, 4, 8, 7}, analysis.GroundGlass: {3, 4, 8, 7},
	}
	var made []*analysis.Segmentation
	for range images {
		out := &analysis.Segmentation{Rows: side, Cols: side, Model: "segmentation-digest"}
		for _, name := range analysis.Structures {
			m, confidence := mask.New(side, side), 0.0
			if b, ok := boxes[name]; ok && !s.nothing {
				confidence = 0.95
				for i := range m.On {
					x, y := i%side, i/side
					m.On[i] = x >= b[0] && x < b[2] && y >= b[1] && y < b[3]
				}
			}
			out.Masks = append(out.Masks, analysis.Mask{Structure: name, Runs: m.Runs(), Confidence: confidence})
		}
		made = append(made, out)
	}
	return made, nil
}

// measuring makes a fixture's reports measure.
func measuring(t *testing.T, nothing bool) *fixture {
	t.Helper()
	var path *pipeline.Pipeline
	f := newFixture(t, func(d *Deps) {
		was := d.Analyzer.(*pipeline.Pipeline)
		path = &pipeline.Pipeline{Text: was.Text, Vision: was.Vision, Radiographs: was.Vision, Audio: was.Audio, Fusion: was.Fusion}
		path.Segmenter = segmenter{models: was.Fusion.(*models), nothing: nothing}
		d.Analyzer, d.Embedder = path, path
	})
	return f
}

func report(t *testing.T, f *fixture, studyID string) *client.Report {
	t.Helper()
	made, err := f.client.CreateReportWithResponse(t.Context(), studyID, client.ReportRequest{})
	if err != nil || made.JSON201 == nil {
		t.Fatal(made.Status(), err, string(made.Body))
	}
	return made.JSON201
}

func TestAReportHoldsMeasurementsAndTheirMasks(t *testing.T) {
	f := measuring(t, false)
	study := f.create(item{"image", picture(1)}, item{"text", []byte("note")})
	r := report(t, f, study.Id)
	values := map[string]float64{}
	for _, m := range r.Segmentation.Measurements {
		values[string(m.Name)] = m.Value
	}
	if len(r.Sections) != 3 || string(r.Sections[1].Name) != "measurements" || values["cardiothoracic_ratio"] != 6.0/14 || values["lesion_share_right_lung"] != 0.3 {
		t.Fatalf("sections %+v, measured %v", r.Sections, values)
	}
	stated := 0
	for _, s := range r.Sections[1].Sentences {
		for _, m := range *s.Measurements {
			if m.Value != values[string(m.Name)] {
				t.Errorf("%q says %v of %s, measured %v", s.Text, m.Value, m.Name, values[string(m.Name)])
			}
			stated++
		}
	}
	if stated != len(values) || len(r.Segmentation.Masks) != len(analysis.Structures) || r.Models["segmentation"] != "segmentation-digest" {
		t.Errorf("%d of %d measurements stated, %d masks, models %v", stated, len(values), len(r.Segmentation.Masks), r.Models)
	}
	if read, err := f.client.GetReportWithResponse(t.Context(), r.Id); err != nil || read.JSON200 == nil || len(read.JSON200.Segmentation.Masks) != len(r.Segmentation.Masks) {
		t.Errorf("read back: %v", err)
	}

	// The drawing is that of the stored masks, whatever the segmentation does now.
	f.models.setFail(map[string]error{"segmentation": analysis.Errorf(analysis.Unavailable, "the segmentation is down")})
	response, body := f.do(http.MethodGet, "/v1/reports/"+r.Id+"/masks.png", nil, nil)
	img, err := png.Decode(bytes.NewReader(body))
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/png" || err != nil || img.Bounds().Dx() < 100 {
		t.Fatalf("masks.png answers %s with %d bytes: %v", response.Status, len(body), err)
	}
	if response, _ := f.do(http.MethodHead, "/v1/reports/"+r.Id+"/masks.png", nil, nil); response.StatusCode != http.StatusOK {
		t.Errorf("HEAD answers %s", response.Status)
	}

	down := report(t, f, study.Id)
	if len(down.Sections) != 2 || len(down.Degraded) != 1 || down.Segmentation.Problem == nil {
		t.Errorf("without a segmentation: %+v", down)
	}
	refuse := client.Refuse
	if whole, err := f.client.CreateReportWithResponse(t.Context(), study.Id, client.ReportRequest{Degraded: &refuse}); err != nil || whole.StatusCode() != http.StatusServiceUnavailable {
		t.Errorf("refusing a degraded report: %s %v", whole.Status(), err)
	}
	for _, path := range []string{down.Id, "00000000-0000-7000-8000-000000000000"} {
		if response, body := f.do(http.MethodGet, "/v1/reports/"+path+"/masks.png", nil, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("the masks of %s: %s %s", path, response.Status, body)
		}
	}
	if response, _ := f.do(http.MethodGet, "/v1/reports/not-an-id/masks.png", nil, nil); response.StatusCode != http.StatusBadRequest {
		t.Errorf("the masks of no id: %s", response.Status)
	}
}

func TestAPictureThatIsNoChestIsNotMeasured(t *testing.T) {
	f := measuring(t, true)
	r := report(t, f, f.create(item{"image", picture(1)}).Id)
	said := false
	for _, o := range r.NotAssessed {
		said = said || o.Modality == "image" && strings.Contains(o.Reason, "no frontal chest radiograph")
	}
	if len(r.Sections) != 2 || len(r.Segmentation.Measurements) != 0 || r.Segmentation.Problem == nil || !said {
		t.Errorf("sections %v, not assessed %v", r.Sections, r.NotAssessed)
	}
	if only := report(t, f, f.create(item{"text", []byte("note")}).Id); only.Segmentation != nil {
		t.Errorf("a note was segmented: %+v", only.Segmentation)
	}
}
