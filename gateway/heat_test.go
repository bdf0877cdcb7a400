package gateway

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
)

// odd is a fusion whose findings have labels of several kinds.
type odd struct{ *models }

func (o odd) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	results, err := o.models.Fuse(ctx, requests)
	if err != nil || requests[0].Image == nil {
		return results, err
	}
	result := results[0]
	seen := result.Findings[0]
	for _, label := range []string{"Pleural thickening, 50 %", "über/unter"} {
		seen.Label = label
		result.Findings = append(result.Findings, seen)
	}
	if requests[0].Audio != nil {
		result.Findings = append(result.Findings, analysis.Finding{Label: "cough", Modality: analysis.Audio, Probability: 0.1, Threshold: 0.5})
	}
	return results, nil
}

func TestAReportShowsWhereItLooked(t *testing.T) {
	f := newFixture(t, func(d *Deps) {
		was := d.Analyzer.(*pipeline.Pipeline)
		path := &pipeline.Pipeline{Text: was.Text, Vision: was.Vision, Radiographs: was.Radiographs, Audio: was.Audio, Fusion: odd{was.Fusion.(*models)}}
		d.Analyzer, d.Embedder = path, path
	})
	r := report(t, f, f.create(item{"image", picture(1)}, item{"audio", sound()}).Id)
	read, err := f.client.GetReportWithResponse(t.Context(), r.Id)
	if err != nil || read.JSON200 == nil {
		t.Fatal(err)
	}
	for name, sections := range map[string][]client.Section{"made": r.Sections, "read back": read.JSON200.Sections} {
		grids := 0
		for _, section := range sections {
			for _, sentence := range section.Sentences {
				for _, finding := range sentence.Evidence {
					if finding.Activation == nil {
						continue
					}
					grids++
					if g := finding.Activation; section.Name != "findings" || g.Rows != 7 || g.Cols != 7 || !slices.Equal(g.Values[:4], []float32{0, 0.5, 1, 0}) {
						t.Errorf("%s: %s of the %s has %+v", name, finding.Label, section.Name, g)
					}
				}
			}
		}
		if grids != 3 {
			t.Errorf("%s: the report has %d activations, want 3", name, grids)
		}
	}

	base := "/v1/reports/" + r.Id
	for path, want := range map[string]int{
		base + "/attention.png":                                                              200,
		base + "/findings/pneumonia/activation.png":                                          200,
		base + "/findings/Pleural%20thickening,%2050%20%25/activation.png":                   200,
		base + "/findings/%C3%BCber%2Funter/activation.png":                                  200,
		base + "/findings/measles/activation.png":                                            404,
		base + "/findings/cough/activation.png":                                              404,
		base + "/findings/" + strings.Repeat("x", 201) + "/activation.png":                   400,
		"/v1/reports/not-an-id/findings/pneumonia/activation.png":                            400,
		"/v1/reports/not-an-id/attention.png":                                                400,
		"/v1/reports/00000000-0000-7000-8000-000000000000/attention.png":                     404,
		"/v1/reports/00000000-0000-7000-8000-000000000000/findings/pneumonia/activation.png": 404,
	} {
		response, body := f.do(http.MethodGet, path, nil, nil)
		if response.StatusCode != want {
			t.Errorf("%s answers %s: %s", path, response.Status, body[:min(300, len(body))])
			continue
		}
		if want != 200 {
			if !bytes.Contains(body, []byte(`"detail"`)) {
				t.Errorf("%s: %s", path, body)
			}
			continue
		}
		if img, err := png.Decode(bytes.NewReader(body)); err != nil || response.Header.Get("Content-Type") != "image/png" || img.Bounds().Dx() < 100 {
			t.Errorf("%s: %d bytes of %s: %v", path, len(body), response.Header.Get("Content-Type"), err)
		}
		if response, _ := f.do(http.MethodHead, path, nil, nil); response.StatusCode != 200 {
			t.Errorf("HEAD %s answers %s", path, response.Status)
		}
	}
	if _, body := f.do(http.MethodGet, base+"/findings/cough/activation.png", nil, nil); !strings.Contains(string(body), "judged from the audio") {
		t.Errorf("a finding of the sound: %s", body)
	}

	// What is drawn is what was stored, whatever the models do now.
	f.models.setFail(map[string]error{"fusion": analysis.Errorf(analysis.Unavailable, "the fusion is down")})
	if response, _ := f.do(http.MethodGet, base+"/findings/pneumonia/activation.png", nil, nil); response.StatusCode != 200 {
		t.Errorf("with the fusion down: %s", response.Status)
	}
}

func TestAnImageThatWasNotJudgedHasNoDrawing(t *testing.T) {
	f := newFixture(t, nil)
	note := report(t, f, f.create(item{"text", []byte("note")}).Id)
	study := f.create(item{"image", picture(1)}, item{"text", []byte("note")})
	f.models.setFail(map[string]error{"image": analysis.Errorf(analysis.Unavailable, "the image encoder is down")})
	blind := report(t, f, study.Id)
	for _, id := range []string{note.Id, blind.Id} {
		for _, path := range []string{"/attention.png", "/findings/pneumonia/activation.png"} {
			response, body := f.do(http.MethodGet, "/v1/reports/"+id+path, nil, nil)
			if response.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "was not judged") {
				t.Errorf("%s%s: %s %s", id, path, response.Status, body)
			}
		}
	}
}
