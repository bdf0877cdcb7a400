package allinone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"consilium/gateway/conform"
	"consilium/internal/dicom"
)

// What stands in the files of TestNoPatientIsKept, beside a mark of its own in each element of text.
const (
	birthDate = "19570213"
	studyDate = "20190807"
	dayTime   = "074713"
	mark      = "ZQMARK" // begins every marked text
	uidMark   = "1.2.826.0.1.7777."
)

// identifying are the groups of the dictionary whose elements are marked: of the study, the patient, the trial, the
// acquisition, relations, the request, the visit, the procedure, results and signatures.
var identifying = []uint16{0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040, 0x0400, 0x4008}

// described are elements of those groups that describe equipment and codes and are kept.
var described = regexp.MustCompile(`Manufacturer|SoftwareVersions|^CodeValue$|LongCodeValue|CodingScheme|CodeMeaning|^StageName|^ViewName|SequenceName|StackID|ImagedNucleus|CoilName|Radionuclide$|Radiopharmaceutical$|ContrastBolusRoute|FilterType|CollimatorGridName|ConvolutionKernel|PlateType|PhosphorType|PositionReferenceIndicator|DimensionDescriptionLabel|SpecificCharacterSet|SOPClassUID`)

// marked returns the identifying elements, each with a mark if its VR has room for one.
func marked() *dicom.Dataset {
	d := &dicom.Dataset{}
	for _, group := range identifying {
		for element := range 0x10000 {
			tag := dicom.NewTag(group, uint16(element))
			if keyword := tag.Keyword(); keyword == "" || described.MatchString(keyword) {
				continue
			}
			own := fmt.Sprintf("%s%08X", mark, uint32(tag))
			switch vr := tag.VR(); vr {
			case dicom.PN:
				d.Set(dicom.NewText(tag, vr, own+"^Anna=山田^"+own+"=やまだ"))
			case dicom.LO, dicom.LT, dicom.SH, dicom.ST, dicom.UC, dicom.UR, dicom.UT, dicom.AE:
				d.Set(dicom.NewText(tag, vr, own))
			case dicom.DA:
				d.Set(dicom.NewText(tag, vr, studyDate))
			case dicom.TM:
				d.Set(dicom.NewText(tag, vr, dayTime))
			case dicom.DT:
				d.Set(dicom.NewText(tag, vr, studyDate+dayTime+".123456"))
			case dicom.UI:
				d.Set(dicom.NewText(tag, vr, uidMark+fmt.Sprint(uint32(tag))))
			case dicom.OB, dicom.UN:
				d.Set(&dicom.Element{Tag: tag, VR: vr, Value: []byte(own)})
			}
		}
	}
	d.Set(dicom.NewText(dicom.PatientBirthDate, dicom.DA, birthDate))
	return d
}

// secretFile returns a picture whose every corner names its patient. number makes its UIDs.
func secretFile(t *testing.T, number int, compressed bool) []byte {
	t.Helper()
	d := marked()
	nested := marked()
	nested.Set(dicom.NewText(0x00091001, dicom.LT, mark+"NESTEDPRIVATE"))
	d.Set(dicom.NewSequence(0x00082218, dicom.NewDataset(dicom.NewSequence(0x00400440, nested)))) // anatomic region, protocol context
	d.Set(dicom.NewText(0x00090010, dicom.LO, mark+"CREATOR"))
	d.Set(dicom.NewText(0x00091001, dicom.PN, mark+"PRIVATE"))
	d.Set(&dicom.Element{Tag: 0x00091002, VR: dicom.UN, Value: []byte(mark + "UNKNOWN.")})
	d.Set(dicom.NewText(0x60000022, dicom.LO, mark+"OVERLAY"))
	d.Set(dicom.NewText(0x50000030, dicom.SH, mark+"CURVE"))
	d.Set(dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2.840.10008.5.1.4.1.1.7"))
	d.Set(dicom.NewText(dicom.SOPInstanceUID, dicom.UI, fmt.Sprintf("%s1.%d", uidMark, number)))
	d.Set(dicom.NewText(dicom.Modality, dicom.CS, "DX"))
	d.Set(dicom.NewText(dicom.BodyPartExamined, dicom.CS, "CHEST"))
	d.Set(dicom.NewText(dicom.PatientSex, dicom.CS, "F"))
	for tag, v := range map[dicom.Tag]int64{dicom.SamplesPerPixel: 1, dicom.Rows: 64, dicom.Columns: 64, dicom.BitsAllocated: 8, dicom.BitsStored: 8, dicom.HighBit: 7, dicom.PixelRepresentation: 0} {
		d.Set(dicom.NewInts(tag, dicom.US, v))
	}
	d.Set(dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME2"))
	picture := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(i*number + i/64)
	}
	f := &dicom.File{Meta: dicom.NewDataset(dicom.NewText(0x00020016, dicom.AE, mark+"AE"), dicom.NewText(0x00020100, dicom.UI, uidMark+"2"), &dicom.Element{Tag: 0x00020102, VR: dicom.OB, Value: []byte(mark + "METAINFO")}), Dataset: d, TransferSyntax: dicom.ExplicitLittle}
	d.Set(&dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Value: append(picture.Pix, mark+"AFTERPIXELS."...)})
	if compressed {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, picture, nil); err != nil {
			t.Fatal(err)
		}
		comment := mark + "JPEGCOMMENT"
		raw := b.String()
		raw = raw[:2] + "\xff\xfe\x00" + string(rune(len(comment)+2)) + comment + raw[2:] + comment
		f.TransferSyntax = dicom.JPEGBaseline
		d.Set(&dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Fragments: [][]byte{[]byte(raw)}})
	}
	b, err := dicom.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, mark+"PREAMBLE")
	return b
}

// watched is a client that keeps every answer.
type watched struct {
	t       *testing.T
	url     string
	answers bytes.Buffer
}

func (w *watched) do(method, path, contentType string, body []byte) (int, []byte) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := (&http.Client{Transport: conform.New(w.t).Transport()}).Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(&w.answers, "\n%s %d %v\n", method, response.StatusCode, response.Header)
	w.answers.Write(content)
	return response.StatusCode, content
}

// upload sends files as multipart/related, with their patient in every header that a part can have.
func (w *watched) upload(path string, files ...[]byte) (int, []byte) {
	w.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, file := range files {
		part, err := m.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}, "Content-Location": {"/" + mark + "LOCATION"}, "Content-Disposition": {`attachment; filename="` + mark + `FILENAME.dcm"`}})
		if err == nil {
			_, err = part.Write(file)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	m.Close()
	return w.do(http.MethodPost, path, mime.FormatMediaType("multipart/related", map[string]string{"type": "application/dicom", "boundary": m.Boundary()}), b.Bytes())
}

// form sends a form with one file under a name that tells its patient.
func (w *watched) form(path string, fields map[string]string, file []byte) (int, []byte) {
	w.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for name, value := range fields {
		if err := m.WriteField(name, value); err != nil {
			w.t.Fatal(err)
		}
	}
	part, err := m.CreateFormFile("image", mark+"FILENAME.dcm")
	if err == nil {
		_, err = part.Write(file)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	m.Close()
	return w.do(http.MethodPost, path, m.FormDataContentType(), b.Bytes())
}

// TestNoPatientIsKept sends files that name their patient in every place, good ones and bad ones, by every way in, asks
// everything that can be asked about them, and then looks for the patient in the database, in every file, in the cache,
// in the log and in the answers.
func TestNoPatientIsKept(t *testing.T) {
	state, err := stateFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(state)
	log := &logBuffer{}
	getenv := func(name string) string {
		return map[string]string{"CONSILIUM_STATE": state, "CONSILIUM_LISTEN": anyPort, "CONSILIUM_LOG_LEVEL": "debug"}[name]
	}
	settings, err := LoadSettings(getenv)
	if err != nil {
		t.Fatal(err)
	}
	stack, err := Start(t.Context(), settings, getenv, log, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.tail())
	}
	defer func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
	}()
	w := &watched{t: t, url: stack.URL}

	native, compressed := secretFile(t, 1, false), secretFile(t, 3, true)
	if at := bytes.Index(native, []byte(mark)); at != 0 || bytes.Count(native, []byte(mark)) < 500 {
		t.Fatalf("the file holds %d marks, the first at %d", bytes.Count(native, []byte(mark)), at)
	}
	study := fmt.Sprint(uidMark, uint32(dicom.StudyInstanceUID))
	if status, body := w.upload("/dicom-web/studies", native, compressed); status != http.StatusOK {
		t.Fatalf("stored with status %d: %s", status, body)
	}
	if status, body := w.upload("/dicom-web/studies/"+study, native); status != http.StatusOK {
		t.Errorf("stored again with status %d: %s", status, body)
	}
	changed := bytes.ReplaceAll(native, []byte(mark+"00100020"), []byte(mark+"0010002X"))
	broken := bytes.ReplaceAll(native, []byte("MONOCHROME2"), []byte("MILLERANNA "))
	for name, file := range map[string][]byte{"another patient": changed, "cut off": native[:len(native)/2], "nonsense": []byte(mark), "a name for a code": broken} {
		if status, body := w.upload("/dicom-web/studies", file); status != http.StatusConflict {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
		if status, body := w.form("/v1/studies", nil, file); status < 400 && name != "another patient" {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	if status, body := w.form("/v1/studies", nil, compressed); status != http.StatusCreated {
		t.Errorf("a study of its own: status %d: %s", status, body)
	}
	if status, body := w.form("/v1/vqa", map[string]string{"question": "what is it?"}, native); status != http.StatusOK {
		t.Errorf("a question: status %d: %s", status, body)
	}
	media, err := json.Marshal(map[string]any{"model": "consilium", "input": []any{map[string]any{"type": "image", "data": compressed}}})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := w.do(http.MethodPost, "/v1/embeddings", "application/json", media); status != http.StatusOK {
		t.Errorf("embeddings: status %d: %.300s", status, body)
	}

	// Everything that can be read.
	_, listed := w.do(http.MethodGet, "/v1/studies", "", nil)
	var list struct {
		Studies []struct {
			ID        string `json:"id"`
			Artefacts []struct{ ID string }
		}
	}
	if err := json.Unmarshal(listed, &list); err != nil || len(list.Studies) < 2 {
		t.Fatalf("%s, %v", listed, err)
	}
	for _, s := range list.Studies {
		if status, body := w.do(http.MethodPost, "/v1/studies/"+s.ID+"/questions", "application/json", []byte(`{"question":"who is it?"}`)); status != http.StatusOK {
			t.Errorf("asked: status %d: %s", status, body)
		}
		if status, body := w.do(http.MethodPost, "/v1/studies/"+s.ID+"/reports", "", nil); status != http.StatusCreated {
			t.Errorf("reported: status %d: %s", status, body)
		}
		for _, a := range s.Artefacts {
			w.do(http.MethodGet, "/v1/studies/"+s.ID+"/artefacts/"+a.ID, "", nil)
		}
	}
	_, instances := w.do(http.MethodGet, "/dicom-web/instances?includefield=all", "", nil)
	var found []map[string]struct{ Value []any }
	if err := json.Unmarshal(instances, &found); err != nil || len(found) != 2 {
		t.Fatalf("%s, %v", instances, err)
	}
	for _, i := range found {
		path := i["00081190"].Value[0].(string)
		for _, below := range []string{"", "/metadata", "/rendered", "/frames/1"} {
			if status, body := w.do(http.MethodGet, path+below, "", nil); status != http.StatusOK {
				t.Errorf("%s: status %d: %s", below, status, body)
			}
		}
		w.do(http.MethodGet, path[:strings.Index(path, "/series/")]+"/metadata", "", nil)
	}
	for _, path := range []string{"/dicom-web/studies", "/dicom-web/series?includefield=all", "/dicom-web/studies/" + study, "/dicom-web/studies/" + study + "/metadata",
		"/dicom-web/studies/" + study + "/series/" + uidMark + "5/instances/" + uidMark + "6/rendered", "/dicom-web/studies?" + url.Values{"PatientName": {mark + "00100010*"}, "StudyDate": {studyDate}}.Encode(), "/metrics"} {
		w.do(http.MethodGet, path, "", nil)
	}

	for _, path := range []string{"/dicom-web/studies/" + study, "/dicom-web/nonsense/" + study} {
		w.do(http.MethodDelete, path, "", nil)
	}

	kept := map[string][]byte{"the database": dump(t, stack.postgres.URL("consilium")), "the cache": remembered(t, stack.valkey.URL()), "the log": logged(log), "the answers": w.answers.Bytes()}
	if err := filepath.WalkDir(filepath.Join(state, "blobs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		kept["the file "+entry.Name()] = content
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(kept) < 6 {
		t.Errorf("only %d things were looked at", len(kept))
	}
	for where, content := range kept {
		if len(content) < 100 && !strings.HasPrefix(where, "the file") {
			t.Errorf("%s holds only %q", where, content)
		}
		for _, trace := range traces {
			if at := trace.FindIndex(content); at != nil {
				t.Errorf("%s names the patient: %q", where, content[max(0, at[0]-80):min(len(content), at[1]+40)])
			}
		}
		// A refused instance is named to its sender as it came, and to nobody else.
		if where != "the answers" && bytes.Contains(content, []byte(uidMark)) {
			t.Errorf("%s holds a UID of the files", where)
		}
	}
}

// traces are what no place may hold. Dates and times are not looked for within longer numbers.
var traces = []*regexp.Regexp{
	regexp.MustCompile(`(?i)` + mark), regexp.MustCompile(`(?i)` + fmt.Sprintf("%x", mark)), regexp.MustCompile(`(?i)Anna\b`), regexp.MustCompile("山田|やまだ|" + `\\u5c71`),
	regexp.MustCompile(`(^|[^0-9])` + birthDate + `([^0-9]|$)`), regexp.MustCompile(`1957-02-13`),
	regexp.MustCompile(`(^|[^0-9])` + studyDate + `(` + dayTime + `|[^0-9]|$)`), regexp.MustCompile(`2019-08-07`),
	regexp.MustCompile(`(^|[^0-9.])` + dayTime + `([^0-9]|$)`),
}

// dump returns every row of every table as text.
func dump(t *testing.T, url string) []byte {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT table_schema || '.' || quote_ident(table_name) FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Contains(tables, "public.dicom_instances") {
		t.Fatal(tables, err)
	}
	var b bytes.Buffer
	for _, table := range tables {
		rows, err := conn.Query(t.Context(), "SELECT r::text FROM "+table+" r")
		if err != nil {
			t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n%s\n%s", table, strings.Join(texts, "\n"))
	}
	return b.Bytes()
}

// remembered returns every key and value of the cache.
func remembered(t *testing.T, url string) []byte {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	var b bytes.Buffer
	for keys := client.Scan(t.Context(), 0, "*", 100).Iterator(); keys.Next(context.Background()); {
		value, err := client.Dump(t.Context(), keys.Val()).Result() // of any kind
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%s\n", keys.Val(), value)
		if client.Type(t.Context(), keys.Val()).Val() == "string" {
			b.WriteString(client.Get(t.Context(), keys.Val()).Val()) // as it is: a dump may be compressed
		}
	}
	return b.Bytes()
}

// logged returns the whole log.
func logged(l *logBuffer) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}
