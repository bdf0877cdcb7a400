package gateway

import (
	_ "embed"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"consilium/internal/dicom"
	"consilium/internal/wire/conform"
)

var (
	//go:embed testdata/read_reports.py
	readersScript string
	//go:embed testdata/reports_requirements.txt
	readersRequirements string
)

// TestOthersReadReports has PyPI's fhir.resources and highdicom read what the gateway wrote: a report on a picture of DICOM,
// a hostile one, and one without an image.
func TestOthersReadReports(t *testing.T) {
	folder := conform.Python(t, "report-readers", "1", readersRequirements)
	f := measuring(t, false)
	image := film("1.2.1", "1.2.1.0", "1.2.1.9.0", dicom.NewText(dicom.NumberOfFrames, dicom.IS, "1"), &dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Value: []byte("abcdef")})
	hostileID, onFilm := hostileReport(t, f, picture(1)), report(t, f, f.create(item{"image", image}).Id).Id
	job, dir := map[string]string{}, t.TempDir()
	save := func(name, id string, form reportForm) {
		t.Helper()
		response, body := f.have("/v1/reports/"+id, form.mediaType)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", name, body)
		}
		job[name+form.tag] = filepath.Join(dir, name+form.tag)
		if err := os.WriteFile(job[name+form.tag], body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("film", onFilm, fhirForm)
	save("film", onFilm, dicomForm)
	f.mustAct(onFilm, "sign", f.tag(onFilm), `{"by": `+aDoctor+`}`)
	save("signed", onFilm, fhirForm)
	save("signed", onFilm, dicomForm)
	save("hostile", hostileID, fhirForm)
	save("hostile", hostileID, dicomForm)
	save("note", report(t, f, f.create(item{"text", []byte("note")}).Id).Id, fhirForm)

	var got map[string]struct {
		Kinds                                                                map[string]int
		Class, Content, Template, Verification, Preliminary, Study, Instance string
		Status                                                               string
		Dangling, Evidence, Predecessors, Findings, Texts                    []string
		Numbers                                                              map[string]float64
	}
	conform.Script(t, folder, readersScript, job, &got)
	for name, status := range map[string]string{"film.fhir": "preliminary", "signed.fhir": "final", "hostile.fhir": "amended", "note.fhir": "preliminary"} {
		if g := got[name]; g.Status != status || len(g.Dangling) > 0 || g.Kinds["DiagnosticReport"] != 1 || g.Kinds["Provenance"] == 0 || g.Kinds["Device"] == 0 {
			t.Errorf("%s: %+v", name, g)
		}
	}
	for name, flags := range map[string][2]string{"film.dicom": {"UNVERIFIED", "PRELIMINARY"}, "signed.dicom": {"VERIFIED", "FINAL"}, "hostile.dicom": {"VERIFIED", "FINAL"}} {
		g := got[name]
		if g.Class != "ComprehensiveSR" || g.Content != "MeasurementReport" || g.Template != "1500" || [2]string{g.Verification, g.Preliminary} != flags {
			t.Errorf("%s: %+v", name, g)
		}
		if !slices.Equal(g.Findings, []string{"Pneumonia"}) || g.Numbers["Probability"] != 0.75 || g.Numbers["cardiothoracic ratio"] != 6.0/14 || len(g.Numbers) != 9 {
			t.Errorf("%s: findings %v, numbers %v", name, g.Findings, g.Numbers)
		}
	}
	film, signed := got["film.dicom"], got["signed.dicom"]
	if len(film.Evidence) != 1 || film.Study != signed.Study || film.Instance == signed.Instance || !slices.Equal(signed.Predecessors, []string{film.Instance}) {
		t.Errorf("a film's report %+v and the same signed %+v", film, signed)
	}
	for _, want := range []string{hostile[0], hostile[4], hostile[6]} {
		if !slices.Contains(got["hostile.dicom"].Texts, want) {
			t.Errorf("highdicom does not find %.60q", want)
		}
	}
}
