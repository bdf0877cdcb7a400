// Package reportsr writes a report as a DICOM structured report by the template TID 1500 (PS3.16).
package reportsr

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"

	"github.com/google/uuid"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/reportdoc"
)

const (
	comprehensiveSR                   = "1.2.840.10008.5.1.4.1.1.88.33"
	contentDate             dicom.Tag = 0x00080023
	contentTime             dicom.Tag = 0x00080033
	manufacturer            dicom.Tag = 0x00080070
	timezone                dicom.Tag = 0x00080201
	modelName               dicom.Tag = 0x00081090
	performedSteps          dicom.Tag = 0x00081111
	referencedSeries        dicom.Tag = 0x00081115
	verifyingOrganization   dicom.Tag = 0x0040A027
	verificationTime        dicom.Tag = 0x0040A030
	verifyingObservers      dicom.Tag = 0x0040A073
	verifyingName           dicom.Tag = 0x0040A075
	verifyingIdentification dicom.Tag = 0x0040A088
	predecessors            dicom.Tag = 0x0040A360
	performedProcedures     dicom.Tag = 0x0040A372
	evidence                dicom.Tag = 0x0040A375
	completion              dicom.Tag = 0x0040A491
	verification            dicom.Tag = 0x0040A493
	preliminary             dicom.Tag = 0x0040A496
)

// notMedical stands in the series, where lists of series show it.
const notMedical = "Report by models. RESEARCH, NOT A MEDICAL DEVICE"

// writer writes one version of a report.
type writer struct {
	doc           *reportdoc.Document
	report        *analysis.DiagnosticReport
	source        *dicom.Dataset // the image's, nil if it is none of DICOM
	study, series string
}

// Write returns the report as a file of PS3.10. image is the DICOM file that the report rests on, nil if its image is of
// another kind; the structured report belongs to the image's study then. A report that nobody signed is PRELIMINARY and
// UNVERIFIED. Each thing that is done with a report makes another instance of one series.
func Write(d *reportdoc.Document, image []byte) ([]byte, error) {
	w := &writer{doc: d, report: d.Report}
	w.study, w.series = uidFrom(uuid.MustParse(d.Report.StudyID)), w.uid("series")
	if image != nil {
		f, err := dicom.Parse(image)
		if err != nil {
			return nil, fmt.Errorf("read the image of report %s: %w", d.Report.ID, err)
		}
		if named(f.Dataset) {
			w.source, w.study = f.Dataset, f.Dataset.String(dicom.StudyInstanceUID)
		}
	}
	out, err := dicom.Write(&dicom.File{Meta: &dicom.Dataset{}, Dataset: w.dataset()})
	if err != nil {
		return nil, fmt.Errorf("write report %s as DICOM: %w", d.Report.ID, err)
	}
	return out, nil
}

// named says whether a file has the UIDs by which another one refers to it.
func named(d *dicom.Dataset) bool {
	for _, tag := range []dicom.Tag{dicom.StudyInstanceUID, dicom.SeriesInstanceUID, dicom.SOPClassUID, dicom.SOPInstanceUID} {
		if d.String(tag) == "" {
			return false
		}
	}
	return true
}

// uidFrom returns the UID of a UUID (PS3.5 section B.2).
func uidFrom(id uuid.UUID) string { return "2.25." + new(big.Int).SetBytes(id[:]).String() }

// uid returns the UID of a part of the report: the same each time that it is written.
func (w *writer) uid(part string) string {
	return uidFrom(uuid.NewHash(sha256.New(), uuid.NameSpaceURL, []byte("urn:uuid:"+w.report.ID+"/dicom/"+part), 8))
}

// instance returns the UID of the report after one of the things that were done with it.
func (w *writer) instance(revision int) string { return w.uid("instance/" + strconv.Itoa(revision)) }

func (w *writer) dataset() *dicom.Dataset {
	r, event := w.report, w.report.Event()
	at := event.At.UTC()
	d := w.body()
	for _, e := range []*dicom.Element{
		dicom.NewText(dicom.SOPClassUID, dicom.UI, comprehensiveSR), dicom.NewText(dicom.SOPInstanceUID, dicom.UI, w.instance(event.Revision)),
		dicom.NewText(contentDate, dicom.DA, at.Format("20060102")), dicom.NewText(contentTime, dicom.TM, at.Format("150405.000")),
		dicom.NewText(timezone, dicom.SH, "+0000"),
		dicom.NewText(dicom.Modality, dicom.CS, "SR"), dicom.NewText(manufacturer, dicom.LO, "Consilium"), dicom.NewText(modelName, dicom.LO, "Consilium"),
		dicom.NewText(dicom.SeriesDescription, dicom.LO, notMedical), dicom.NewSequence(performedSteps), dicom.NewSequence(performedProcedures),
		dicom.NewText(dicom.StudyInstanceUID, dicom.UI, w.study), dicom.NewText(dicom.SeriesInstanceUID, dicom.UI, w.series),
		dicom.NewInts(dicom.SeriesNumber, dicom.IS, 1), dicom.NewInts(dicom.InstanceNumber, dicom.IS, int64(event.Revision)),
		dicom.NewText(completion, dicom.CS, "COMPLETE"), dicom.NewText(verification, dicom.CS, "UNVERIFIED"), dicom.NewText(preliminary, dicom.CS, "PRELIMINARY"),
	} {
		d.Set(e)
	}
	for tag, vr := range map[dicom.Tag]dicom.VR{
		dicom.PatientName: dicom.PN, dicom.PatientID: dicom.LO, dicom.PatientBirthDate: dicom.DA, dicom.PatientSex: dicom.CS, dicom.StudyDate: dicom.DA,
		dicom.StudyTime: dicom.TM, dicom.StudyID: dicom.SH, dicom.AccessionNumber: dicom.SH, dicom.ReferringPhysicianName: dicom.PN,
	} {
		if e := w.source.Get(tag); e != nil {
			d.Set(e)
		} else {
			d.Set(dicom.NewText(tag, vr))
		}
	}
	if e := w.source.Get(dicom.PatientIdentityRemoved); e != nil {
		d.Set(e)
		for _, tag := range []dicom.Tag{dicom.DeidentificationMethod, dicom.DeidentificationMethodCodeSeq} {
			if e := w.source.Get(tag); e != nil {
				d.Set(e)
			}
		}
	}
	if w.source != nil {
		d.Set(dicom.NewSequence(evidence, hierarchy(w.study, w.source.String(dicom.SeriesInstanceUID), sop(w.source.String(dicom.SOPClassUID), w.source.String(dicom.SOPInstanceUID)))))
	}
	if event.Revision > 1 {
		d.Set(dicom.NewSequence(predecessors, hierarchy(w.study, w.series, sop(comprehensiveSR, w.instance(event.Revision-1)))))
	}
	if e := r.Signature(); e != nil {
		d.Set(dicom.NewText(verification, dicom.CS, "VERIFIED"))
		d.Set(dicom.NewText(preliminary, dicom.CS, "FINAL"))
		d.Set(dicom.NewSequence(verifyingObservers, dicom.NewDataset(
			dicom.NewText(verifyingOrganization, dicom.LO, "not stated"), dicom.NewText(verificationTime, dicom.DT, e.At.UTC().Format("20060102150405.000000")+"+0000"),
			dicom.NewText(verifyingName, dicom.PN, person(e.By.Name)), dicom.NewSequence(verifyingIdentification))))
	}
	return d
}

// hierarchy refers to one instance by those above it.
func hierarchy(study, series string, instance *dicom.Dataset) *dicom.Dataset {
	return dicom.NewDataset(dicom.NewText(dicom.StudyInstanceUID, dicom.UI, study), dicom.NewSequence(referencedSeries,
		dicom.NewDataset(dicom.NewText(dicom.SeriesInstanceUID, dicom.UI, series), dicom.NewSequence(referencedSOPs, instance))))
}

// body returns the root of the content tree, in the order of TID 1500.
func (w *writer) body() *dicom.Dataset {
	items := []*dicom.Dataset{
		coded(modifies, dcm("121049", "Language of Content Item and Descendants"), code{"en", "RFC5646", "English"}),
		coded(isObserved, dcm("121005", "Observer Type"), dcm("121007", "Device")),
		uidOf(isObserved, dcm("121012", "Device Observer UID"), w.uid("observer")),
		text(isObserved, dcm("121013", "Device Observer Name"), "Consilium"),
		text(isObserved, dcm("121014", "Device Observer Manufacturer"), "Consilium"),
		text(isObserved, dcm("121015", "Device Observer Model Name"), notMedical),
		coded(modifies, dcm("121058", "Procedure reported"), code{"363679005", "SCT", "Imaging procedure"}),
	}
	if w.source != nil {
		image := content(contains, "IMAGE", code{}, dicom.NewSequence(referencedSOPs, sop(w.source.String(dicom.SOPClassUID), w.source.String(dicom.SOPInstanceUID))))
		items = append(items, container(contains, dcm("111028", "Image Library"), "1600", container(contains, dcm("126200", "Image Library Group"), "", image)))
	}
	if groups := append(w.findings(), w.measurements()...); len(groups) > 0 {
		items = append(items, container(contains, dcm("126010", "Imaging Measurements"), "", groups...))
	}
	return container("", dcm("126000", "Imaging Measurement Report"), "1500", append(items, w.sentences())...)
}

// group is a measurement group (TID 1501) with what a model said about one thing.
func (w *writer) group(part, name, digest string, items ...*dicom.Dataset) *dicom.Dataset {
	head := []*dicom.Dataset{
		text(isObserved, dcm("112039", "Tracking Identifier"), name),
		uidOf(isObserved, dcm("112040", "Tracking Unique Identifier"), w.uid(part)),
	}
	if digest != "" { // TID 4019
		head = append(head, text(modifies, dcm("111001", "Algorithm Name"), w.model(digest)), text(modifies, dcm("111003", "Algorithm Version"), digest))
	}
	return container(contains, dcm("125007", "Measurement Group"), "1501", append(head, items...)...)
}

// model returns the name of a model of the report.
func (w *writer) model(digest string) string {
	for _, m := range w.doc.Models() {
		if m.Digest == digest {
			return m.Name
		}
	}
	return "unknown"
}

func (w *writer) findings() []*dicom.Dataset {
	var groups []*dicom.Dataset
	for i, f := range w.doc.Findings() {
		sum := sha256.Sum256([]byte(f.Label))
		what, reaches := ours(hex.EncodeToString(sum[:6]), f.Label), code{"373067005", "SCT", "No"}
		if term, ok := w.doc.Term(&f); ok {
			what = code{term.Code, "SCT", term.Display}
		}
		if f.Present {
			reaches = code{"373066001", "SCT", "Yes"}
		}
		items := []*dicom.Dataset{
			coded(contains, dcm("121071", "Finding"), what), number(ours("PROBABILITY", "Probability"), f.Probability), number(ours("THRESHOLD", "Threshold"), f.Threshold),
			coded(contains, ours("REACHES", "Reaches its threshold"), reaches),
		}
		if instead := w.doc.Replaced(&f); instead != "" {
			items = append(items, text(contains, dcm("121106", "Comment"), "A person wrote in place of a sentence on this finding: "+instead))
		}
		groups = append(groups, w.group("finding/"+strconv.Itoa(i), fmt.Sprintf("Finding %d: %s", i+1, f.Label), w.doc.Judge(&f), items...))
	}
	return groups
}

func (w *writer) measurements() []*dicom.Dataset {
	all := w.doc.Measurements()
	if len(all) == 0 {
		return nil
	}
	digest := ""
	if s := w.report.Result.Segmentation; s != nil {
		digest = reportdoc.Plain(s.Model)
	}
	var items []*dicom.Dataset
	for _, m := range all {
		sum := sha256.Sum256([]byte(m.Name))
		items = append(items, number(ours(hex.EncodeToString(sum[:6]), reportdoc.Label(m.Name)), m.Value))
	}
	return []*dicom.Dataset{w.group("measurements", "Measured in masks", digest, items...)}
}

// sentences returns what the report says in words, its disclaimer first.
func (w *writer) sentences() *dicom.Dataset {
	comment := dcm("121106", "Comment")
	items := []*dicom.Dataset{text(contains, comment, w.report.Narrative.Disclaimer)}
	for _, line := range w.doc.Standing() {
		items = append(items, text(contains, comment, line))
	}
	for _, s := range w.report.Narrative.Sections {
		name := dcm("121071", "Finding")
		if s.Name == "impression" {
			name = dcm("121073", "Impression")
		}
		for _, sentence := range s.Sentences {
			items = append(items, text(contains, name, sentence.Text))
		}
	}
	for _, line := range w.doc.Limits() {
		items = append(items, text(contains, comment, line))
	}
	return container(contains, code{"C0034375", "UMLS", "Qualitative Evaluations"}, "", items...)
}
