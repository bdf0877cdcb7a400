package reportdoc_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/fhir"
	"consilium/internal/reportdoc"
	"consilium/internal/reportpage"
	"consilium/internal/reportpdf"
	"consilium/internal/reportsr"
)

// document returns a report that says sentences.
func document(sentences ...string) *reportdoc.Document {
	r := &analysis.DiagnosticReport{ID: "0198c0de-0000-7000-8000-000000000001", StudyID: "0198c0de-0000-7000-8000-000000000002", Version: 1,
		Result: &analysis.Result{}, Narrative: analysis.Narrative{Disclaimer: "Research software, not a medical device.", Sections: []analysis.Section{{Name: "impression"}}}}
	r.Events = []analysis.ReportEvent{{Revision: 1, Action: analysis.CreateReport, Status: analysis.ReportPreliminary, Version: 1, At: time.Unix(1e9, 0)}}
	for _, text := range sentences {
		r.Narrative.Sections[0].Sentences = append(r.Narrative.Sections[0].Sentences, analysis.Sentence{Text: text, WrittenBy: analysis.ByPerson})
	}
	return &reportdoc.Document{Report: r, Study: &analysis.Study{}}
}

// write puts a document into every form.
func write(t *testing.T, d *reportdoc.Document) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, write := range map[string]func(*reportdoc.Document) ([]byte, error){
		"html": reportpage.Write, "pdf": reportpdf.Write, "fhir": fhir.Write,
		"dicom": func(d *reportdoc.Document) ([]byte, error) { return reportsr.Write(d, nil) },
	} {
		var err error
		if out[name], err = write(d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := write(d)
		if err != nil || !bytes.Equal(out[name], again) {
			t.Errorf("%s: other bytes the second time, %v", name, err)
		}
	}
	return out
}

func TestAReportThatSaysNothing(t *testing.T) {
	forms := write(t, document())
	if bytes.Contains(forms["html"], []byte("<img")) || !bytes.Contains(forms["html"], []byte("None.")) {
		t.Errorf("page %s", forms["html"])
	}
	var bundle map[string]any
	if err := json.Unmarshal(forms["fhir"], &bundle); err != nil {
		t.Fatal(err)
	}
	for _, empty := range []string{"[]", "{}", `""`, ":null"} {
		if bytes.Contains(forms["fhir"], []byte(empty)) {
			t.Errorf("FHIR forbids %s: %s", empty, forms["fhir"])
		}
	}
	f, err := dicom.Parse(forms["dicom"])
	if err != nil || f.Dataset.String(dicom.Modality) != "SR" {
		t.Errorf("%v", err)
	}
}

// TestAsMuchAsAReportMayHold has a report of the longest sentences that a person can write.
func TestAsMuchAsAReportMayHold(t *testing.T) {
	var sentences []string
	for i := range 1000 {
		sentences = append(sentences, strings.Repeat(string(rune('a'+i%26)), 4000))
	}
	forms := write(t, document(sentences...))
	for name, content := range forms {
		if name != "pdf" && len(content) < 4_000_000 || len(content) > 16<<20 {
			t.Errorf("%s: %d bytes", name, len(content))
		}
	}
	f, err := dicom.Parse(forms["dicom"])
	if err != nil || len(f.Dataset.Items(0x0040A730)) == 0 {
		t.Errorf("%v", err)
	}
}

func TestPicturesKeepTheirShape(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 4000, 10))
	grey.Pix[0] = 200
	for name, test := range map[string]struct {
		picture image.Image
		size    image.Point
		model   color.Model
	}{
		"wide and grey":    {grey, image.Pt(1024, 2), color.GrayModel},
		"a line":           {image.NewRGBA(image.Rect(0, 0, 1, 5000)), image.Pt(1, 1024), nil},
		"begins elsewhere": {image.NewRGBA(image.Rect(5, 5, 15, 25)), image.Pt(10, 20), nil},
	} {
		raw, err := reportdoc.PNG(test.picture)
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(raw))
		if err != nil || got.Bounds().Size() != test.size || test.model != nil && got.ColorModel() != test.model {
			t.Errorf("%s: %v, %v", name, got.Bounds(), err)
		}
		d := document("x")
		d.Picture, d.Drawing = raw, raw
		if forms := write(t, d); bytes.Count(forms["html"], []byte("<img ")) != 2 || bytes.Count(forms["pdf"], []byte("/Subtype /Image")) == 0 {
			t.Errorf("%s: not in the page or not in the PDF", name)
		}
	}
}

// TestFindingsAreDrawn has one finding on either side of its threshold, one of them with a name that fits nowhere.
func TestFindingsAreDrawn(t *testing.T) {
	d := document("x")
	d.Report.Result.Findings = []analysis.Finding{
		{Label: strings.Repeat("<b>wide</b>", 50), Probability: 0.1, Threshold: 0.5, Modality: analysis.Image},
		{Label: "Edema", Probability: 0.96, Threshold: 0.25, Present: true, Band: analysis.High, Modality: analysis.Image},
	}
	if bars := d.Bars(); len(bars) != 2 || bars[0].State != "present" || bars[0].Band != "high" || bars[0].Shown != "0.96" || bars[0].ShownThreshold != "0.25" || bars[1].State != "not present" {
		t.Errorf("%+v", bars)
	}
	html := write(t, d)["html"]
	if bytes.Count(html, []byte(`class="bar"`)) != 2 || !bytes.Contains(html, []byte(`width="0.96"`)) || bytes.Contains(html, []byte("<b>")) {
		t.Errorf("page %s", html)
	}
}

// TestAFileWithoutUIDsIsNotReferredTo has an image of DICOM that nothing can refer to.
func TestAFileWithoutUIDsIsNotReferredTo(t *testing.T) {
	elements := []*dicom.Element{dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2"), dicom.NewText(dicom.SOPInstanceUID, dicom.UI, "1.3"), dicom.NewText(dicom.SeriesInstanceUID, dicom.UI, "1.4")}
	for study, want := range map[string]bool{"": false, "1.5": true} {
		d := dicom.NewDataset(elements...)
		if study != "" {
			d.Set(dicom.NewText(dicom.StudyInstanceUID, dicom.UI, study))
		}
		image, err := dicom.Write(&dicom.File{Dataset: d})
		if err != nil {
			t.Fatal(err)
		}
		out, err := reportsr.Write(document("x"), image)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(out)
		if err != nil {
			t.Fatal(err)
		}
		if uid := f.Dataset.String(dicom.StudyInstanceUID); uid == "" || (uid == study) != want || (f.Dataset.Get(0x0040A375) != nil) != want {
			t.Errorf("the report on a file of the study %q is of the study %q", study, uid)
		}
	}
}
