package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/dicom"
)

func TestInstancesFromSenderToViewer(t *testing.T) {
	f := newFixture(t, nil)
	uids := f.must(film("1.2.1", "1.2.1.1", "1.2.1.1.1"), film("1.2.1", "1.2.1.1", "1.2.1.1.2"), film("1.2.1", "1.2.1.2", "1.2.1.2.3"))
	if again := f.must(film("1.2.1", "1.2.1.1", "1.2.1.1.1")); again[0] != uids[0] {
		t.Errorf("stored again as %v, first as %v", again[0], uids[0])
	}
	study, series, instance := uids[0][0], uids[0][1], uids[0][2]
	if !strings.HasPrefix(study, "2.25.") || uids[1][0] != study || uids[1][1] != series || uids[2][1] == series || uids[2][0] != study {
		t.Fatalf("mapped to %v", uids)
	}

	found := f.list("/dicom-web/studies")
	if len(found) != 1 || found[0].text(dicom.StudyInstanceUID) != study || found[0].text(studySeries) != "2" || found[0].text(studyInstances) != "3" || found[0].text(modalitiesInStudy) != "DX" ||
		found[0].text(dicom.PatientName) != "" || found[0].text(dicom.StudyDate) != "" || found[0].text(dicom.PatientAge) != "063Y" || found[0].text(retrieveURL) != "/dicom-web/studies/"+study {
		t.Errorf("found %v", found)
	}
	for path, want := range map[string]int{
		"/dicom-web/series": 2, "/dicom-web/instances": 3, "/dicom-web/studies/" + study + "/series": 2, "/dicom-web/studies/" + study + "/instances": 3,
		"/dicom-web/studies/" + study + "/series/" + series + "/instances": 2, "/dicom-web/studies/1.2.1/series": 0, "/dicom-web/instances?SOPInstanceUID=" + instance + "," + uids[2][2]: 2,
		"/dicom-web/studies/" + study + "/metadata": 3, "/dicom-web/studies/" + study + "/series/" + series + "/metadata": 2,
		"/dicom-web/studies/" + study + "/series/" + series + "/instances/" + instance + "/metadata": 1,
	} {
		if got := f.list(path); len(got) != want {
			t.Errorf("%s has %d results, want %d", path, len(got), want)
		}
	}
	metadata := f.list("/dicom-web/studies/" + study + "/series/" + series + "/instances/" + instance + "/metadata")[0]
	if metadata.text(dicom.SOPInstanceUID) != instance || metadata.text(dicom.Rows) != "2" || metadata.text(dicom.PatientIdentityRemoved) != "YES" {
		t.Errorf("metadata %v", metadata)
	}
	if _, pixels := metadata[jsonTag(dicom.PixelData)]; pixels {
		t.Error("the metadata holds pixels")
	}

	root := "/dicom-web/studies/" + study
	for path, want := range map[string]int{root: 3, root + "/series/" + series: 2, root + "/series/" + series + "/instances/" + instance: 1} {
		types, files := f.get(path, `multipart/related; type="application/dicom"`)
		if len(files) != want {
			t.Fatalf("%s has %d files, want %d", path, len(files), want)
		}
		parsed, err := dicom.Parse(files[0])
		if err != nil || parsed.Dataset.String(dicom.SOPInstanceUID) != instance || types[0] != "application/dicom; transfer-syntax=1.2.840.10008.1.2.1" {
			t.Errorf("%s: %v, %s", path, err, types[0])
		}
	}
	types, frames := f.get(root+"/series/"+series+"/instances/"+instance+"/frames/2,1", `multipart/related; type="application/octet-stream"`)
	if len(frames) != 2 || string(frames[0]) != "ABCDEF" || string(frames[1]) != "abcdef" || types[0] != "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1" {
		t.Errorf("frames %q of %v", frames, types)
	}
	for _, test := range []struct{ path, accept, format string }{{"/rendered", "", "jpeg"}, {"/rendered?quality=50", "image/*", "jpeg"}, {"/frames/2/rendered", "image/png", "png"}} {
		header := http.Header{}
		if test.accept != "" {
			header.Set("Accept", test.accept)
		}
		response, content := f.do(http.MethodGet, root+"/series/"+series+"/instances/"+instance+test.path, header, nil)
		config, format, err := image.DecodeConfig(bytes.NewReader(content))
		if err != nil || config.Width != 3 || config.Height != 2 || format != test.format || response.Header.Get("Content-Type") != "image/"+test.format {
			t.Errorf("%s: %s %v of %v, %v", test.path, response.Status, format, config, err)
		}
	}

	// The study is one of /v1/studies, with what its header says as its note.
	studies, err := f.client.ListStudiesWithResponse(context.Background(), nil)
	if err != nil || len(studies.JSON200.Studies) != 1 {
		t.Fatal(err, string(studies.Body))
	}
	own := studies.JSON200.Studies[0]
	if own.Title != "Chest radiograph" || own.StudyInstanceUid == nil || *own.StudyInstanceUid != study || len(own.Artefacts) != 4 || own.Artefacts[0].Modality != client.ModalityText {
		t.Fatalf("study %+v", own)
	}
	note, err := f.client.GetArtefactWithResponse(context.Background(), own.Id, own.Artefacts[0].Id)
	if err != nil || string(note.Body) != "Chest radiograph, PA view, 63 year old woman." {
		t.Errorf("note %q, %v", note.Body, err)
	}
	asked, err := f.client.AskStudyWithResponse(context.Background(), own.Id, client.QuestionRequest{Question: "What does it show?"})
	if err != nil || asked.JSON200 == nil || len(asked.JSON200.Artefacts) != 2 {
		t.Errorf("asked: %v %s", err, asked.Body)
	}
	report, err := f.client.CreateReportWithResponse(context.Background(), own.Id, client.ReportRequest{})
	if err != nil || report.JSON201 == nil {
		t.Errorf("report: %v %s", err, report.Body)
	}
	if deleted, err := f.client.DeleteStudyWithResponse(context.Background(), own.Id); err != nil || deleted.StatusCode() != http.StatusNoContent {
		t.Fatal(deleted.Status(), err)
	}
	for _, path := range []string{root, root + "/metadata", root + "/series/" + series + "/instances/" + instance + "/rendered"} {
		if response, body := f.do(http.MethodGet, path, nil, nil); response.StatusCode != http.StatusNotFound || bytes.Contains(body, []byte(study)) {
			t.Errorf("%s after the deletion: %s %s", path, response.Status, body)
		}
	}
	if n := f.files(); n != 0 {
		t.Errorf("%d files are left", n)
	}
	for _, uid := range []string{"1.2.1", "2.25.", "Doe", "Q47-11"} {
		if strings.Contains(f.log.String(), uid) {
			t.Errorf("the log holds %s", uid)
		}
	}
}

func TestWhatBecomesOfEachPart(t *testing.T) {
	f := newFixture(t, nil)
	good := film("1.2.1", "1.2.1.1", "1.2.1.1.1")
	stored := f.must(good)[0]
	before := f.files()
	text := func(tag dicom.Tag, vr dicom.VR, value string) *dicom.Element { return dicom.NewText(tag, vr, value) }
	fragments := &dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Fragments: [][]byte{[]byte("JP2000")}}
	j2k := func() []byte {
		parsed, err := dicom.Parse(film("1.2.1", "1.2.1.1", "1.2.1.1.6"))
		if err != nil {
			t.Fatal(err)
		}
		parsed.TransferSyntax = "1.2.840.10008.1.2.4.90"
		parsed.Dataset.Set(fragments)
		b, err := dicom.Write(parsed)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}()
	plan := func() []byte {
		parsed, err := dicom.Parse(film("1.2.1", "1.2.1.1", "1.2.1.1.7"))
		if err != nil {
			t.Fatal(err)
		}
		parsed.Dataset.Delete(dicom.PixelData)
		b, err := dicom.Write(parsed)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}()
	otherPixels := &dicom.Element{Tag: dicom.PixelData, VR: dicom.OW, Value: []byte("abcdefABCDEf")}
	for name, test := range map[string]struct {
		path   string
		files  [][]byte
		status int
		failed string // UID and reason of each failed one
		other  string // reasons of those without UID
	}{
		"the same again":           {"", [][]byte{good}, 200, "", ""},
		"under its own study":      {"/1.2.1", [][]byte{good}, 200, "", ""},
		"under the mapped study":   {"/" + stored[0], [][]byte{good}, 200, "", ""},
		"under another study":      {"/1.2.9", [][]byte{good}, 409, "1.2.1.1.1=A900", ""},
		"another patient":          {"", [][]byte{film("1.2.1", "1.2.1.1", "1.2.1.1.2", text(dicom.PatientID, dicom.LO, "42"))}, 409, "1.2.1.1.2=A900", ""},
		"other bytes":              {"", [][]byte{film("1.2.1", "1.2.1.1", "1.2.1.1.1", otherPixels)}, 409, "1.2.1.1.1=0111", ""},
		"the same pixels":          {"", [][]byte{film("1.2.1", "1.2.1.1", "1.2.1.1.1", text(dicom.ViewPosition, dicom.CS, "AP"))}, 202, "", ""},
		"a series of two studies":  {"", [][]byte{film("1.2.2", "1.2.1.1", "1.2.2.1.1")}, 409, "1.2.2.1.1=A900", ""},
		"no DICOM":                 {"", [][]byte{[]byte("not DICOM at all")}, 409, "", "C000"},
		"cut off":                  {"", [][]byte{good[:len(good)-5]}, 409, "", "C000"},
		"nothing":                  {"", [][]byte{{}}, 409, "", "C000"},
		"without a study":          {"", [][]byte{film("", "1.2.1.1", "1.2.1.1.5")}, 409, "", "C000"},
		"a UID that is none":       {"", [][]byte{film("1.2.x", "1.2.1.1", "1.2.1.1.5")}, 409, "", "C000"},
		"JPEG 2000":                {"", [][]byte{j2k}, 409, "1.2.1.1.6=C122", ""},
		"no picture":               {"", [][]byte{plan}, 409, "1.2.1.1.7=0122", ""},
		"a picture that is broken": {"", [][]byte{film("1.2.1", "1.2.1.1", "1.2.1.1.8", dicom.NewInts(dicom.Rows, dicom.US, 50000))}, 409, "1.2.1.1.8=C000", ""},
		"some":                     {"", [][]byte{good, []byte("?"), plan}, 202, "1.2.1.1.7=0122", "C000"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := f.stow("/dicom-web/studies"+test.path, test.files...)
			var failed, other []string
			reason := func(item object) string {
				n, err := strconv.Atoi(item.text(failureReason))
				if err != nil || item.text(errorComment) == "" || len([]rune(item.text(errorComment))) > maxComment {
					t.Errorf("a failure says %v", item)
				}
				return fmt.Sprintf("%04X", n)
			}
			for _, item := range answer.items(t, failedSOPSequence) {
				failed = append(failed, item.text(referencedSOPUID)+"="+reason(item))
			}
			for _, item := range answer.items(t, otherFailuresSequence) {
				other = append(other, reason(item))
			}
			if status != test.status || strings.Join(failed, " ") != test.failed || strings.Join(other, " ") != test.other {
				t.Errorf("status %d, failed %v, other %v", status, failed, other)
			}
			if n := len(answer.items(t, referencedSOPSequence)); n != len(test.files)-len(failed)-len(other) {
				t.Errorf("%d are named as stored", n)
			}
			if f.files() != before {
				t.Errorf("%d files, %d before", f.files(), before)
			}
		})
	}
	if n := len(f.list("/dicom-web/instances")); n != 1 {
		t.Errorf("%d instances are stored", n)
	}
}

func TestBurnedInTextIsAWarning(t *testing.T) {
	f := newFixture(t, nil)
	burned := film("1.2.1", "1.2.1.1", "1.2.1.1.1", dicom.NewText(dicom.BurnedInAnnotation, dicom.CS, "YES"))
	status, answer := f.stow("/dicom-web/studies", burned)
	items := answer.items(t, referencedSOPSequence)
	if status != http.StatusAccepted || len(items) != 1 || items[0].text(warningReason) != "45056" || !strings.Contains(items[0].text(errorComment), "burned") {
		t.Errorf("status %d, %v", status, answer)
	}
	if study := f.create(item{"image", burned}); study.Warnings == nil || len(*study.Warnings) != 1 || !strings.Contains((*study.Warnings)[0], "image[0]: ") {
		t.Errorf("study %+v", study)
	}
}

func TestDICOMAmongTheImagesOfAStudy(t *testing.T) {
	f := newFixture(t, nil)
	file := film("1.2.1", "1.2.1.1", "1.2.1.1.1")
	study := f.create(item{"image", file})
	if len(study.Artefacts) != 2 || study.Artefacts[0].MediaType != "application/dicom" || study.Artefacts[1].Modality != client.ModalityText || study.StudyInstanceUid != nil {
		t.Fatalf("stored %+v", study)
	}
	content, err := f.client.GetArtefactWithResponse(context.Background(), study.Id, study.Artefacts[0].Id)
	if err != nil || bytes.Contains(content.Body, []byte("Doe")) || bytes.Contains(content.Body, []byte("Q47-11")) || bytes.Contains(content.Body, []byte("20200614")) {
		t.Errorf("the patient is still there, %v", err)
	}
	if noted := f.create(item{"image", file}, item{"text", []byte("Own note.")}); len(noted.Artefacts) != 2 {
		t.Errorf("a note was added to %+v", noted)
	}
	contentType, body := form(item{"image", file[:len(file)-3]})
	response, problem := f.do(http.MethodPost, "/v1/studies", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))
	if response.StatusCode != http.StatusUnprocessableEntity || !bytes.Contains(problem, []byte("image[0]")) {
		t.Errorf("a file that is cut off: %s %s", response.Status, problem)
	}
}

func TestSearchesByParameter(t *testing.T) {
	f := newFixture(t, func(d *Deps) { d.DICOMSecret = nil }) // so that there are names and dates to search
	for i := range 3 {
		f.must(film(fmt.Sprintf("1.2.%d", i), fmt.Sprintf("1.2.%d.1", i), fmt.Sprintf("1.2.%d.1.%d", i, i),
			dicom.NewText(dicom.StudyDate, dicom.DA, fmt.Sprintf("2020061%d", i)), dicom.NewText(dicom.PatientName, dicom.PN, fmt.Sprintf("Doe^J%d", i))))
	}
	for query, want := range map[string]string{
		"":                                      "1.2.2 1.2.1 1.2.0",
		"limit=2":                               "1.2.2 1.2.1",
		"limit=2&offset=2":                      "1.2.0",
		"offset=9":                              "",
		"StudyDate=20200611":                    "1.2.1",
		"StudyDate=20200611-":                   "1.2.2 1.2.1",
		"00080020=-20200611":                    "1.2.1 1.2.0",
		"PatientName=doe%5Ej2":                  "1.2.2",
		"PatientName=*j?":                       "1.2.2 1.2.1 1.2.0",
		"PatientID=Q47-11&PatientName=Doe%5EJ1": "1.2.1",
		"StudyInstanceUID=1.2.0%5C1.2.1":        "1.2.1 1.2.0",
		"StudyInstanceUID=1.2.0,1.2.1":          "1.2.1 1.2.0",
		"ModalitiesInStudy=CT":                  "",
		"ModalitiesInStudy=D*":                  "1.2.2 1.2.1 1.2.0",
		"PatientSex=F&fuzzymatching=true":       "1.2.2 1.2.1 1.2.0",
		"AccessionNumber=&StudyDescription=*":   "1.2.2 1.2.1 1.2.0",
		"includefield=PatientSize,00101030&limit=1&includefield=all": "1.2.2",
	} {
		var got []string
		for _, study := range f.list("/dicom-web/studies?" + query) {
			got = append(got, study.text(dicom.StudyInstanceUID))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q finds %v, want %q", query, got, want)
		}
	}
	if got := f.list("/dicom-web/instances?InstanceNumber=02&Modality=DX&PatientName=Doe*&includefield=PhotometricInterpretation"); len(got) != 1 ||
		got[0].text(dicom.PhotometricInterpretation) != "MONOCHROME2" || got[0].text(dicom.PatientName) == "" || got[0].text(dicom.BitsStored) != "" {
		t.Errorf("found %v", got)
	}
	if got := f.list("/dicom-web/instances?limit=1&includefield=all"); len(got) != 1 || got[0].text(dicom.BitsStored) != "8" {
		t.Errorf("all attributes are %v", got)
	}
	for _, query := range []string{"StudyDate=yesterday", "StudyDate=-", "StudyInstanceUID=x", "Rows=2", "nonsense=1", "Modality=DX", "limit=0", "limit=x", "offset=-1", "includefield=nonsense",
		"PatientName=a&PatientName=b", "StudyDate=20200611-20200612-20200613", "00100010.00080018=1", "PatientID=%00", "fuzzymatching=maybe", "match=1"} {
		if response, body := f.do(http.MethodGet, "/dicom-web/studies?"+query, nil, nil); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", query, response.Status, body)
		}
	}
	if response, _ := f.do(http.MethodGet, "/dicom-web/studies?fuzzymatching=true", nil, nil); !strings.Contains(response.Header.Get("Warning"), "fuzzymatching") {
		t.Error("fuzzy matching is not warned of")
	}
}

func TestResultsAreLimited(t *testing.T) {
	f := newFixture(t, func(d *Deps) { d.Limits.DICOMResults = 2 })
	for i := range 3 {
		f.must(film("1.2", "1.2.1", fmt.Sprintf("1.2.1.%d", i)))
	}
	for query, want := range map[string]struct {
		n      int
		warned bool
	}{"": {2, true}, "?limit=3": {2, true}, "?limit=2": {2, false}, "?limit=1": {1, false}, "?offset=1": {2, false}} {
		response, body := f.do(http.MethodGet, "/dicom-web/instances"+query, nil, nil)
		var list []object
		if err := json.Unmarshal(body, &list); err != nil || len(list) != want.n || (response.Header.Get("Warning") != "") != want.warned {
			t.Errorf("%q: %d results, warning %q, %v", query, len(list), response.Header.Get("Warning"), err)
		}
	}
}

func TestFormsThatAreAccepted(t *testing.T) {
	f := newFixture(t, nil)
	uids := f.must(film("1.2", "1.2.1", "1.2.1.1"))[0]
	instance := instancePath(uids[0], uids[1], uids[2])
	for _, test := range []struct {
		path, accept string
		status       int
	}{
		{instance, "", 200}, {instance, "*/*", 200}, {instance, "application/dicom", 200}, {instance, "text/html", 406},
		{instance, `multipart/related; type="application/dicom"; transfer-syntax=*`, 200},
		{instance, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1`, 200},
		{instance, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90`, 406},
		{instance, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90, multipart/related; type="application/dicom"`, 200},
		{instance, `multipart/related; type="application/dicom+xml"`, 406}, {instance, `;;`, 406},
		{instance + "/metadata", "application/json", 200}, {instance + "/metadata", "application/dicom+xml", 406}, {instance + "/metadata", `multipart/related; type="application/dicom+xml", application/dicom+json`, 200},
		{instance + "/frames/1", `multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1`, 200},
		{instance + "/frames/1", `multipart/related; type="*/*"`, 200}, {instance + "/frames/1", `multipart/related; type="image/jpeg"`, 406},
		{instance + "/frames/1", `application/octet-stream`, 200}, {instance + "/frames/3", "", 404}, {instance + "/frames/0", "", 400}, {instance + "/frames/1,,2", "", 400}, {instance + "/frames/x", "", 400},
		{instance + "/rendered", "image/gif", 406}, {instance + "/rendered?quality=0", "", 400}, {instance + "/frames/1,2/rendered", "", 400}, {instance + "/frames/9/rendered", "", 404},
		{"/dicom-web/studies", "application/xml", 406}, {"/dicom-web/studies/" + uids[0] + "/series/" + uids[1] + "/instances/1.2.3", "", 404}, {"/dicom-web/studies/" + uids[0] + "/series/1.2", "", 404},
		{"/dicom-web/studies/abc", "", 400}, {"/dicom-web/studies/" + strings.Repeat("1", 65), "", 400}, {"/dicom-web/studies?limit=5&limit=6", "", 400}, {instance + "?x=1", "", 400},
	} {
		header := http.Header{}
		if test.accept != "" {
			header.Set("Accept", test.accept)
		}
		if response, body := f.do(http.MethodGet, test.path, header, nil); response.StatusCode != test.status {
			t.Errorf("%s as %q: %s %.200s, want %d", test.path, test.accept, response.Status, body, test.status)
		}
	}
}

func TestBodiesThatAreNotInstances(t *testing.T) {
	f := newFixture(t, func(d *Deps) {
		d.Limits.DICOMUploadParts, d.Limits.ImageBytes, d.Limits.DICOMUploadBytes = 2, 4096, 8192
	})
	good := film("1.2", "1.2.1", "1.2.1.1")
	contentType, body := related(good)
	_, three := related([]byte("a"), []byte("b"), []byte("c"))
	for name, test := range map[string]struct {
		contentType string
		body        []byte
		status      int
		field       string
	}{
		"JSON":               {"application/json", []byte("{}"), 415, "Content-Type"},
		"no boundary":        {"multipart/related; type=\"application/dicom\"", body, 400, "Content-Type"},
		"another boundary":   {`multipart/related; type="application/dicom"; boundary=x`, body, 400, "body"},
		"another type":       {strings.Replace(contentType, "application/dicom", "application/dicom+json", 1), body, 415, "Content-Type"},
		"nothing":            {contentType, nil, 400, "body"},
		"the end is missing": {contentType, body[:len(body)-60], 400, "body"},
		"a large part":       {"", bytes.Repeat([]byte("x"), 5000), 413, "part[0]"},
		"a large body":       {"", bytes.Repeat([]byte("x"), 9000), 413, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.contentType == "" {
				test.contentType, test.body = related(test.body)
			}
			response, content := f.do(http.MethodPost, "/dicom-web/studies", http.Header{"Content-Type": {test.contentType}}, bytes.NewReader(test.body))
			var problem client.Problem
			if err := json.Unmarshal(content, &problem); err != nil || response.StatusCode != test.status || problem.Field == nil || *problem.Field != test.field {
				t.Errorf("%s %s, want %d about %s", response.Status, content, test.status, test.field)
			}
			if f.files() != 0 {
				t.Error("something is stored")
			}
		})
	}
	// Parts that cannot be read come after one that is stored: the answer names both.
	contentType, _ = related([]byte("a"), []byte("b"), []byte("c"))
	response, content := f.do(http.MethodPost, "/dicom-web/studies", http.Header{"Content-Type": {strings.Split(contentType, "boundary")[0] + "boundary=" + boundaryOf(three)}}, bytes.NewReader(three))
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("three parts: %s %s", response.Status, content)
	}
	status, answer := f.stow("/dicom-web/studies", good, []byte("b"), []byte("c"))
	if status != http.StatusAccepted || len(answer.items(t, referencedSOPSequence)) != 1 || len(answer.items(t, otherFailuresSequence)) != 2 {
		t.Errorf("status %d, %v", status, answer)
	}
}

// boundaryOf reads the boundary off the first line of a body.
func boundaryOf(body []byte) string {
	line, _, _ := bytes.Cut(body, []byte("\r\n"))
	return strings.TrimPrefix(string(line), "--")
}

func TestInstancesWithoutDeidentification(t *testing.T) {
	f := newFixture(t, func(d *Deps) { d.DICOMSecret = nil })
	file := film("1.2", "1.2.1", "1.2.1.1")
	if uids := f.must(file)[0]; !reflect.DeepEqual(uids, [3]string{"1.2", "1.2.1", "1.2.1.1"}) {
		t.Errorf("stored as %v", uids)
	}
	_, files := f.get("/dicom-web/studies/1.2", `multipart/related; type="application/dicom"`)
	if len(files) != 1 || !bytes.Equal(files[0], file) {
		t.Error("other bytes come back")
	}
	if status, _ := f.stow("/dicom-web/studies", film("1.2", "1.2.1", "1.2.1.2", dicom.NewText(dicom.PatientID, dicom.LO, "42"))); status != http.StatusConflict {
		t.Errorf("another patient: status %d", status)
	}
	bare := file[slices.Index(file, 'D')+4:] // without the preamble
	if status, _ := f.stow("/dicom-web/studies", bare); status != http.StatusOK {
		t.Errorf("without a preamble: status %d", status)
	}
}
