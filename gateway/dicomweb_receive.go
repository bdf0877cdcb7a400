package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/dicom/deid"
	"consilium/internal/media"
)

// received is a file of DICOM as it came and as it will be stored.
type received struct {
	// classUID, uid and studyUID are those of the file as it came.
	classUID, uid, studyUID string
	instance                *analysis.Instance
	record                  analysis.Record
	content                 []byte
	warnings                []string
}

// maxMetadataBytes bounds the attributes of one instance.
const maxMetadataBytes = 2 << 20

// receive reads a file and, with a cleaner, takes the identity of the patient out of it. What is known of a file that is
// refused is returned with the error, so that the sender can be told which it is; with a cleaner the error quotes
// nothing of the file.
func receive(cleaner *deid.Cleaner, raw []byte) (*received, error) {
	in, err := readInstance(cleaner, raw)
	var e *analysis.Error
	if cleaner != nil && errors.As(err, &e) {
		silent := *e
		silent.Message = quotation.ReplaceAllString(e.Message, "…")
		err = &silent
	}
	return in, err
}

var quotation = regexp.MustCompile(`"(\\.|[^"\\])*"…?`)

func readInstance(cleaner *deid.Cleaner, raw []byte) (*received, error) {
	in := &received{}
	f, err := dicom.Parse(raw)
	if err != nil {
		return in, err
	}
	in.classUID, in.uid, in.studyUID = f.Dataset.String(dicom.SOPClassUID), f.Dataset.String(dicom.SOPInstanceUID), f.Dataset.String(dicom.StudyInstanceUID)
	for _, tag := range []dicom.Tag{dicom.SOPClassUID, dicom.SOPInstanceUID, dicom.StudyInstanceUID, dicom.SeriesInstanceUID} {
		if !deid.ValidUID(f.Dataset.String(tag)) {
			*in = received{}
			return in, analysis.Invalid("dicom", "%s is missing or is no UID", tag.Keyword())
		}
	}
	if err := checkPicture(f); err != nil {
		return in, err
	}
	clean, patient, asItCame := f, patientOf(f.Dataset), len(raw) > 132 && string(raw[128:132]) == "DICM"
	if cleaner != nil {
		patient, asItCame = cleaner.Patient(f.Dataset), false
		if clean, in.warnings, err = cleaner.Clean(f); err != nil {
			return in, err
		}
	}
	if in.content = raw; !asItCame {
		if in.content, err = dicom.Write(clean); err != nil {
			return in, err
		}
		if clean.TransferSyntax.Native() {
			clean.TransferSyntax = dicom.ExplicitLittle // which Write makes of it
		}
	}
	if _, err := media.CheckImage(in.content); err != nil { // the limits of the vision encoder
		return in, err
	}
	in.record = recordOf(clean.Dataset)
	if in.instance, err = instanceOf(clean); err != nil {
		return in, err
	}
	in.instance.Patient = patient
	in.instance.Title, in.instance.Note = in.record.Kind, in.record.Note()
	return in, nil
}

// patientOf tells patients apart where their identity is kept.
func patientOf(d *dicom.Dataset) []byte {
	if id := d.String(dicom.PatientID); id != "" {
		return []byte(id + "\x00" + d.String(issuerOfPatientID))
	}
	return []byte(d.String(dicom.PatientName) + "\x00" + d.String(dicom.PatientBirthDate))
}

const issuerOfPatientID dicom.Tag = 0x00100021

// What a file lacks, as the field of an error.
const (
	noPicture    = "dicom picture"
	notDecodable = "dicom transfer syntax"
)

// checkPicture refuses what holds no picture that is read: it would be stored for nothing.
func checkPicture(f *dicom.File) error {
	picture, err := f.Image()
	if f.Dataset.Get(dicom.PixelData) == nil {
		return relabel(err, noPicture)
	}
	if err != nil {
		return err
	}
	if err := picture.Decodable(); err != nil {
		return relabel(err, notDecodable)
	}
	return nil
}

// The attributes that are kept for searches of studies and of series.
var (
	studyTags  = tags("StudyDate StudyTime AccessionNumber ReferringPhysicianName TimezoneOffsetFromUTC StudyDescription PatientName PatientID PatientBirthDate PatientSex PatientAge PatientSize PatientWeight PatientIdentityRemoved StudyInstanceUID StudyID")
	seriesTags = tags("Modality SeriesDescription BodyPartExamined ProtocolName Manufacturer ManufacturerModelName SeriesInstanceUID SeriesNumber Laterality PerformedProcedureStepStartDate PerformedProcedureStepStartTime")
)

// tags finds elements by their keywords.
func tags(keywords string) []dicom.Tag {
	var list []dicom.Tag
	for _, keyword := range strings.Fields(keywords) {
		tag, ok := dicom.TagByKeyword(keyword)
		if !ok {
			panic("gateway: DICOM has no element " + keyword)
		}
		list = append(list, tag)
	}
	return list
}

// instanceOf describes a file whose UIDs are valid.
func instanceOf(f *dicom.File) (*analysis.Instance, error) {
	d := f.Dataset
	study, series, all := &dicom.Dataset{}, &dicom.Dataset{}, &dicom.Dataset{}
	for e := range d.All() {
		switch e.Tag {
		case dicom.PixelData, dicom.FloatPixelData, dicom.DoubleFloatPixelData:
		default:
			all.Set(e)
		}
	}
	withoutNUL(all)
	for _, tag := range studyTags {
		if e := all.Get(tag); e != nil {
			study.Set(e)
		}
	}
	for _, tag := range seriesTags {
		if e := all.Get(tag); e != nil {
			series.Set(e)
		}
	}
	metadata := dicom.JSON(all, nil)
	if len(metadata) > maxMetadataBytes {
		return nil, &analysis.Error{Code: analysis.TooLarge, Field: "dicom", Message: "the attributes are too large", Limit: fmt.Sprintf("%d bytes as JSON", maxMetadataBytes), Value: fmt.Sprintf("%d bytes", len(metadata))}
	}
	return &analysis.Instance{
		StudyUID: d.String(dicom.StudyInstanceUID), SeriesUID: d.String(dicom.SeriesInstanceUID), UID: d.String(dicom.SOPInstanceUID), TransferSyntax: string(f.TransferSyntax),
		StudyAttributes: dicom.JSON(study, nil), SeriesAttributes: dicom.JSON(series, nil), Metadata: metadata,
	}, nil
}

// withoutNUL takes NUL characters, which Postgres cannot store, out of the text of a data set.
func withoutNUL(d *dicom.Dataset) {
	_ = d.Walk(func(parent *dicom.Dataset, e *dicom.Element) error { // visits only
		if e.VR.Text() && bytes.IndexByte(e.Value, 0) >= 0 {
			parent.Set(&dicom.Element{Tag: e.Tag, VR: e.VR, Value: bytes.ReplaceAll(e.Value, []byte{0}, nil)})
		}
		return nil
	})
}

// recordOf returns what the header says of the patient and the picture. Its words are ours, so nothing else gets in.
func recordOf(d *dicom.Dataset) analysis.Record {
	record := analysis.Record{Kind: kindOf(d.String(dicom.Modality), d.String(dicom.BodyPartExamined)), Sex: d.String(dicom.PatientSex)}
	switch view := d.String(dicom.ViewPosition); view {
	case "PA", "AP":
		record.View = view
	case "LL", "RL", "LATERAL":
		record.View = "L"
	}
	if age := d.String(dicom.PatientAge); len(age) == 4 {
		unit := map[byte]string{'Y': "year", 'M': "month", 'W': "week", 'D': "day"}[age[3]]
		n := 0
		if _, err := fmt.Sscanf(age[:3], "%d", &n); err == nil && unit != "" && n >= 0 {
			record.Age = fmt.Sprintf("%d %s", n, unit)
		}
	}
	return record
}

// kindOf names a picture by its modality and the part of the body.
func kindOf(modality, part string) string {
	switch modality {
	case "CR", "DX", "RG":
		switch strings.ToUpper(part) {
		case "CHEST", "THORAX", "LUNG":
			return "Chest radiograph"
		}
		return "Radiograph"
	case "MG":
		return "Mammogram"
	case "US":
		return "Ultrasound image"
	case "CT", "MR", "PT", "NM":
		return modality + " image"
	}
	return "Image"
}
