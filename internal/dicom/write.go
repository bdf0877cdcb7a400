package dicom

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

const (
	// implementationUID names this implementation in the files that it writes (PS3.7 section D.3.3.2).
	implementationUID = "2.25.139230221014828578483570310121773847866"
	// implementationName is the same for people.
	implementationName = "CONSILIUM"
)

// Write returns the file in the form of PS3.10. Native pixel data becomes explicit VR little endian; encapsulated pixel
// data stays as it is, under the file's transfer syntax. The meta information is that of the file, with the parts that
// follow from the data set and from the writer written anew. Text is written as UTF-8, and Specific Character Set says
// so if any is not ASCII. Sequences and items have undefined lengths.
//
// An error is InvalidArgument: the data set has no SOP class or instance, or a value does not fit its VR.
func Write(f *File) ([]byte, error) {
	syntax := ExplicitLittle
	if f.TransferSyntax != "" && !f.TransferSyntax.Native() {
		syntax = f.TransferSyntax
		if syntax.deflated() {
			return nil, unsupported("write DICOM of %v: it is not written", syntax)
		}
	}
	if e := f.Dataset.Get(PixelData); e != nil && (e.Fragments != nil) == syntax.Native() {
		return nil, invalid("write DICOM: the pixel data is not as the transfer syntax %v says", syntax)
	}
	class, instance := f.Dataset.String(SOPClassUID), f.Dataset.String(SOPInstanceUID)
	if class == "" || instance == "" {
		return nil, invalid("write DICOM: the data set has no SOP Class UID or no SOP Instance UID")
	}
	meta := &Dataset{}
	for e := range f.Meta.All() {
		meta.Set(e)
	}
	meta.Set(&Element{Tag: FileMetaInformationVersion, VR: OB, Value: []byte{0, 1}})
	meta.Set(NewText(MediaStorageSOPClassUID, UI, class))
	meta.Set(NewText(MediaStorageSOPInstanceUID, UI, instance))
	meta.Set(NewText(TransferSyntaxUID, UI, string(syntax)))
	meta.Set(NewText(ImplementationClassUID, UI, implementationUID))
	meta.Set(NewText(ImplementationVersionName, SH, implementationName))

	data := f.Dataset
	if wide(data) && data.String(SpecificCharacterSet) != utf8Name {
		data = &Dataset{elements: append([]*Element(nil), data.elements...)}
		data.Set(NewText(SpecificCharacterSet, CS, utf8Name))
	}
	w := writer{out: make([]byte, preambleBytes, preambleBytes+1024+size(data))}
	w.out = append(w.out, prefix...)
	w.out = append(w.out, 2, 0, 0, 0, 'U', 'L', 4, 0, 0, 0, 0, 0)
	start := len(w.out)
	if err := w.dataset(meta); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(w.out[start-4:], uint32(len(w.out)-start))
	if err := w.dataset(data); err != nil {
		return nil, err
	}
	return w.out, nil
}

// wide says that some text of the data set is not ASCII.
func wide(d *Dataset) bool {
	for e := range d.All() {
		if e.VR.Text() && !isASCII(e.Value) {
			return true
		}
		for _, item := range e.Items {
			if wide(item) {
				return true
			}
		}
	}
	return false
}

// size returns about how many bytes the data set takes.
func size(d *Dataset) int {
	n := 8
	for e := range d.All() {
		n += 24 + len(e.Value)
		for _, item := range e.Items {
			n += 16 + size(item)
		}
		for _, fragment := range e.Fragments {
			n += 9 + len(fragment)
		}
		n += 4 * len(e.Offsets)
	}
	return n
}

// writer appends elements in explicit VR little endian.
type writer struct {
	out []byte
}

func (w *writer) tag(t Tag) {
	w.out = binary.LittleEndian.AppendUint16(w.out, t.Group())
	w.out = binary.LittleEndian.AppendUint16(w.out, t.Element())
}

// mark writes an item or a delimiter with its length.
func (w *writer) mark(t Tag, length uint32) {
	w.tag(t)
	w.out = binary.LittleEndian.AppendUint32(w.out, length)
}

// long writes the head of an element with 32 bits of length.
func (w *writer) long(t Tag, vr VR, length uint32) {
	w.tag(t)
	w.out = append(w.out, vr[0], vr[1], 0, 0)
	w.out = binary.LittleEndian.AppendUint32(w.out, length)
}

func (w *writer) dataset(d *Dataset) error {
	for e := range d.All() {
		if err := w.element(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) element(e *Element) error {
	traits := e.VR.traits()
	switch {
	case traits.vr != e.VR:
		return invalid("write DICOM: element %v has the VR %s, which does not exist", e.Tag, clip(string(e.VR)))
	case e.VR == SQ:
		return w.sequence(e)
	case e.Fragments != nil:
		w.encapsulated(e)
		return nil
	case len(e.Value) > MaxBytes:
		return overLimit(fmt.Sprintf("write DICOM: element %v is too large", e.Tag), fmt.Sprintf("%d bytes", MaxBytes), fmt.Sprintf("%d bytes", len(e.Value)))
	case traits.width > 1 && len(e.Value)%traits.width != 0:
		return invalid("write DICOM: element %v of VR %s has %d bytes", e.Tag, e.VR, len(e.Value))
	case traits.text && e.Tag < SpecificCharacterSet && !isASCII(e.Value):
		return invalid("write DICOM: the text of element %v is not ASCII", e.Tag)
	case traits.text && !utf8.Valid(e.Value):
		return invalid("write DICOM: the text of element %v is not UTF-8", e.Tag)
	}
	n := len(e.Value) + len(e.Value)&1
	switch {
	case traits.long:
		w.long(e.Tag, e.VR, uint32(n))
	case n > 0xFFFF:
		w.long(e.Tag, UN, uint32(n)) // PS3.5 section 6.2.2 note 8: the length of its own VR has 16 bits
	default:
		w.tag(e.Tag)
		w.out = append(w.out, e.VR[0], e.VR[1])
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(n))
	}
	w.out = append(w.out, e.Value...)
	if len(e.Value)&1 == 1 {
		if traits.text && e.VR != UI {
			w.out = append(w.out, ' ')
		} else {
			w.out = append(w.out, 0)
		}
	}
	return nil
}

func (w *writer) sequence(e *Element) error {
	w.long(e.Tag, SQ, undefined)
	for _, d := range e.Items {
		w.mark(item, undefined)
		if err := w.dataset(d); err != nil {
			return err
		}
		w.mark(itemDelimiter, 0)
	}
	w.mark(sequenceDelimiter, 0)
	return nil
}

func (w *writer) encapsulated(e *Element) {
	w.long(e.Tag, OB, undefined)
	w.mark(item, uint32(4*len(e.Offsets)))
	for _, offset := range e.Offsets {
		w.out = binary.LittleEndian.AppendUint32(w.out, offset)
	}
	for _, fragment := range e.Fragments {
		w.mark(item, uint32(len(fragment)+len(fragment)&1))
		w.out = append(w.out, fragment...)
		if len(fragment)&1 == 1 {
			w.out = append(w.out, 0)
		}
	}
	w.mark(sequenceDelimiter, 0)
}
