package gateway

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/importer"
)

// tarOf returns a tar file of the items; one without content is a link to /etc/passwd.
// packed writes items into an archive or a form, each into what open returns for it, and closes it.
func packed(items []item, open func(item) (io.Writer, error), archive io.Closer) {
	for _, i := range items {
		w, err := open(i)
		if err == nil {
			_, err = w.Write(i.content)
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := archive.Close(); err != nil {
		panic(err)
	}
}

// tarOf and zipOf make a link of an item without content.
func tarOf(items ...item) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	packed(items, func(i item) (io.Writer, error) {
		header := &tar.Header{Name: i.name, Mode: 0o644, Size: int64(len(i.content)), Typeflag: tar.TypeReg}
		if i.content == nil {
			header = &tar.Header{Name: i.name, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}
		}
		return w, w.WriteHeader(header)
	}, w)
	return b.Bytes()
}

func zipOf(items ...item) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	packed(items, func(i item) (io.Writer, error) {
		header := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		if i.content == nil {
			header.SetMode(os.ModeSymlink | 0o777)
		}
		return w.CreateHeader(header)
	}, w)
	return b.Bytes()
}

// importForm returns a form whose file parts keep their folders.
func importForm(items ...item) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	packed(items, func(i item) (io.Writer, error) {
		name := "file"
		if i.name == importer.TableName {
			name = "table"
		}
		return w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", name, i.name)}})
	}, w)
	return w.FormDataContentType(), b.Bytes()
}

// importBytes sends an archive and returns the report.
func (f *fixture) importBytes(query, contentType string, body []byte) client.ImportReport {
	f.t.Helper()
	response, raw := f.do(http.MethodPost, "/v1/studies:import"+query, http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("import answered %d %.500s", response.StatusCode, raw)
	}
	var report client.ImportReport
	if err := json.Unmarshal(raw, &report); err != nil {
		f.t.Fatal(err)
	}
	return report
}

const table = `file,accession,title,study_date,note,finding,ward
films/a.png,A1,Film A,2026-01-02,Cough.,Pneumonia|Effusion,7
films/b.png|b.wav,A2,Film B,,,No Finding,
films/missing.png,A3,,,,,
films/broken.png,A4,,,,,
../../etc/passwd,A5,,,,,
films/a.png,A6,,2026-02-30,,,
films/a.png,A1,,,,,
`

func importItems() []item {
	return []item{{"metadata.csv", []byte(table)}, {"films/a.png", picture(1)}, {"films/b.png", picture(2)}, {"b.wav", sound()}, {"films/broken.png", []byte("\x89PNG\r\n\x1a\nnot a picture")}, {"films/unused.png", picture(3)}}
}

func TestImportOfATable(t *testing.T) {
	formType, form := importForm(importItems()...)
	var inFolder []item
	for _, i := range importItems() {
		inFolder = append(inFolder, item{"./study/" + i.name, i.content})
	}
	for _, test := range []struct {
		name, contentType string
		body              []byte
	}{
		{"tar", "application/octet-stream", tarOf(importItems()...)},
		{"zip", "application/octet-stream", zipOf(importItems()...)},
		{"a folder in a tar file", "application/octet-stream", tarOf(inFolder...)},
		{"form", formType, form},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, nil)
			report := f.importBytes("", test.contentType, test.body)
			if report.Created != 2 || report.Exists != 0 || report.Refused != 5 || report.UnusedFiles != 1 || len(report.Items) != 7 {
				t.Errorf("report %+v", report)
			}
			for i, want := range []struct{ status, code, detail string }{
				{"created", "", ""}, {"created", "", ""}, {"refused", "not_found", "not there"}, {"refused", "", ""},
				{"refused", "invalid_argument", "leads out of the folder"}, {"refused", "invalid_argument", "no day"}, {"refused", "conflict", "accession"},
			} {
				got := report.Items[i]
				if string(got.Status) != want.status || got.Line == nil || *got.Line != i+2 {
					t.Errorf("item %d is %+v, want %s", i, got, want.status)
				}
				if want.code != "" && (got.Problem == nil || got.Problem.Type != "urn:consilium:problem:"+want.code || !strings.Contains(got.Problem.Detail, want.detail)) {
					t.Errorf("item %d has the problem %+v, want %s %q", i, got.Problem, want.code, want.detail)
				}
			}
			stored := f.files()
			if stored != 4 { // two films, a sound, a note: nothing of what was refused
				t.Errorf("%d blobs are stored, want 4", stored)
			}
			study, err := f.client.GetStudyWithResponse(context.Background(), *report.Items[0].StudyId)
			if err != nil || study.JSON200 == nil {
				t.Fatal(err, string(study.Body))
			}
			s := study.JSON200
			if s.Title != "Film A" || *s.Accession != "A1" || *s.StudyDate != "2026-01-02" || s.Labels["finding"] != "Pneumonia|Effusion" || s.Labels["ward"] != "7" || len(s.Artefacts) != 2 {
				t.Errorf("study %+v", s)
			}
			chosen, err := f.client.ListStudiesWithResponse(context.Background(), &client.ListStudiesParams{Label: &[]string{"finding=Effusion"}})
			if err != nil || chosen.JSON200 == nil || len(chosen.JSON200.Studies) != 1 || chosen.JSON200.Studies[0].Id != s.Id {
				t.Errorf("chosen by label: %s %v", chosen.Body, err)
			}

			again := f.importBytes("", test.contentType, test.body)
			if again.Created != 0 || again.Exists != 2 || again.Refused != 5 || *again.Items[0].StudyId != s.Id || f.files() != stored {
				t.Errorf("imported again: %+v", again)
			}
			found, err := f.client.FindImportedWithResponse(context.Background(), client.FindImportedJSONRequestBody{ImportSha256: []string{*s.ImportSha256, strings.Repeat("0", 64)}})
			if err != nil || found.JSON200 == nil || len(found.JSON200.Studies) != 1 || found.JSON200.Studies[0].Id != s.Id {
				t.Errorf("found %s %v", found.Body, err)
			}
		})
	}
}

func TestImportNamesTheColumns(t *testing.T) {
	f := newFixture(t, nil)
	body := tarOf(item{"metadata.csv", []byte("path,id,name,kind,extra\na.png,1,One,x,y\n")}, item{"a.png", picture(1)})
	report := f.importBytes("?file=path&accession=id&title=name&label=kind", "application/octet-stream", body)
	if report.Created != 1 {
		t.Fatalf("report %+v", report)
	}
	study, err := f.client.GetStudyWithResponse(context.Background(), *report.Items[0].StudyId)
	if err != nil || study.JSON200 == nil || *study.JSON200.Accession != "1" || study.JSON200.Title != "One" || len(study.JSON200.Labels) != 1 || study.JSON200.Labels["kind"] != "x" {
		t.Errorf("study %s %v", study.Body, err)
	}
	changed := bytes.Replace(body, []byte("a.png,1,One,x,y"), []byte("a.png,1,One,z,y"), 1)
	again := f.importBytes("?file=path&accession=id&title=name&label=kind", "application/octet-stream", changed)
	if again.Refused != 1 || again.Items[0].Problem.Type != "urn:consilium:problem:conflict" || *again.Items[0].Problem.Field != "labels" {
		t.Errorf("imported with another label: %+v", again)
	}
}

func TestImportWithoutATable(t *testing.T) {
	f := newFixture(t, nil)
	sample := film("1.2.3", "1.2.3.1", "1.2.3.1.1")
	body := tarOf(item{"a.png", picture(1)}, item{"b.wav", sound()}, item{"c.dcm", sample}, item{"README.txt", []byte("Read me.")}, item{"x.bin", []byte("xxxx")}, item{"link", nil}, item{"../up.png", picture(2)}, item{"/abs.png", picture(2)})
	report := f.importBytes("", "application/octet-stream", body)
	if report.Created != 3 || report.Refused != 5 {
		t.Errorf("report %+v", report)
	}
	var reasons []string
	for _, i := range report.Items {
		if i.Problem != nil {
			reasons = append(reasons, i.Problem.Detail)
		}
	}
	for _, want := range []string{"links and devices", "leads out of the folder", "no kind that is read", "a text alone"} {
		if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, want) }) {
			t.Errorf("no item was refused because %q: %q", want, reasons)
		}
	}
	if again := f.importBytes("", "application/octet-stream", body); again.Created != 0 || again.Exists != 3 {
		t.Errorf("imported again: %+v", again)
	}
}

// zeros is a file that is large and packs well.
func zeros(n int) []byte { return make([]byte, n) }

func TestImportRefusesHostileArchives(t *testing.T) {
	f := newFixture(t, nil)
	bomb := zipOf(item{"metadata.csv", []byte("file\na.png\n")}, item{"a.png", zeros(importer.MaxStudyBytes + 1)})
	lying := zipOf(item{"a.png", zeros(1 << 20)})
	// The size in the directory's entry says 16 bytes.
	at := bytes.LastIndex(lying, []byte("PK\x01\x02"))
	copy(lying[at+24:], []byte{16, 0, 0, 0})
	report := f.importBytes("", "application/octet-stream", bomb)
	if report.Refused != 1 || !strings.HasSuffix(report.Items[0].Problem.Type, "too_large") {
		t.Errorf("the bomb: %+v", report)
	}
	report = f.importBytes("", "application/octet-stream", lying)
	if report.Refused != 1 {
		t.Errorf("the lying archive: %+v", report)
	}
	directory := zipOf(item{"a.png", picture(1)})
	grown := bytes.Clone(directory)
	copy(grown[len(grown)-10:], []byte{0xff, 0xff, 0xff, 0x7f}) // the directory's size
	for _, test := range []struct {
		name   string
		body   []byte
		status int
		detail string
	}{
		{"nothing", nil, 422, "empty"},
		{"no archive", []byte("this is neither a tar nor a zip file, but text that is long enough to be read as a block of five hundred and twelve bytes" + strings.Repeat(".", 600)), 422, "no tar file"},
		{"half a tar file", tarOf(item{"a.png", zeros(2000)})[:1200], 422, "ends early"},
		{"half a zip file", directory[:len(directory)/2], 422, "no zip file"},
		{"a zip file with a huge directory", grown, 413, "directory"},
		{"an empty tar file", tarOf(), 422, "empty"},
		{"a table without its column", tarOf(item{"metadata.csv", []byte("a,b\n1,2\n")}), 422, "no such column"},
		{"a table that is no CSV", tarOf(item{"metadata.csv", []byte("file\n\"a\"b\n")}), 422, "no CSV"},
		{"a table of bytes", tarOf(item{"metadata.csv", []byte("file\n\xff\n")}), 422, "UTF-8"},
		{"a table without rows", tarOf(item{"metadata.csv", []byte("file\n")}), 422, "nothing to import"},
		{"a column twice", tarOf(item{"metadata.csv", []byte("file,x,x\n")}), 422, "twice"},
		{"too many label columns", tarOf(item{"metadata.csv", []byte("file," + strings.Join(numbered(33), ",") + "\n")}), 413, "name those"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.t = t
			response, raw := f.do(http.MethodPost, "/v1/studies:import", http.Header{"Content-Type": {"application/octet-stream"}}, bytes.NewReader(test.body))
			if problem := f.problem(response, raw); problem.Status != test.status || !strings.Contains(problem.Detail, test.detail) {
				t.Errorf("answered %+v, want %d %q", problem, test.status, test.detail)
			}
		})
	}
	f.t = t
	if n := f.files(); n != 0 {
		t.Errorf("%d files stay behind", n)
	}
}

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("c", i))
	}
	return names
}

func TestImportLeavesNoScratchFile(t *testing.T) {
	f := newFixture(t, nil)
	f.importBytes("", "application/octet-stream", tarOf(item{"a.png", picture(1)}))
	left, err := os.ReadDir(filepath.Join(f.blobs, ".tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v: %v", left, err)
	}
}

func TestImportsAtOnceAreBounded(t *testing.T) {
	begun := make(chan struct{}, maxImports)
	f := newFixture(t, func(d *Deps) {
		scratch := d.Scratch
		d.Scratch = func() (*os.File, error) { // whoever asks for it has its place
			begun <- struct{}{}
			return scratch()
		}
	})
	release, done := make(chan struct{}), make(chan error, maxImports)
	for range maxImports {
		reader, writer := io.Pipe()
		go func() {
			r, err := http.Post(f.url+"/v1/studies:import", "application/octet-stream", reader)
			if err == nil {
				err = r.Body.Close()
			}
			done <- err
		}()
		go func() {
			<-release
			_, err := writer.Write(tarOf(item{"a.png", picture(1)}))
			writer.CloseWithError(err)
		}()
	}
	for range maxImports {
		<-begun
	}
	response, raw := f.do(http.MethodPost, "/v1/studies:import", http.Header{"Content-Type": {"application/octet-stream"}}, bytes.NewReader(tarOf(item{"a.png", picture(1)})))
	if problem := f.problem(response, raw); problem.Status != http.StatusTooManyRequests || problem.Limit == nil || !strings.Contains(*problem.Limit, "imports at once") {
		t.Errorf("problem %+v", problem)
	}
	close(release)
	for range maxImports {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
