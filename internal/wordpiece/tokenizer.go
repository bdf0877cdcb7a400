package wordpiece

import (
	"strings"
	"unicode/utf8"
)

// maxWordRunes is the longest word, after normalisation, that is looked up; a longer one is unknown.
const maxWordRunes = 100

// Tokenizer holds a vocabulary. It never changes, so that any number of goroutines may use it.
type Tokenizer struct {
	pieces       trie
	start, inner int32 // the trie's roots: of a word's first piece, and of the pieces after it ("##")
	size         int
	specials     []special
	unk          int32
	cls, sep     int32
}

// A special token is found literally in the raw text, as the reference does.
type special struct {
	text string
	id   int32
}

// Len returns the size of the vocabulary; every id is below it.
func (t *Tokenizer) Len() int { return t.size }

// CLS returns the id of [CLS], which begins every sequence.
func (t *Tokenizer) CLS() int32 { return t.cls }

// SEP returns the id of [SEP], which ends every sequence.
func (t *Tokenizer) SEP() int32 { return t.sep }

// Append appends the ids of text, without [CLS] and [SEP], and returns the longer slice. There is at most one id for
// each byte of text. Bytes that are not UTF-8 are skipped.
func (t *Tokenizer) Append(ids []int32, text string) []int32 {
	w := word{}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			switch class := classes[c]; {
			case class == 0:
				w.addByte(lowerASCII(c))
			case class == space:
				ids = t.flush(ids, &w)
			case class == alone:
				ids = t.flush(ids, &w)
				if c == '[' {
					if id, length := t.special(text[i:]); length > 0 {
						ids = append(ids, id)
						i += length
						continue
					}
				}
				w.addByte(c)
				ids = t.flush(ids, &w)
			}
			i++
			continue
		}
		r, width := utf8.DecodeRuneInString(text[i:])
		ids = t.appendRune(ids, &w, r, text[i:i+width])
		i += width
	}
	return t.flush(ids, &w)
}

// appendRune takes one character that is not ASCII; raw is how the text spells it.
//
// The reference also puts combining marks into canonical order. That cannot change an id: the marks that it then
// strips do not count, and a word with any other mark is unknown, for no piece of the vocabulary holds one.
func (t *Tokenizer) appendRune(ids []int32, w *word, r rune, raw string) []int32 {
	switch class := classes[r]; class {
	case space:
		return t.flush(ids, w)
	case control:
		return ids
	case chinese:
		ids = t.flush(ids, w)
		parts, n := decompose(r, raw)
		for _, part := range parts[:n] {
			w.addRune(part)
		}
		return t.flush(ids, w)
	}
	parts, n := decompose(r, raw)
	for _, part := range parts[:n] {
		switch classes[part] {
		case mark:
		case space:
			ids = t.flush(ids, w)
		case alone:
			ids = t.flush(ids, w)
			w.addRune(part)
			ids = t.flush(ids, w)
		default:
			w.addRune(lower(part))
		}
	}
	return ids
}

// special returns the special token that text begins with, and its length in bytes, 0 if there is none.
func (t *Tokenizer) special(text string) (id int32, length int) {
	for _, s := range t.specials {
		if strings.HasPrefix(text, s.text) {
			return s.id, len(s.text)
		}
	}
	return 0, 0
}

// flush appends the ids of the word that has been collected, and empties it.
func (t *Tokenizer) flush(ids []int32, w *word) []int32 {
	if w.runes == 0 {
		return ids
	}
	if w.runes > maxWordRunes {
		w.reset()
		return append(ids, t.unk)
	}
	before, rest := len(ids), w.bytes[:w.size]
	for root := t.start; len(rest) > 0; root = t.inner {
		id, length := t.pieces.longest(root, rest)
		if length == 0 { // one missing piece makes the whole word unknown
			ids = append(ids[:before], t.unk)
			break
		}
		ids = append(ids, id)
		rest = rest[length:]
	}
	w.reset()
	return ids
}

// word collects the normalised characters of one word; what comes after the limit is only counted.
type word struct {
	bytes [maxWordRunes * utf8.UTFMax]byte
	size  int
	runes int
}

func (w *word) reset() { w.size, w.runes = 0, 0 }

func (w *word) addByte(b byte) {
	if w.runes < maxWordRunes {
		w.bytes[w.size] = b
		w.size++
	}
	w.runes++
}

func (w *word) addRune(r rune) {
	if w.runes < maxWordRunes {
		w.size += utf8.EncodeRune(w.bytes[w.size:], r)
	}
	w.runes++
}
