package chexpert

import (
	"regexp"
	"strings"
)

var (
	ends     = regexp.MustCompile(`[.?!]+(\s+|$)|\n+`)
	between  = regexp.MustCompile(`([a-z])/([a-z])`)
	marks    = regexp.MustCompile(`[.,;:?!()\[\]"']`)
	hyphens  = regexp.MustCompile(`[-–—]`)
	headings = regexp.MustCompile(`^(impression|findings|presentation|discussion|imaging (notes|findings))\s*:\s*`)
)

// Sentences divides a text at full stops, question and exclamation marks and lines. The marks at the ends are left out.
func Sentences(text string) []string {
	var out []string
	for _, s := range ends.Split(text, -1) {
		if s = strings.Join(strings.Fields(s), " "); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// normalise returns a sentence in small letters, every mark a word of its own, hyphens as blanks, with a blank at each end.
func normalise(sentence string) string {
	s := strings.ToLower(strings.Join(strings.Fields(sentence), " "))
	s = headings.ReplaceAllString(s, "")
	s = between.ReplaceAllString(s, "$1 or $2")
	s = hyphens.ReplaceAllString(s, " ")
	s = marks.ReplaceAllString(s, " $0 ")
	return " " + strings.Join(strings.Fields(s), " ") + " "
}
