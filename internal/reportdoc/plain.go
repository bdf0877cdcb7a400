package reportdoc

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// replacement stands where a character stood that is not shown.
const replacement = "\uFFFD"

// Plain returns a text without what would change the text around it: control characters and those that turn the
// direction of writing (Unicode Standard Annex 9) become U+FFFD, so that a reader sees that something was there.
func Plain(text string) string {
	text = strings.ToValidUTF8(text, replacement)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r', r == '\u2028', r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF', r&0xFFFE == 0xFFFE:
			return utf8.RuneError
		}
		return r
	}, text)
}
