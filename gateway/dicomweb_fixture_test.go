package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/dicom"
)

// film returns a file of two frames of 3 x 2 pixels; changes replace elements.
func film(study, series, uid string, changes ...*dicom.Element) []byte {
	d := dicom.NewDataset(
		dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2.840.10008.5.1.4.1.1.7"), dicom.NewText(dicom.SOPInstanceUID, dicom.UI, uid),
		dicom.NewText(dicom.StudyInstanceUID, dicom.UI, study), dicom.NewText(dicom.SeriesInstanceUID, dicom.UI, series),
		dicom.NewText(dicom.StudyDate, dicom.DA, "20200614"), dicom.NewText(dicom.PatientName, dicom.PN, "Doe^Jane"), dicom.NewText(dicom.PatientID, dicom.LO, "Q47-11"),
		dicom.NewText(dicom.PatientSex, dicom.CS, "F"), dicom.NewText(dicom.PatientAge, dicom.AS, "063Y"),
		dicom.NewText(dicom.Modality, dicom.CS, "DX"), dicom.NewText(dicom.BodyPartExamined, dicom.CS, "CHEST"), dicom.NewText(dicom.ViewPosition, dicom.CS, "PA"),
		dicom.NewText(dicom.InstanceNumber, dicom.IS, uid[strings.LastIndexByte(uid, '.')+1:]),
		dicom.NewInts(dicom.SamplesPerPixel, dicom.US, 1), dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME2"),
		dicom.NewText(dicom.NumberOfFrames, dicom.IS, "2"), dicom.NewInts(dicom.Rows, dicom.US, 2), dicom.NewInts(dicom.Columns, dicom.US, 3),
		dicom.NewInts(dicom.BitsAllocated, dicom.US, 8), dicom.NewInts(dicom.BitsStored, dicom.US, 8), dicom.NewInts(dicom.HighBit, dicom.US, 7), dicom.NewInts(dicom.PixelRepresentation, dicom.US, 0),
		&dicom.Element{Tag: dicom.PixelData, VR: dicom.OW, Value: []byte("abcdefABCDEF")},
	)
	for _, e := range changes {
		d.Set(e)
	}
	b, err := dicom.Write(&dicom.File{Dataset: d, TransferSyntax: dicom.ExplicitLittle})
	if err != nil {
		panic(err) // the elements above fit
	}
	return b
}

// related returns a body of multipart/related.
func related(files ...[]byte) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, file := range files {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err == nil {
			_, err = part.Write(file)
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	w.Close()
	return mime.FormatMediaType("multipart/related", map[string]string{"type": "application/dicom", "boundary": w.Boundary()}), b.Bytes()
}

// object is a data set in the DICOM JSON model.
type object map[string]struct {
	VR    string            `json:"vr"`
	Value []json.RawMessage `json:"Value"`
}

// text returns the values of an element as JSON texts.
func (o object) text(tag dicom.Tag) string {
	var values []string
	for _, v := range o[jsonTag(tag)].Value {
		values = append(values, strings.Trim(string(v), `"`))
	}
	return strings.Join(values, ",")
}

func (o object) items(t *testing.T, tag dicom.Tag) []object {
	t.Helper()
	var list []object
	for _, v := range o[jsonTag(tag)].Value {
		var item object
		if err := json.Unmarshal(v, &item); err != nil {
			t.Fatal(err)
		}
		list = append(list, item)
	}
	return list
}

// stow sends files and returns the status and the answer.
func (f *fixture) stow(path string, files ...[]byte) (int, object) {
	f.t.Helper()
	contentType, body := related(files...)
	response, content := f.do(http.MethodPost, path, http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))
	var answer object
	if response.Header.Get("Content-Type") == dicomJSON {
		if err := json.Unmarshal(content, &answer); err != nil {
			f.t.Fatal(err)
		}
	}
	return response.StatusCode, answer
}

// must sends files that are all stored, and returns the UIDs of each: study, series, instance.
func (f *fixture) must(files ...[]byte) (uids [][3]string) {
	f.t.Helper()
	status, answer := f.stow("/dicom-web/studies", files...)
	if status != http.StatusOK {
		f.t.Fatalf("stored with status %d: %v", status, answer)
	}
	for _, item := range answer.items(f.t, referencedSOPSequence) {
		fields := strings.Split(item.text(retrieveURL), "/")
		uids = append(uids, [3]string{fields[3], fields[5], fields[7]})
	}
	return uids
}

// list gets an array of data sets.
func (f *fixture) list(path string) []object {
	f.t.Helper()
	response, content := f.do(http.MethodGet, path, http.Header{"Accept": {"application/dicom+json"}}, nil)
	var list []object
	if err := json.Unmarshal(content, &list); err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s answered %s: %s", path, response.Status, content)
	}
	return list
}

// get gets the parts of an answer of multipart/related with the type of each.
func (f *fixture) get(path, accept string) (types []string, contents [][]byte) {
	f.t.Helper()
	response, content := f.do(http.MethodGet, path, http.Header{"Accept": {accept}}, nil)
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s answered %s: %s", path, response.Status, content)
	}
	for reader := multipart.NewReader(bytes.NewReader(content), parameters["boundary"]); ; {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return types, contents
		}
		if err != nil {
			f.t.Fatal(err)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			f.t.Fatal(err)
		}
		types, contents = append(types, part.Header.Get("Content-Type")), append(contents, b)
	}
}

// hex writes a decimal number as four hexadecimal digits.
func hex(decimal string) string {
	n, err := strconv.Atoi(decimal)
	if err != nil {
		return decimal
	}
	return fmt.Sprintf("%04X", n)
}
