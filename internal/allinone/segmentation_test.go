package allinone

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
)

// segmented returns the report on one picture.
func (s *session) segmented(t *testing.T, picture []byte) *client.Report {
	t.Helper()
	study := s.store(&client.Upload{Images: [][]byte{picture}})
	created, err := s.CreateReportWithResponse(t.Context(), study.Id, client.ReportRequest{})
	if err != nil || created.JSON201 == nil {
		t.Fatalf("report: %v %s", err, created.Body)
	}
	return created.JSON201
}

func TestAReportMeasuresARadiograph(t *testing.T) {
	s := platform(t)
	film := radiograph(t)
	r := s.segmented(t, film)
	if r.Segmentation == nil || r.Segmentation.Problem != nil {
		t.Fatalf("the segmentation is %+v", r.Segmentation)
	}
	values := map[string]float64{}
	for _, m := range r.Segmentation.Measurements {
		values[string(m.Name)] = m.Value
	}
	for name, bounds := range map[string][2]float64{
		"right_lung_area": {0.05, 0.4}, "left_lung_area": {0.05, 0.4}, "cardiothoracic_ratio": {0.3, 0.75},
		"lesion_share_right_lung": {0, 1}, "lesion_share_left_lung": {0, 1},
	} {
		if v, ok := values[name]; !ok || v < bounds[0] || v > bounds[1] {
			t.Errorf("%s is %v (%v), want %v to %v", name, v, ok, bounds[0], bounds[1])
		}
	}
	stated := map[client.MeasurementName]bool{}
	for _, section := range r.Sections {
		for _, sentence := range section.Sentences {
			if sentence.Measurements != nil {
				for _, m := range *sentence.Measurements {
					stated[m.Name] = true
				}
			}
		}
	}
	if len(stated) != len(values) || !strings.HasPrefix(r.Models["segmentation"], "sha256:") || !strings.Contains(r.Disclaimer, "not a medical device") {
		t.Errorf("%d of %d measurements are stated; models %v", len(stated), len(values), r.Models)
	}
	response, err := s.http.Get(s.stack.URL + "/v1/reports/" + r.Id + "/masks.png")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	drawing, err := png.Decode(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/png" {
		t.Fatalf("masks.png: %s %v", response.Status, err)
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(film))
	if err != nil || drawing.Bounds().Dy() <= min(config.Height, 1024)/2 {
		t.Errorf("a film of %d x %d is drawn at %v: %v", config.Width, config.Height, drawing.Bounds(), err)
	}
	models, err := s.ListModelsWithResponse(t.Context())
	if err != nil || !strings.Contains(string(models.Body), `"consilium-segmentation"`) {
		t.Errorf("the models are %s: %v", models.Body, err)
	}
}

func TestWhatIsNoRadiographIsNotMeasured(t *testing.T) {
	s := platform(t)
	r := s.segmented(t, shapes(t))
	if r.Segmentation == nil || r.Segmentation.Problem == nil || len(r.Segmentation.Measurements) != 0 {
		t.Fatalf("of coloured shapes the segmentation says %+v", r.Segmentation)
	}
	said := false
	for _, o := range r.NotAssessed {
		said = said || o.Modality == client.ModalityImage && strings.Contains(o.Reason, *r.Segmentation.Problem)
	}
	if !said {
		t.Errorf("not assessed: %+v", r.NotAssessed)
	}
}
