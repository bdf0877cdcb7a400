package dicom

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// Element is one attribute of a data set.
type Element struct {
	Tag Tag
	VR  VR
	// Value is the value as it stands in a file in little endian, without padding at its end if VR is text; text is
	// UTF-8, whatever the file had. It is nil for a sequence and for encapsulated pixel data. After Parse it may be a
	// part of the bytes that were parsed: replace it, do not write into it.
	Value []byte
	// Items are the items of a sequence, VR SQ.
	Items []*Dataset
	// Fragments are the fragments of encapsulated pixel data, without the basic offset table (PS3.5 section A.4). They
	// are nil if the value is not encapsulated.
	Fragments [][]byte
	// Offsets is the basic offset table: where each frame begins, counted from the first byte of the first
	// fragment's item tag. It is empty if the file has none.
	Offsets []uint32
}

// NewText returns an element of text; several values are divided by backslashes.
func NewText(tag Tag, vr VR, values ...string) *Element {
	return &Element{Tag: tag, VR: vr, Value: []byte(strings.Join(values, `\`))}
}

// NewInts returns an element of whole numbers. VR is one of US, SS, UL, SL, UV, SV, AT and IS; a value that does not
// fit keeps its lower bits.
func NewInts(tag Tag, vr VR, values ...int64) *Element {
	var b []byte
	for i, v := range values {
		switch vr {
		case IS:
			if i > 0 {
				b = append(b, '\\')
			}
			b = strconv.AppendInt(b, v, 10)
		case US, SS:
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case AT:
			b = binary.LittleEndian.AppendUint16(b, uint16(v>>16))
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case UL, SL:
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		default:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	return &Element{Tag: tag, VR: vr, Value: b}
}

// NewSequence returns a sequence of items.
func NewSequence(tag Tag, items ...*Dataset) *Element {
	return &Element{Tag: tag, VR: SQ, Items: items}
}

// Empty says that the element has no value.
func (e *Element) Empty() bool {
	return len(e.Value) == 0 && len(e.Items) == 0 && e.Fragments == nil
}

// Text returns the value of an element of text as one string, backslashes included; "" for any other.
func (e *Element) Text() string {
	if !e.VR.Text() {
		return ""
	}
	return string(e.Value)
}

// Strings returns the values of an element of text, without the spaces that mean nothing; nil for any other, and
// for one without a value.
func (e *Element) Strings() []string {
	t := e.VR.traits()
	if !t.text || len(e.Value) == 0 {
		return nil
	}
	if !t.many {
		return []string{trimEnd(string(e.Value))}
	}
	values := strings.Split(string(e.Value), `\`)
	for i, v := range values {
		v = trimEnd(v)
		if e.VR != UC {
			v = strings.TrimLeft(v, " ")
		}
		values[i] = v
	}
	return values
}

func trimEnd(s string) string { return strings.TrimRight(s, " \x00") }

// Ints returns the values of US, SS, UL, SL, UV, SV, AT, IS, OB, OW, OL or OV as whole numbers; a text that is none
// ends the list, and so does another VR.
func (e *Element) Ints() []int64 {
	if e.VR == IS {
		values := e.Strings()
		ints := make([]int64, 0, len(values))
		for _, s := range values {
			v, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64)
			if err != nil {
				return ints
			}
			ints = append(ints, v)
		}
		return ints
	}
	var read func(b []byte) int64
	width := e.VR.traits().width
	switch e.VR {
	case US, OW:
		read = func(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }
	case SS:
		read = func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) }
	case UL, OL:
		read = func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }
	case SL:
		read = func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) }
	case UV, SV, OV:
		read = func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }
	case OB:
		read = func(b []byte) int64 { return int64(b[0]) }
	case AT:
		width = 4
		read = func(b []byte) int64 {
			return int64(binary.LittleEndian.Uint16(b))<<16 | int64(binary.LittleEndian.Uint16(b[2:]))
		}
	default:
		return nil
	}
	ints := make([]int64, len(e.Value)/width)
	for i := range ints {
		ints[i] = read(e.Value[i*width:])
	}
	return ints
}

// Floats returns the values of DS, FL, FD, OF, OD and of every VR that Ints reads; a text that is no finite number
// ends the list.
func (e *Element) Floats() []float64 {
	var floats []float64
	switch e.VR {
	case DS:
		for _, s := range e.Strings() {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
				break
			}
			floats = append(floats, v)
		}
	case FL, OF:
		for b := e.Value; len(b) >= 4; b = b[4:] {
			floats = append(floats, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		}
	case FD, OD:
		for b := e.Value; len(b) >= 8; b = b[8:] {
			floats = append(floats, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	default:
		for _, v := range e.Ints() {
			floats = append(floats, float64(v))
		}
	}
	return floats
}
