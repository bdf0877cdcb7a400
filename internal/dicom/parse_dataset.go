package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// undefined is the length of a value that ends with a delimiter.
const undefined = 0xFFFFFFFF

// scope is what an element inherits from where it stands.
type scope struct {
	explicit, big bool
	charset       charset
	signed        bool // Pixel Representation says that pixel values are signed
}

// dataset reads elements up to end, or up to an item delimiter if delimited.
func (p *parser) dataset(s scope, end, depth int, delimited bool) (*Dataset, error) {
	d := &Dataset{}
	sorted := true
	outer := p.wide
	p.wide = false
	defer func() { p.wide = p.wide || outer }()
	for {
		if p.at == end && !delimited {
			break
		}
		if end-p.at < 8 {
			return nil, cutOff("an element begins %d bytes before the end of its data set", end-p.at)
		}
		if delimited && p.tag(s) == itemDelimiter {
			p.at += 8
			break
		}
		if tag := p.tag(s); tag.Group() == 0x0002 {
			return nil, invalid("the DICOM file is broken: element %v at byte %d belongs before the data set", tag, p.at)
		}
		e, err := p.element(s, end, depth)
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		switch e.Tag {
		case SpecificCharacterSet:
			if e.VR != CS {
				return nil, invalid("the DICOM file is broken: Specific Character Set has the VR %s", e.VR)
			}
			if p.wide {
				return nil, invalid("the DICOM file is broken: Specific Character Set comes after text that needs it")
			}
			var unknown []string
			s.charset, unknown = charsetOf(e.Strings())
			for _, name := range unknown {
				p.note("the character set %s is not read; what is not ASCII in it is replaced", clip(name))
			}
			if len(e.Value) > 0 {
				e.Value = []byte(utf8Name)
			}
		case PixelRepresentation:
			if v := e.Ints(); len(v) > 0 {
				s.signed = v[0] == 1
			}
		}
		if n := len(d.elements); n > 0 && d.elements[n-1].Tag >= e.Tag {
			sorted = false
		}
		d.elements = append(d.elements, e)
	}
	if !sorted {
		slices.SortFunc(d.elements, func(a, b *Element) int { return int(int64(a.Tag) - int64(b.Tag)) })
		for i := 1; i < len(d.elements); i++ {
			if d.elements[i].Tag == d.elements[i-1].Tag {
				return nil, invalid("the DICOM file is broken: element %v stands twice", d.elements[i].Tag)
			}
		}
		p.note("the elements were not in the order of their tags")
	}
	return d, nil
}

// tag returns the tag at the place where the parser stands. At least 4 bytes are left.
func (p *parser) tag(s scope) Tag {
	order := byteOrder(s.big)
	return NewTag(order.Uint16(p.b[p.at:]), order.Uint16(p.b[p.at+2:]))
}

// element reads one element, which ends at end at the latest. At least 8 bytes are left. It returns nil for one that is
// skipped.
func (p *parser) element(s scope, end, depth int) (*Element, error) {
	if p.elements++; p.elements > MaxElements {
		return nil, overLimit("the DICOM file has too many elements", fmt.Sprintf("%d elements", MaxElements), "more")
	}
	tag := p.tag(s)
	if group := tag.Group(); group == 0x0000 || group == 0xFFFE || group == 0xFFFF {
		return nil, invalid("the DICOM file is broken: element %v at byte %d cannot stand there", tag, p.at)
	}
	start := p.at
	vr, length, err := p.header(s, tag, end)
	if err != nil {
		return nil, err
	}
	if vr == UN {
		// What follows an unknown VR is implicit VR little endian (PS3.5 section 6.2.2 notes 2 and 4). The dictionary may know it.
		known := resolve(tag, s.signed)
		switch width := uint32(known.traits().width); {
		case known != UN && (length == undefined || length%width == 0):
			vr = known
		case length == undefined:
			vr = SQ
		}
		s.explicit, s.big = false, false
	}
	if length == undefined && tag == PixelData && vr != SQ {
		return p.encapsulated(s, tag, vr, end)
	}
	if vr == SQ {
		items, err := p.sequence(s, tag, length, end, depth+1)
		if err != nil {
			return nil, err
		}
		return &Element{Tag: tag, VR: SQ, Items: items}, nil
	}
	if length == undefined {
		return nil, invalid("the DICOM file is broken: element %v of VR %s at byte %d declares no length", tag, vr, start)
	}
	if int64(length) > int64(end-p.at) {
		return nil, cutOff("element %v declares %d bytes, and %d are left", tag, length, end-p.at)
	}
	value := p.b[p.at : p.at+int(length) : p.at+int(length)]
	p.at += int(length)
	if tag.Element() == 0 {
		return nil, nil // a group length
	}
	traits := vr.traits()
	if traits.text {
		if len(value) > MaxTextBytes {
			return nil, overLimit(fmt.Sprintf("the text of DICOM element %v is too long", tag), fmt.Sprintf("%d bytes", MaxTextBytes), fmt.Sprintf("%d bytes", len(value)))
		}
		value = p.text(s.charset, tag, value)
	} else if traits.width > 1 {
		if len(value)%traits.width != 0 || vr == AT && len(value)%4 != 0 {
			return nil, invalid("the DICOM file is broken: element %v of VR %s has %d bytes", tag, vr, len(value))
		}
		if s.big {
			value = swapped(value, traits.width)
			p.file.spent += int64(len(value))
		}
	}
	return &Element{Tag: tag, VR: vr, Value: value}, nil
}

// header reads the tag, the VR and the length of an element.
func (p *parser) header(s scope, tag Tag, end int) (vr VR, length uint32, err error) {
	order := byteOrder(s.big)
	b := p.b[p.at:end]
	if !s.explicit {
		p.at += 8
		return resolve(tag, s.signed), order.Uint32(b[4:]), nil
	}
	traits := traitsByCode[uint16(b[4])<<8|uint16(b[5])]
	switch {
	case traits == nil:
		return "", 0, invalid("the DICOM file is broken: element %v at byte %d has the VR %+q, which does not exist", tag, p.at, b[4:6])
	case !traits.long:
		p.at += 8
		return traits.vr, uint32(order.Uint16(b[6:])), nil
	case len(b) < 12:
		return "", 0, cutOff("element %v begins %d bytes before the end of its data set", tag, len(b))
	}
	p.at += 12
	return traits.vr, order.Uint32(b[8:]), nil
}

// sequence reads the items of a sequence (PS3.5 section 7.5).
func (p *parser) sequence(s scope, tag Tag, length uint32, end, depth int) ([]*Dataset, error) {
	if depth > MaxDepth {
		return nil, overLimit("the sequences of the DICOM file lie too deep", fmt.Sprintf("%d levels", MaxDepth), "more")
	}
	delimited := length == undefined
	if !delimited {
		if int64(length) > int64(end-p.at) {
			return nil, cutOff("sequence %v declares %d bytes, and %d are left", tag, length, end-p.at)
		}
		end = p.at + int(length)
	}
	items := []*Dataset{}
	for {
		if p.at == end && !delimited {
			return items, nil
		}
		mark, n, err := p.item(s, tag, end)
		switch {
		case err != nil:
			return nil, err
		case mark == sequenceDelimiter && delimited:
			return items, nil
		case mark != item:
			return nil, invalid("the DICOM file is broken: sequence %v holds %v instead of an item", tag, mark)
		case len(items) == MaxItems:
			return nil, overLimit(fmt.Sprintf("the DICOM sequence %v has too many items", tag), fmt.Sprintf("%d items", MaxItems), "more")
		}
		last, open := end, n == undefined
		if !open {
			if int64(n) > int64(end-p.at) {
				return nil, cutOff("an item of sequence %v declares %d bytes, and %d are left", tag, n, end-p.at)
			}
			last = p.at + int(n)
		}
		d, err := p.dataset(s, last, depth, open)
		if err != nil {
			return nil, err
		}
		items = append(items, d)
	}
}

// item reads the tag and the length of an item or a delimiter. Each counts as an element.
func (p *parser) item(s scope, tag Tag, end int) (Tag, uint32, error) {
	if p.elements++; p.elements > MaxElements {
		return 0, 0, overLimit("the DICOM file has too many elements", fmt.Sprintf("%d elements", MaxElements), "more")
	}
	if end-p.at < 8 {
		return 0, 0, cutOff("element %v has no end: %d bytes are left", tag, end-p.at)
	}
	mark, n := p.tag(s), byteOrder(s.big).Uint32(p.b[p.at+4:])
	p.at += 8
	return mark, n, nil
}

// encapsulated reads pixel data in fragments (PS3.5 section A.4).
func (p *parser) encapsulated(s scope, tag Tag, vr VR, end int) (*Element, error) {
	e := &Element{Tag: tag, VR: OB, Fragments: [][]byte{}}
	for first := true; ; first = false {
		mark, n, err := p.item(s, tag, end)
		switch {
		case err != nil:
			return nil, err
		case mark == sequenceDelimiter:
			return e, nil
		case mark != item || n == undefined:
			return nil, invalid("the DICOM file is broken: encapsulated pixel data holds %v instead of a fragment", mark)
		case int64(n) > int64(end-p.at):
			return nil, cutOff("a fragment of the pixel data declares %d bytes, and %d are left", n, end-p.at)
		case len(e.Fragments) == MaxItems:
			return nil, overLimit("the DICOM pixel data has too many fragments", fmt.Sprintf("%d fragments", MaxItems), "more")
		}
		value := p.b[p.at : p.at+int(n) : p.at+int(n)]
		p.at += int(n)
		if !first {
			e.Fragments = append(e.Fragments, value)
			continue
		}
		for ; len(value) >= 4; value = value[4:] {
			e.Offsets = append(e.Offsets, byteOrder(s.big).Uint32(value))
		}
	}
}

// text returns the value as UTF-8 without padding at its end.
func (p *parser) text(c charset, tag Tag, value []byte) []byte {
	n := len(value)
	for n > 0 && (value[n-1] == ' ' || value[n-1] == 0) {
		n--
	}
	value = value[:n:n]
	if isASCII(value) {
		return value
	}
	if tag < SpecificCharacterSet { // no character set holds before the one is named
		p.note("text of element %v is not ASCII, which it has to be; question marks stand for the rest", tag)
		return bytes.Map(func(r rune) rune {
			if r >= utf8.RuneSelf || r == 0x1b {
				return '?'
			}
			return r
		}, value)
	}
	p.wide = true
	if c.assumed() {
		p.note("the file names no character set for text that is not ASCII; it is read as ISO 8859-1")
	}
	return c.decode(value)
}

// cutOff is the error for a file that ends, or an item that is too short, in the midst of something.
func cutOff(format string, args ...any) error {
	return invalid("the DICOM file is cut off: "+format, args...)
}

// swapped returns a copy with the bytes of each number in the other order. width is 2, 4 or 8 and divides len(b).
func swapped(b []byte, width int) []byte {
	out := make([]byte, len(b))
	to := out
	switch width {
	case 8:
		for ; len(b) >= 8 && len(to) >= 8; b, to = b[8:], to[8:] {
			binary.LittleEndian.PutUint64(to, binary.BigEndian.Uint64(b))
		}
	case 4:
		for ; len(b) >= 4 && len(to) >= 4; b, to = b[4:], to[4:] {
			binary.LittleEndian.PutUint32(to, binary.BigEndian.Uint32(b))
		}
	default:
		const even = 0x00FF00FF00FF00FF // four numbers at once
		for ; len(b) >= 8 && len(to) >= 8; b, to = b[8:], to[8:] {
			v := binary.LittleEndian.Uint64(b)
			binary.LittleEndian.PutUint64(to, v&even<<8|v>>8&even)
		}
		for ; len(b) >= 2 && len(to) >= 2; b, to = b[2:], to[2:] {
			to[0], to[1] = b[1], b[0]
		}
	}
	return out
}
