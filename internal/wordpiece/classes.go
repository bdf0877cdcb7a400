package wordpiece

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What a character does to the words around it. Zero is a letter, a digit or whatever else makes up a word.
const (
	space   uint8 = iota + 1 // ends a word
	alone                    // is a word of its own
	chinese                  // is a word of its own, after its decomposition
	control                  // is removed
	mark                     // is removed after the decomposition
)

// spaces have the property White_Space. Of the control characters only tab, line feed and carriage return do.
var spaces = [][2]rune{
	{'\t', '\n'}, {'\r', '\r'}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029},
	{0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
}

// ideographs are the blocks that BERT calls Chinese; Hiragana, Katakana and Hangul are not among them.
var ideographs = [][2]rune{
	{0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x2a6df}, {0x2a700, 0x2b81f}, {0x2b920, 0x2ceaf},
	{0x2f800, 0x2fa1f},
}

// classes holds the class of every code point: a megabyte, so that one load answers.
var classes = func() *[unicode.MaxRune + 1]uint8 {
	table := new([unicode.MaxRune + 1]uint8)
	for _, of := range []struct {
		class  uint8
		ranges [][2]rune
	}{{space, spaces}, {alone, punctuation}, {chinese, ideographs}, {control, controls}, {mark, marks}} {
		for _, r := range of.ranges {
			for c := r[0]; c <= r[1]; c++ {
				table[c] = of.class
			}
		}
	}
	return table
}()

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lower returns the lower case of one character that has no canonical decomposition.
func lower(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(lowerASCII(byte(r)))
	}
	return unicode.ToLower(r)
}

// Hangul syllables decompose by arithmetic: https://www.unicode.org/versions/latest/core-spec/chapter-3/#G59688
const (
	hangulFirst, hangulLast = 0xac00, 0xd7a3
	leadFirst               = 0x1100
	vowelFirst, vowels      = 0x1161, 21
	trailFirst, trails      = 0x11a7, 28 // the first one stands for no trailing consonant
)

// decompose returns the canonical decomposition of r, which raw spells: n characters, at most 4 in Unicode.
func decompose(r rune, raw string) (parts [4]rune, n int) {
	if hangulFirst <= r && r <= hangulLast {
		s := r - hangulFirst
		parts[0] = leadFirst + s/(vowels*trails)
		parts[1] = vowelFirst + s%(vowels*trails)/trails
		if parts[2] = trailFirst + s%trails; parts[2] == trailFirst {
			return parts, 2
		}
		return parts, 3
	}
	d := norm.NFD.PropertiesString(raw).Decomposition()
	if d == nil {
		parts[0] = r
		return parts, 1
	}
	for len(d) > 0 && n < len(parts) {
		part, width := utf8.DecodeRune(d)
		parts[n] = part
		n++
		d = d[width:]
	}
	return parts, n
}
