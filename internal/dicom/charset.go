package dicom

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// utf8Name is the defined term of Specific Character Set for UTF-8.
const utf8Name = "ISO_IR 192"

// A charset turns the text of a data set into UTF-8 (PS3.3 section C.12.1.1.2, PS3.5 section 6.1).
type charset struct {
	// whole decodes the upper half of a code page or a whole multi-byte encoding; nil replaces what is not ASCII.
	whole encoding.Encoding
	utf8  bool
	// escapes says that ISO 2022 escape sequences change the character set within a value.
	escapes bool
	// named says that the file names the character set.
	named bool
}

// ascii is the default repertoire. Bytes outside it are an error of the file; they are mostly ISO 8859-1.
var ascii = charset{whole: charmap.ISO8859_1}

func (c charset) assumed() bool { return !c.named }

// encodings are the character sets of PS3.3 tables C.12-2 to C.12-5, without their prefix ISO_IR or ISO 2022 IR. Those
// that fill both halves of the code by escape sequences only have nil.
var encodings = map[string]encoding.Encoding{
	"6":   charmap.ISO8859_1,
	"100": charmap.ISO8859_1,
	"101": charmap.ISO8859_2,
	"109": charmap.ISO8859_3,
	"110": charmap.ISO8859_4,
	"144": charmap.ISO8859_5,
	"127": charmap.ISO8859_6,
	"126": charmap.ISO8859_7,
	"138": charmap.ISO8859_8,
	"148": charmap.ISO8859_9,
	"203": charmap.ISO8859_15,
	"166": charmap.Windows874,
	"13":  japanese.ShiftJIS, // the half-width katakana of JIS X 0201 are its single bytes
	"87":  nil,
	"159": nil,
	"149": korean.EUCKR,
	"58":  simplifiedchinese.GBK, // which holds GB 2312
}

// charsetOf returns the character set that the values of Specific Character Set name, and those that are not known.
func charsetOf(names []string) (c charset, unknown []string) {
	c = charset{named: true}
	for i, name := range names {
		switch name {
		case utf8Name, "GB18030", "GBK":
			if i > 0 {
				unknown = append(unknown, name) // these stand alone
				continue
			}
			c.utf8 = name == utf8Name
			c.whole = simplifiedchinese.GB18030
			continue
		case "":
			name = "ISO 2022 IR 6"
			if len(names) == 1 {
				return ascii, nil
			}
		}
		number, extended := strings.CutPrefix(name, "ISO 2022 IR ")
		if !extended {
			number = strings.TrimPrefix(name, "ISO_IR ")
		}
		e, ok := encodings[number]
		if !ok {
			unknown = append(unknown, name)
			continue
		}
		if i == 0 {
			c.whole = e
			c.named = number != "6" || len(names) > 1
		}
		c.escapes = c.escapes || extended
	}
	return c, unknown
}

// decode returns value, which is not ASCII, as UTF-8. What cannot be read becomes U+FFFD.
func (c charset) decode(value []byte) []byte {
	switch {
	case c.utf8:
		return bytes.ToValidUTF8(value, []byte("\uFFFD"))
	case c.escapes:
		return c.decodeEscapes(value)
	}
	return appendDecoded(nil, c.whole, value)
}

// appendDecoded appends b, decoded by e.
func appendDecoded(out []byte, e encoding.Encoding, b []byte) []byte {
	if e != nil {
		if text, err := e.NewDecoder().Bytes(b); err == nil {
			return append(out, text...)
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			out = utf8.AppendRune(out, utf8.RuneError)
		} else {
			out = append(out, c)
		}
	}
	return out
}

// An escape is one sequence of ISO 2022 that PS3.3 table C.12-3 or C.12-4 defines: it makes a set of characters the
// lower or the upper half of the code.
type escape struct {
	bytes string
	// lower is the sequence that the decoder of ISO 2022-JP knows for the set, "" for ASCII.
	lower string
	// upper is the encoding of the upper half; nil for a sequence that changes the lower half.
	upper encoding.Encoding
}

var escapes = []escape{
	{bytes: "\x1b(B"},
	{bytes: "\x1b(J"}, // JIS X 0201, which is ASCII but for the yen and the overline
	{bytes: "\x1b$B", lower: "\x1b$B"},
	{bytes: "\x1b$(D", lower: "\x1b$(D"},
	{bytes: "\x1b-A", upper: charmap.ISO8859_1},
	{bytes: "\x1b-B", upper: charmap.ISO8859_2},
	{bytes: "\x1b-C", upper: charmap.ISO8859_3},
	{bytes: "\x1b-D", upper: charmap.ISO8859_4},
	{bytes: "\x1b-L", upper: charmap.ISO8859_5},
	{bytes: "\x1b-G", upper: charmap.ISO8859_6},
	{bytes: "\x1b-F", upper: charmap.ISO8859_7},
	{bytes: "\x1b-H", upper: charmap.ISO8859_8},
	{bytes: "\x1b-M", upper: charmap.ISO8859_9},
	{bytes: "\x1b-b", upper: charmap.ISO8859_15},
	{bytes: "\x1b-T", upper: charmap.Windows874},
	{bytes: "\x1b)I", upper: japanese.ShiftJIS},
	{bytes: "\x1b$)C", upper: korean.EUCKR},
	{bytes: "\x1b$)A", upper: simplifiedchinese.GBK},
}

// decodeEscapes decodes a value with escape sequences. At a delimiter the first character set holds again (PS3.5
// section 6.1.2.5.3).
func (c charset) decodeEscapes(value []byte) []byte {
	const delimiters = "\\^=\r\n\t\f"
	var out []byte
	now := escape{upper: c.whole}
	for len(value) > 0 {
		b := value[0]
		switch {
		case b == 0x1b:
			i := slices.IndexFunc(escapes, func(e escape) bool { return bytes.HasPrefix(value, []byte(e.bytes)) })
			if i < 0 {
				out = utf8.AppendRune(out, utf8.RuneError)
				value = value[1:]
				continue
			}
			if e := escapes[i]; e.upper != nil {
				now.upper = e.upper
			} else {
				now.lower = e.lower
			}
			value = value[len(escapes[i].bytes):]
		case b >= utf8.RuneSelf:
			n := 1
			for n < len(value) && value[n] >= utf8.RuneSelf {
				n++
			}
			out = appendDecoded(out, now.upper, value[:n])
			value = value[n:]
		case now.lower != "" && b > ' ':
			n := 1 // two bytes a character: a backslash or a caret may be the second of them
			for n < len(value) && value[n] > ' ' && value[n] < utf8.RuneSelf {
				n++
			}
			out = appendDecoded(out, japanese.ISO2022JP, slices.Concat([]byte(now.lower), value[:n]))
			value = value[n:]
		default:
			if strings.IndexByte(delimiters, b) >= 0 {
				now = escape{upper: c.whole}
			}
			out = append(out, b)
			value = value[1:]
		}
	}
	return out
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf || c == 0x1b {
			return false
		}
	}
	return true
}
