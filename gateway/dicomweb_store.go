package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/dicom/deid"
)

// The elements of an answer to STOW-RS (PS3.18 section 10.5.3).
const (
	errorComment          dicom.Tag = 0x00000902
	referencedSOPClassUID dicom.Tag = 0x00081150
	referencedSOPUID      dicom.Tag = 0x00081155
	retrieveURL           dicom.Tag = 0x00081190
	warningReason         dicom.Tag = 0x00081196
	failureReason         dicom.Tag = 0x00081197
	failedSOPSequence     dicom.Tag = 0x00081198
	referencedSOPSequence dicom.Tag = 0x00081199
	otherFailuresSequence dicom.Tag = 0x0008119A
)

// The reasons in it (PS3.18 section I.2).
const (
	reasonProcessing       = 0x0110
	reasonDuplicate        = 0x0111
	reasonClass            = 0x0122
	reasonResources        = 0xA700
	reasonMismatch         = 0xA900
	reasonCoerced          = 0xB000 // a warning
	reasonCannotUnderstand = 0xC000
	reasonSyntax           = 0xC122
)

// maxComment is how many characters a value of VR LO may have.
const maxComment = 64

// dicomRoom is the memory that storing instances takes, in bytes of the largest one: it as it comes, in a buffer that
// grows, and as it is written.
const dicomRoom = 4

// tally is what became of the parts of one request.
type tally struct {
	stored, failed, other []*dicom.Dataset
	warned                bool
	studies               map[string]bool
	// broken is the last error that was not the sender's.
	broken error
}

// storeInstances implements POST /dicom-web/studies and /dicom-web/studies/{study_uid}: one part after the other is
// read, cleaned and stored, so that no more than one is in memory.
func (s *server) storeInstances(w http.ResponseWriter, r *http.Request) error {
	_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || parameters["boundary"] == "" {
		return unreadable400("Content-Type", "the boundary of the parts is missing")
	}
	if kind := parameters["type"]; kind != "" && !strings.EqualFold(kind, dicomFile) {
		return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "Content-Type", Message: "parts of this type are not read", Limit: dicomFile, Value: clip(kind)}
	}
	t := &tally{studies: map[string]bool{}}
	reader := multipart.NewReader(r.Body, parameters["boundary"])
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && n == s.Limits.DICOMUploadParts {
			err = &analysis.Error{Code: analysis.TooLarge, Field: "body", Message: "the body has too many parts", Limit: fmt.Sprintf("%d parts", s.Limits.DICOMUploadParts), Value: "more"}
		}
		var raw []byte
		if err == nil {
			if raw, err = readPart(part, fmt.Sprintf("part[%d]", n), s.Limits.ImageBytes); err == nil {
				s.storePart(r, t, part.Header.Get("Content-Type"), raw)
				continue
			}
		}
		// The rest of the body cannot be read. What was stored stays stored, so the answer has to name it.
		if len(t.stored) == 0 {
			return bodyError(err)
		}
		t.fail(&received{}, bodyError(err))
		break
	}
	switch {
	case len(t.stored)+len(t.failed)+len(t.other) == 0:
		return unreadable400("body", "the body holds no part: it is empty, or its boundary is another one")
	case len(t.stored) == 0 && t.broken != nil:
		return t.broken
	}
	return t.answer(w)
}

// storePart stores one instance and notes what became of it.
func (s *server) storePart(r *http.Request, t *tally, contentType string, raw []byte) {
	if kind, _, err := mime.ParseMediaType(contentType); contentType != "" && (err != nil || kind != dicomFile) {
		t.fail(&received{}, &analysis.Error{Code: analysis.UnsupportedMedia, Message: "the part is not of the type " + dicomFile})
		return
	}
	cleaner := s.cleaner(r)
	in, err := receive(cleaner, raw)
	if err == nil {
		if study := chi.URLParam(r, "study_uid"); study != "" && study != in.studyUID && study != in.instance.StudyUID {
			err = &analysis.Error{Code: analysis.Conflict, Field: "study", Message: "the instance is of another study than the path"}
		}
	}
	if err == nil {
		err = s.Instances.StoreInstance(r.Context(), in.instance, in.content)
		if fieldOf(err) == analysis.OtherBytes && s.hasPicture(r.Context(), in) {
			in.warnings, err = append(in.warnings, "the same picture was stored before; the first file stays"), nil
		}
	}
	if err != nil {
		t.fail(in, err)
		if statusOf[analysis.CodeOf(err)] >= http.StatusInternalServerError {
			s.Log.ErrorContext(r.Context(), "instance was not stored", "error", err.Error())
		}
		return
	}
	t.store(in)
}

func fieldOf(err error) string {
	var e *analysis.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Field
}

// hasPicture says that the instance which is stored under the UID shows the same: it was sent before in another encoding,
// or cleaned by another edition of the rules. It stays as it is.
func (s *server) hasPicture(ctx context.Context, in *received) bool {
	i := in.instance
	stored, err := s.Instances.Instances(ctx, analysis.InstancePage{StudyUID: i.StudyUID, SeriesUID: i.SeriesUID, UID: i.UID, After: -1, Limit: 1})
	if err != nil || len(stored) == 0 {
		return false
	}
	content, err := s.Store.Content(ctx, &stored[0].Artefact)
	if err != nil {
		return false
	}
	return samePicture(content, in.content)
}

// samePicture says that two files have the same frames, however they are encoded.
func samePicture(a, b []byte) bool {
	var images [2]*dicom.Image
	for k, raw := range [][]byte{a, b} {
		file, err := dicom.Parse(raw)
		if err != nil {
			return false
		}
		if images[k], err = file.Image(); err != nil {
			return false
		}
	}
	if images[0].Frames != images[1].Frames {
		return false
	}
	for n := range images[0].Frames {
		one, err := images[0].Frame(n)
		if err != nil {
			return false
		}
		other, err := images[1].Frame(n)
		if err != nil || one.Rows != other.Rows || one.Columns != other.Columns || one.Samples != other.Samples || one.Bits != other.Bits || !bytes.Equal(one.Data, other.Data) {
			return false
		}
	}
	return true
}

func (t *tally) store(in *received) {
	i := in.instance
	item := dicom.NewDataset(
		dicom.NewText(referencedSOPClassUID, dicom.UI, in.classUID),
		dicom.NewText(referencedSOPUID, dicom.UI, i.UID),
		dicom.NewText(retrieveURL, dicom.UR, instancePath(i.StudyUID, i.SeriesUID, i.UID)),
	)
	if len(in.warnings) > 0 {
		t.warned = true
		item.Set(dicom.NewInts(warningReason, dicom.US, reasonCoerced))
		item.Set(comment(strings.Join(in.warnings, "; ")))
	}
	t.stored = append(t.stored, item)
	t.studies[i.StudyUID] = true
}

// fail notes a part that was not stored, by the UIDs that its sender knows.
func (t *tally) fail(in *received, err error) {
	message := "the instance could not be stored"
	var e *analysis.Error
	if errors.As(err, &e) {
		message = e.Message
	}
	item := dicom.NewDataset(dicom.NewInts(failureReason, dicom.US, reasonOf(err)), comment(message))
	if statusOf[analysis.CodeOf(err)] >= http.StatusInternalServerError {
		t.broken = err
	}
	if !deid.ValidUID(in.uid) || !deid.ValidUID(in.classUID) {
		t.other = append(t.other, item)
		return
	}
	item.Set(dicom.NewText(referencedSOPClassUID, dicom.UI, in.classUID))
	item.Set(dicom.NewText(referencedSOPUID, dicom.UI, in.uid))
	t.failed = append(t.failed, item)
}

// reasonOf maps an error to a failure reason.
func reasonOf(err error) int64 {
	var e *analysis.Error
	if !errors.As(err, &e) {
		return reasonProcessing
	}
	switch e.Code {
	case analysis.TooLarge, analysis.Unavailable, analysis.Overloaded:
		return reasonResources
	case analysis.InvalidArgument, analysis.UnsupportedMedia:
		switch e.Field {
		case noPicture:
			return reasonClass
		case notDecodable:
			return reasonSyntax
		}
		return reasonCannotUnderstand
	case analysis.Conflict:
		if e.Field == analysis.OtherBytes {
			return reasonDuplicate
		}
		return reasonMismatch
	}
	return reasonProcessing
}

func comment(text string) *dicom.Element {
	if runes := []rune(text); len(runes) > maxComment {
		text = string(runes[:maxComment-1]) + "…"
	}
	return dicom.NewText(errorComment, dicom.LO, strings.ReplaceAll(text, `\`, "/"))
}

// instancePath returns the path of a study, a series or an instance; "" ends it.
func instancePath(study, series, instance string) string {
	path := dicomRoot + "/studies/" + study
	if series != "" {
		path += "/series/" + series
	}
	if instance != "" {
		path += "/instances/" + instance
	}
	return path
}

func (t *tally) answer(w http.ResponseWriter) error {
	d := &dicom.Dataset{}
	if len(t.studies) == 1 {
		for study := range t.studies {
			d.Set(dicom.NewText(retrieveURL, dicom.UR, instancePath(study, "", "")))
		}
	}
	for tag, items := range map[dicom.Tag][]*dicom.Dataset{failedSOPSequence: t.failed, referencedSOPSequence: t.stored, otherFailuresSequence: t.other} {
		if len(items) > 0 {
			d.Set(dicom.NewSequence(tag, items...))
		}
	}
	status := http.StatusOK
	switch {
	case len(t.stored) == 0:
		status = http.StatusConflict
	case len(t.failed)+len(t.other) > 0 || t.warned:
		status = http.StatusAccepted
	}
	return writeDICOMJSON(w, status, d)
}
