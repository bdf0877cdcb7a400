package bpe

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// contractions are words of their own after a letter.
var contractions = []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// What a character is to the words around it.
const (
	letter = iota
	number
	space
	other
	end // no character
)

func class(r rune) int {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// first returns the class and the width of the character that text begins with.
func first(text string) (c, width int) {
	if text == "" {
		return end, 0
	}
	r, width := utf8.DecodeRuneInString(text)
	return class(r), width
}

// run returns the length of the leading characters of class c.
func run(text string, c int) int {
	n := 0
	for {
		found, width := first(text[n:])
		if found != c {
			return n
		}
		n += width
	}
}

// word returns the length of the first word of text, which is not empty. A word takes the space before it along; of
// more white space the last character stays with what follows. A number is one digit, and what is before it ends there.
func word(text string) int {
	c, width := first(text)
	if c == number {
		return width
	}
	for _, s := range contractions {
		if strings.HasPrefix(text, s) {
			return len(s)
		}
	}
	if text[0] == ' ' {
		if c, _ := first(text[1:]); c == letter || c == other {
			return 1 + run(text[1:], c)
		}
	}
	if c != space {
		return run(text, c)
	}
	n := run(text, space)
	if after, _ := first(text[n:]); after == end || after == number {
		return n
	}
	if _, last := utf8.DecodeLastRuneInString(text[:n]); last < n {
		return n - last
	}
	return n
}
