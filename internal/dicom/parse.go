package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"consilium/internal/analysis"
)

const (
	preambleBytes = 128
	prefix        = "DICM"
)

// Parse reads a file of PS3.10: a preamble, the meta information, and the data set in the transfer syntax that the meta
// information names. Two kinds of incomplete files are read as well, with a note: one that begins with its meta
// information, and one that begins with its data set (group 0008), whose encoding is told from its first element.
//
// Group lengths, which PS3.5 section 7.2 retired, are left out. A value of VR UN whose tag the dictionary knows is read
// as that (PS3.5 section 6.2.2). Text is turned into UTF-8.
//
// Pixel data is not decoded, so a file with a transfer syntax that Render refuses is parsed too. Values share the
// memory of b, which must not be changed afterwards; what is allocated besides is proportional to the number of
// elements, to their text, and for big endian and deflated files to b.
//
// The error is an *analysis.Error: UnsupportedMedia for bytes that are not DICOM or whose transfer syntax is not known,
// TooLarge for a file over a limit, InvalidArgument for one that is broken or cut off.
func Parse(b []byte) (*File, error) {
	if len(b) > MaxBytes {
		return nil, overLimit("the DICOM file is too large", fmt.Sprintf("%d bytes", MaxBytes), fmt.Sprintf("%d bytes", len(b)))
	}
	f := &File{Meta: &Dataset{}, Dataset: &Dataset{}}
	p := &parser{b: b, file: f}
	kind := sniff(b)
	switch {
	case kind == notDICOM:
		return nil, &analysis.Error{Code: analysis.UnsupportedMedia, Field: field,
			Message: "this is not a DICOM file: it has neither DICM after 128 bytes nor an element of group 0002 or 0008 at its start"}
	case kind == wholeFile:
		p.at = preambleBytes + len(prefix)
	default:
		p.note("the file has no preamble")
	}
	if kind != bareLittle && kind != bareBig {
		if err := p.meta(); err != nil {
			return nil, err
		}
	}
	if err := p.encoding(kind); err != nil {
		return nil, err
	}
	s := scope{explicit: p.explicit, big: p.big, charset: ascii}
	d, err := p.dataset(s, len(p.b), 0, false)
	if err != nil {
		return nil, err
	}
	f.Dataset = d
	f.spent += int64(p.elements) * elementBytes
	if p.wide && d.Get(SpecificCharacterSet) == nil {
		d.Set(NewText(SpecificCharacterSet, CS, utf8Name))
	}
	return f, nil
}

// A start is what the first bytes of a file are.
type start int

const (
	notDICOM   start = iota
	wholeFile        // preamble, DICM, meta information
	bareMeta         // meta information at once
	bareLittle       // a data set in little endian at once
	bareBig          // the same in big endian
)

// Is tells from the first bytes whether b is a file that Parse may read.
func Is(b []byte) bool { return sniff(b) != notDICOM }

func sniff(b []byte) start {
	if len(b) >= preambleBytes+len(prefix) && string(b[preambleBytes:preambleBytes+len(prefix)]) == prefix {
		return wholeFile
	}
	if len(b) < 8 {
		return notDICOM
	}
	for _, big := range []bool{false, true} {
		order := byteOrder(big)
		tag := NewTag(order.Uint16(b), order.Uint16(b[2:]))
		_, known := lookUp(tag)
		if group := tag.Group(); !known || group != 0x0002 && group != 0x0008 || group == 0x0002 && big {
			continue
		}
		traits, explicit := traitsByCode[binary.BigEndian.Uint16(b[4:])]
		if explicit && traits.vr != tag.VR() || !explicit && int64(order.Uint32(b[4:])) > int64(len(b)-8) {
			continue
		}
		switch {
		case tag.Group() == 0x0002 && explicit:
			return bareMeta
		case tag.Group() == 0x0002:
		case big:
			return bareBig
		default:
			return bareLittle
		}
	}
	return notDICOM
}

func byteOrder(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// elementBytes is about what an element takes in memory besides its value.
const elementBytes = 192

// parser walks the bytes of one file.
type parser struct {
	b    []byte
	at   int
	file *File
	// explicit and big are the encoding of the data set.
	explicit, big bool
	elements      int
	wide          bool // some text is not ASCII
	notes         map[string]bool
}

// note adds a note once.
func (p *parser) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !p.notes[s] && len(p.notes) < 16 {
		if p.notes == nil {
			p.notes = map[string]bool{}
		}
		p.notes[s] = true
		p.file.Notes = append(p.file.Notes, s)
	}
}

// meta reads the elements of group 0002, which are always explicit VR little endian.
func (p *parser) meta() error {
	s := scope{explicit: true, charset: ascii}
	for len(p.b)-p.at >= 8 && binary.LittleEndian.Uint16(p.b[p.at:]) == 0x0002 {
		e, err := p.element(s, len(p.b), 0)
		if err != nil {
			return err
		}
		if e != nil {
			if p.file.Meta.Get(e.Tag) != nil {
				return invalid("the DICOM file is broken: element %v stands twice", e.Tag)
			}
			p.file.Meta.Set(e)
		}
	}
	return nil
}

// encoding sets how the data set is encoded: as the meta information says, else as its first element shows.
func (p *parser) encoding(kind start) error {
	rest := p.b[p.at:]
	looksExplicit := len(rest) >= 6 && traitsByCode[binary.BigEndian.Uint16(rest[4:])] != nil
	syntax := TransferSyntax(p.file.Meta.String(TransferSyntaxUID))
	if syntax == "" {
		p.explicit, p.big = looksExplicit, kind == bareBig
		switch {
		case p.big && p.explicit:
			syntax = ExplicitBig
		case p.big:
			return unsupported("a DICOM data set in implicit VR big endian is not read: no transfer syntax has it")
		case p.explicit:
			syntax = ExplicitLittle
		default:
			syntax = ImplicitLittle
		}
		p.file.TransferSyntax = syntax
		p.note("the file names no transfer syntax; its first element is %s", syntax.Name())
		return nil
	}
	p.file.TransferSyntax = syntax
	if _, known := syntaxNames[syntax]; !known {
		return unsupported("DICOM of the unknown transfer syntax %s is not read", clip(string(syntax)))
	}
	if syntax.deflated() {
		if err := p.inflate(); err != nil {
			return err
		}
		p.explicit = true
		return nil
	}
	p.explicit, p.big = syntax != ImplicitLittle, syntax == ExplicitBig
	if p.explicit != looksExplicit && len(rest) >= 8 && !p.big {
		p.explicit = looksExplicit
		p.note("the file says %s, but its first element is of the other kind of VR", syntax.Name())
	}
	return nil
}

// inflate replaces the bytes of the data set by what they inflate to.
func (p *parser) inflate() error {
	var out bytes.Buffer
	limit := min(MaxInflatedBytes, max(InflatedFloor, MaxInflation*len(p.b)))
	r := flate.NewReader(bytes.NewReader(p.b[p.at:]))
	n, err := out.ReadFrom(io.LimitReader(r, int64(limit)+1))
	p.file.spent += 4 * n // the buffer doubles
	switch {
	case n > int64(limit):
		return overLimit("the deflated DICOM data set inflates to too much", fmt.Sprintf("%d bytes, for a file of %d", limit, len(p.b)), "more")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("the DICOM file is cut off: its deflated data set has no end")
	case err != nil:
		return invalid("the DICOM file is broken: inflate the data set: %v", err)
	}
	p.b, p.at = out.Bytes(), 0
	return nil
}

// field is the name of the request field that errors carry.
const field = "dicom"

func invalid(format string, args ...any) error {
	return analysis.Invalid(field, format, args...)
}

func unsupported(format string, args ...any) error {
	return &analysis.Error{Code: analysis.UnsupportedMedia, Field: field, Message: fmt.Sprintf(format, args...)}
}

func overLimit(message, limit, value string) error {
	return &analysis.Error{Code: analysis.TooLarge, Field: field, Message: message, Limit: limit, Value: value}
}

// clip makes text of a file fit for a message: quoted and short.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%+q…", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}
