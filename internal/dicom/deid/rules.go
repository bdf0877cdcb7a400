package deid

import (
	"regexp"
	"strconv"
	"strings"

	"consilium/internal/dicom"
)

// rules says what becomes of each element.
type rules struct {
	cleaner *Cleaner
	// functionalGroups says that the object is an enhanced one, in which dates and labels have to have values.
	functionalGroups bool
}

// retained are the characteristics of the patient that the option "retain patient characteristics" keeps, with the form
// that a value must have. Ethnic group, allergies and the like are free text and go.
var retained = map[dicom.Tag]*regexp.Regexp{
	dicom.PatientSex: regexp.MustCompile(`^[MFO]?$`),
	dicom.PatientAge: ageForm,
	0x00101020:       numberForm,                                   // size
	0x00101030:       numberForm,                                   // weight
	0x001021A0:       regexp.MustCompile(`^(YES|NO|UNKNOWN)?$`),    // smoking status
	0x001021C0:       regexp.MustCompile(`^[1-4]?$`),               // pregnancy status
	0x00102203:       regexp.MustCompile(`^(ALTERED|UNALTERED)?$`), // neutered
}

// words are the elements of free text that are not in the table and are kept: they describe equipment and method.
var words = func() map[dicom.Tag]bool {
	m := map[dicom.Tag]bool{}
	for _, keyword := range strings.Fields(`
		Manufacturer ManufacturerModelName SoftwareVersions DetectorManufacturerName DetectorManufacturerModelName
		CodeValue LongCodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning
		StageName ViewName SequenceName PulseSequenceName StackID ImagedNucleus ReceiveCoilName TransmitCoilName
		Radionuclide Radiopharmaceutical ContrastBolusRoute FilterType CollimatorGridName ConvolutionKernel PlateType PhosphorType
		PositionReferenceIndicator DimensionDescriptionLabel SegmentLabel SegmentAlgorithmName
		RescaleType WindowCenterWidthExplanation ModalityLUTType LUTExplanation PixelSpacingCalibrationDescription
		AttenuationCorrectionMethod ReconstructionMethod ScatterCorrectionMethod`) {
		tag, ok := dicom.TagByKeyword(keyword)
		if !ok {
			panic("deid: no element " + keyword)
		}
		m[tag] = true
	}
	return m
}()

// bulk are the elements of bytes that are kept: pixels and what they are looked up in.
var bulk = map[dicom.Tag]bool{
	dicom.PixelData: true, dicom.FloatPixelData: true, dicom.DoubleFloatPixelData: true, dicom.LUTData: true,
	dicom.RedPaletteData: true, dicom.GreenPaletteData: true, dicom.BluePaletteData: true,
	0x00281221: true, 0x00281222: true, 0x00281223: true, // segmented palettes
}

func (r rules) dataset(in *dicom.Dataset) *dicom.Dataset {
	out := &dicom.Dataset{}
	for e := range in.All() {
		if e = r.element(e); e != nil {
			out.Set(e)
		}
	}
	return out
}

// element returns what takes an element's place, nil for nothing.
func (r rules) element(e *dicom.Element) *dicom.Element {
	if dropped(e.Tag) {
		return nil
	}
	if form := retained[e.Tag]; form != nil {
		return characteristic(e, form)
	}
	code := table[e.Tag]
	if r.functionalGroups { // whose definitions have these as type 1
		switch code {
		case removeOrDummy, emptyOrDummy, removeEmptyOrDummy:
			code = dummy
		}
	}
	switch code {
	case remove, removeOrDummy:
		return nil
	case empty, removeOrEmpty, emptyOrDummy, removeEmptyOrDummy:
		return emptied(e)
	case dummy:
		return dummyOf(e)
	case mapUID:
		return r.mapped(e, wellKnownFrames)
	}
	return r.unlisted(e)
}

// dropped says that a whole group goes: private elements, what belongs to messages and media, curves, overlays, variable
// pixel data; and what the dictionary does not know.
func dropped(tag dicom.Tag) bool {
	group := tag.Group()
	return tag.Private() || group < 0x0008 || group&0xFF00 == 0x5000 || group&0xFF00 == 0x6000 || group >= 0x7F00 && group < 0x7FE0 || tag.Keyword() == ""
}

// characteristic returns the element if its value has the form, else an empty one. Ages from oldest on are one.
func characteristic(e *dicom.Element, form *regexp.Regexp) *dicom.Element {
	vr := e.Tag.VR()
	switch {
	case e.VR != vr:
		return emptied(e)
	case vr == dicom.US:
		if values := e.Ints(); len(values) != 1 || !form.MatchString(strconv.FormatInt(values[0], 10)) {
			return emptied(e)
		}
		return e
	case len(e.Strings()) > 1:
		return emptied(e)
	}
	e = checked(e, form)
	if vr == dicom.AS && !e.Empty() {
		return dicom.NewText(e.Tag, vr, capped(e.Strings()[0]))
	}
	return e
}

// unlisted returns what becomes of an element that the table does not name. No table names every place where a name or
// a date can stand, so an element stays only if its value has a closed form, which is checked, or if it describes
// equipment. Other text is emptied, not removed: that also suits a definition which wants the element (type 2).
func (r rules) unlisted(e *dicom.Element) *dicom.Element {
	switch e.VR {
	case dicom.SQ:
		if e.Tag.VR() != dicom.SQ {
			return nil
		}
		items := make([]*dicom.Dataset, len(e.Items))
		for i, item := range e.Items {
			items[i] = r.dataset(item)
		}
		return dicom.NewSequence(e.Tag, items...)
	case dicom.UI:
		return r.mapped(e, wellKnown)
	case dicom.CS:
		return checked(e, codeForm)
	case dicom.AS:
		return checked(e, ageForm)
	case dicom.DS, dicom.IS:
		return checked(e, numberForm)
	case dicom.FL, dicom.FD, dicom.SL, dicom.SS, dicom.SV, dicom.UL, dicom.US, dicom.UV, dicom.AT:
		if e.Tag.VR().Text() { // a file may say so of any element
			return emptied(e)
		}
		return e
	case dicom.OB, dicom.OD, dicom.OF, dicom.OL, dicom.OV, dicom.OW:
		if bulk[e.Tag] {
			return e
		}
		return nil
	case dicom.UN:
		return nil
	}
	if words[e.Tag] {
		return e
	}
	return emptied(e)
}

// The closed forms of text (PS3.5 section 6.2). A code may have small letters, as many files do.
var (
	codeForm   = regexp.MustCompile(`^[A-Za-z0-9_ ]{0,16}$`)
	ageForm    = regexp.MustCompile(`^([0-9]{3}[DWMY])?$`)
	numberForm = regexp.MustCompile(`^([+-]?[0-9]*\.?[0-9]*([Ee][+-]?[0-9]+)?)?$`)
)

// checked returns the element if each of its values has the form, else an empty one.
func checked(e *dicom.Element, form *regexp.Regexp) *dicom.Element {
	for _, value := range e.Strings() {
		if !form.MatchString(value) {
			return emptied(e)
		}
	}
	return e
}

// The UIDs that name no person and no study: those that DICOM registers, and of frames of reference the atlases.
const (
	wellKnown       = "1.2.840.10008."
	wellKnownFrames = "1.2.840.10008.1.4."
)

// mapped returns the element with its UIDs mapped but those that begin with kept.
func (r rules) mapped(e *dicom.Element, kept string) *dicom.Element {
	values := e.Strings()
	if e.VR != dicom.UI {
		return emptied(e)
	}
	for i, uid := range values {
		if !strings.HasPrefix(uid, kept) || !ValidUID(uid) {
			values[i] = r.cleaner.UID(uid)
		}
	}
	return dicom.NewText(e.Tag, dicom.UI, values...)
}

var uidForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

// ValidUID says that a UID is one of PS3.5 section 9.1, leading zeros aside, which some equipment writes.
func ValidUID(uid string) bool { return len(uid) <= 64 && uidForm.MatchString(uid) }

// emptied returns the element without a value, in the VR of the dictionary.
func emptied(e *dicom.Element) *dicom.Element {
	return &dicom.Element{Tag: e.Tag, VR: e.Tag.VR()}
}

// dummyOf returns the element with a value that says nothing, in the VR of the dictionary. Sequences and bytes get none:
// an invented graphic or certificate would say something.
func dummyOf(e *dicom.Element) *dicom.Element {
	vr := e.Tag.VR()
	value := ""
	switch vr {
	case dicom.DA:
		value = "19000101"
	case dicom.TM:
		value = "000000"
	case dicom.DT:
		value = "19000101000000"
	case dicom.DS, dicom.IS:
		value = "0"
	case dicom.AE, dicom.CS, dicom.LO, dicom.LT, dicom.PN, dicom.SH, dicom.ST, dicom.UC, dicom.UT:
		value = "REMOVED"
	}
	if value == "" {
		return emptied(e)
	}
	return dicom.NewText(e.Tag, vr, value)
}
