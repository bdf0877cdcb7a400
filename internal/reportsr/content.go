package reportsr

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"consilium/internal/dicom"
	"consilium/internal/reportdoc"
)

// The tags of structured reports (PS3.3 section C.17.3).
const (
	codeValue             dicom.Tag = 0x00080100
	codingScheme          dicom.Tag = 0x00080102
	codeMeaning           dicom.Tag = 0x00080104
	mappingResource       dicom.Tag = 0x00080105
	referencedSOPClass    dicom.Tag = 0x00081150
	referencedSOPInstance dicom.Tag = 0x00081155
	referencedSOPs        dicom.Tag = 0x00081199
	measurementUnits      dicom.Tag = 0x004008EA
	relationshipType      dicom.Tag = 0x0040A010
	valueType             dicom.Tag = 0x0040A040
	conceptName           dicom.Tag = 0x0040A043
	continuity            dicom.Tag = 0x0040A050
	uidValue              dicom.Tag = 0x0040A124
	textValue             dicom.Tag = 0x0040A160
	floatingPointValue    dicom.Tag = 0x0040A161
	conceptCode           dicom.Tag = 0x0040A168
	measuredValue         dicom.Tag = 0x0040A300
	numericValue          dicom.Tag = 0x0040A30A
	contentTemplate       dicom.Tag = 0x0040A504
	contentSequence       dicom.Tag = 0x0040A730
	templateIdentifier    dicom.Tag = 0x0040DB00
)

// The relationships that a report uses.
const (
	contains   = "CONTAINS"
	modifies   = "HAS CONCEPT MOD"
	isObserved = "HAS OBS CONTEXT"
)

// code is a coded concept.
type code struct{ value, scheme, meaning string }

func dcm(value, meaning string) code { return code{value, "DCM", meaning} }

// ours is a concept that no standard has a code for.
func ours(value, meaning string) code { return code{value, "99CONSILIUM", meaning} }

var noUnits = code{"1", "UCUM", "no units"}

func (c code) item() *dicom.Dataset {
	return dicom.NewDataset(dicom.NewText(codeValue, dicom.SH, c.value), dicom.NewText(codingScheme, dicom.SH, c.scheme), dicom.NewText(codeMeaning, dicom.LO, short(c.meaning)))
}

// content returns one item of the content tree.
func content(relationship, kind string, name code, more ...*dicom.Element) *dicom.Dataset {
	d := dicom.NewDataset(more...)
	d.Set(dicom.NewText(valueType, dicom.CS, kind))
	if relationship != "" {
		d.Set(dicom.NewText(relationshipType, dicom.CS, relationship))
	}
	if name != (code{}) {
		d.Set(dicom.NewSequence(conceptName, name.item()))
	}
	return d
}

func text(relationship string, name code, s string) *dicom.Dataset {
	return content(relationship, "TEXT", name, dicom.NewText(textValue, dicom.UT, reportdoc.Plain(s)))
}

func coded(relationship string, name, value code) *dicom.Dataset {
	return content(relationship, "CODE", name, dicom.NewSequence(conceptCode, value.item()))
}

func uidOf(relationship string, name code, uid string) *dicom.Dataset {
	return content(relationship, "UIDREF", name, dicom.NewText(uidValue, dicom.UI, uid))
}

// number states a value without unit, as text of at most 16 characters and as it is.
func number(name code, v float64) *dicom.Dataset {
	decimal := strconv.FormatFloat(v, 'g', 9, 64)
	return content(contains, "NUM", name, dicom.NewSequence(measuredValue, dicom.NewDataset(
		dicom.NewText(numericValue, dicom.DS, decimal),
		&dicom.Element{Tag: floatingPointValue, VR: dicom.FD, Value: binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))},
		dicom.NewSequence(measurementUnits, noUnits.item()))))
}

// container holds items; template is its number in PS3.16, "" if it has none of its own.
func container(relationship string, name code, template string, items ...*dicom.Dataset) *dicom.Dataset {
	d := content(relationship, "CONTAINER", name, dicom.NewText(continuity, dicom.CS, "SEPARATE"))
	if template != "" {
		d.Set(dicom.NewSequence(contentTemplate, dicom.NewDataset(dicom.NewText(mappingResource, dicom.CS, "DCMR"), dicom.NewText(templateIdentifier, dicom.CS, template))))
	}
	if len(items) > 0 {
		d.Set(dicom.NewSequence(contentSequence, items...))
	}
	return d
}

func sop(class, instance string) *dicom.Dataset {
	return dicom.NewDataset(dicom.NewText(referencedSOPClass, dicom.UI, class), dicom.NewText(referencedSOPInstance, dicom.UI, instance))
}

// maxShort bounds a text of VR LO, and a group of a person's name, in characters (PS3.5 section 6.2).
const maxShort = 64

// short makes a text fit VR LO.
func short(s string) string {
	s = strings.ReplaceAll(reportdoc.Plain(s), `\`, "/")
	if runes := []rune(s); len(runes) > maxShort {
		s = string(runes[:maxShort-1]) + "…"
	}
	if s = strings.TrimSpace(s); s == "" {
		return "?"
	}
	return s
}

// person makes a name fit VR PN, as one component.
func person(name string) string { return strings.NewReplacer("^", " ", "=", " ").Replace(short(name)) }
