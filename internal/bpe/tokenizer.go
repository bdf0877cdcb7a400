package bpe

import (
	"fmt"
	"strings"
)

// Tokenizer is safe for use by several goroutines.
type Tokenizer struct {
	tokens []string // as the vocabulary writes them
	ids    map[string]int
	merges map[[2]int]merge
	bytes  [256]int      // id of each byte, -1 if there is none
	back   map[rune]byte // byte of each printable character
}

// merge is what two neighbouring ids become, and how early.
type merge struct{ rank, id int }

// New returns a tokenizer of a vocabulary, in which the position is the id, and of merges "left right", the earliest
// first.
func New(tokens, merges []string) (*Tokenizer, error) {
	t := &Tokenizer{tokens: tokens, ids: make(map[string]int, len(tokens)), merges: make(map[[2]int]merge, len(merges)), back: make(map[rune]byte, 256)}
	for id, token := range tokens {
		if _, twice := t.ids[token]; twice {
			return nil, fmt.Errorf("bpe vocabulary: the token %q stands there twice", token)
		}
		t.ids[token] = id
	}
	for b, r := range printable() {
		id, ok := t.ids[string(r)]
		if !ok {
			id = -1
		}
		t.bytes[b], t.back[r] = id, byte(b)
	}
	for rank, line := range merges {
		left, right, ok := strings.Cut(line, " ")
		l, known := t.ids[left]
		r, known2 := t.ids[right]
		id, known3 := t.ids[left+right]
		if !ok || !known || !known2 || !known3 {
			return nil, fmt.Errorf("bpe merge %d: %q is not two tokens that make a third", rank, line)
		}
		if _, twice := t.merges[[2]int{l, r}]; !twice {
			t.merges[[2]int{l, r}] = merge{rank, id}
		}
	}
	return t, nil
}

// printable returns the character by which the vocabulary writes each byte: itself if it can be seen, else one from
// U+0100 on, in order.
func printable() (chars [256]rune) {
	next := rune(0x100)
	for b := range chars {
		if '!' <= b && b <= '~' || 0xa1 <= b && b <= 0xac || 0xae <= b {
			chars[b] = rune(b)
			continue
		}
		chars[b] = next
		next++
	}
	return chars
}

// Size is the number of ids.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// ID returns the id of a token as the vocabulary writes it, such as <|im_end|>.
func (t *Tokenizer) ID(token string) (int, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// Encode returns the ids of text. What looks like a control token in it is text like any other, and a byte that the
// vocabulary lacks is left out. The time grows with the square of the longest word.
func (t *Tokenizer) Encode(text string) []int {
	var ids []int
	for len(text) > 0 {
		n := word(text)
		ids = append(ids, t.encodeWord(text[:n])...)
		text = text[n:]
	}
	return ids
}

func (t *Tokenizer) encodeWord(word string) []int {
	ids := make([]int, 0, len(word))
	for i := range len(word) {
		if id := t.bytes[word[i]]; id >= 0 {
			ids = append(ids, id)
		}
	}
	for {
		at, best := -1, merge{}
		for i := range len(ids) - 1 {
			if m, ok := t.merges[[2]int{ids[i], ids[i+1]}]; ok && (at < 0 || m.rank < best.rank) {
				at, best = i, m
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = best.id
		ids = append(ids[:at+1], ids[at+2:]...)
	}
}

// Decode returns the text of ids. Control tokens stand for themselves, and an id beyond the vocabulary for nothing.
func (t *Tokenizer) Decode(ids []int) string {
	var b []byte
	for _, id := range ids {
		if id < 0 || id >= len(t.tokens) {
			continue
		}
		for _, r := range t.tokens[id] {
			if c, ok := t.back[r]; ok {
				b = append(b, c)
			} else {
				b = append(b, string(r)...)
			}
		}
	}
	return string(b)
}
