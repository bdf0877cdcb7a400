package smolwriter

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"consilium/internal/model/sentence"
)

// End is the token that ends a sentence, and the first of the small vocabulary.
const End = 0

// vocabulary is the small part of the language model's vocabulary that the words of reports are written in.
type vocabulary struct {
	ids    []int64 // of the whole vocabulary, End first
	spaced map[string][]int64
	tight  map[string][]int64 // without the space before, behind a hyphen
}

func newVocabulary(b *Base, words []string) *vocabulary {
	v := &vocabulary{ids: []int64{int64(b.end)}, spaced: map[string][]int64{}, tight: map[string][]int64{}}
	place := map[int]int64{b.end: End}
	small := func(text string) []int64 {
		var out []int64
		for _, id := range b.tokenizer.Encode(text) {
			at, ok := place[id]
			if !ok {
				at = int64(len(v.ids))
				place[id] = at
				v.ids = append(v.ids, int64(id))
			}
			out = append(out, at)
		}
		return out
	}
	for _, w := range words {
		switch {
		case w == sentence.End:
		case mark(w):
			v.spaced[w] = small(w)
		default:
			v.spaced[w], v.tight[w] = small(" "+w), small(w)
		}
	}
	return v
}

// mark reports whether a word is a punctuation mark, which follows without a space.
func mark(w string) bool {
	r, _ := utf8.DecodeRuneInString(w)
	return !unicode.IsLetter(r) && !unicode.IsNumber(r)
}

// full returns ids of the whole vocabulary.
func (v *vocabulary) full(tokens []int64) []int64 {
	out := make([]int64, len(tokens))
	for i, t := range tokens {
		out[i] = v.ids[t]
	}
	return out
}

func (v *vocabulary) tokens(words []string, limit int) []int64 {
	var out []int64
	for i, w := range words {
		table := v.spaced
		if i > 0 && words[i-1] == "-" {
			table = v.tight
		}
		t, ok := table[w]
		if !ok {
			return nil
		}
		out = append(out, t...)
	}
	if len(out) >= limit {
		return nil
	}
	return append(out, End)
}

// node is a place in a tree of words by their tokens.
type node struct {
	next map[int64]*node
	word string // that ends here, "" if none does
}

func (n *node) add(word string, tokens []int64) {
	for _, t := range tokens {
		if n.next[t] == nil {
			if n.next == nil {
				n.next = map[int64]*node{}
			}
			n.next[t] = &node{}
		}
		n = n.next[t]
	}
	n.word = word
}

// grammar holds the words that one sentence may have.
type grammar struct{ spaced, tight *node }

func (v *vocabulary) grammar(allowed func(word string) bool) *grammar {
	g := &grammar{&node{}, &node{}}
	for _, w := range slices.Sorted(maps.Keys(v.spaced)) { // in order, since two words may have the same tokens
		if allowed(w) {
			g.spaced.add(w, v.spaced[w])
		}
	}
	for _, w := range slices.Sorted(maps.Keys(v.tight)) {
		if allowed(w) {
			g.tight.add(w, v.tight[w])
		}
	}
	return g
}

// after returns the tokens that may follow at a place, in order, each with its own place; that of End is nil.
func (g *grammar) after(at *node) (tokens []int64, places []*node) {
	add := func(from *node) {
		for t, n := range from.next {
			tokens, places = append(tokens, t), append(places, n)
		}
	}
	add(at)
	if at.word == "-" {
		add(g.tight)
	} else if at.word != "" {
		add(g.spaced)
		tokens, places = append(tokens, End), append(places, nil)
	}
	order := make([]int, len(tokens))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return int(tokens[i] - tokens[j]) })
	sortedTokens, sortedPlaces := make([]int64, 0, len(tokens)), make([]*node, 0, len(tokens))
	for _, i := range order {
		sortedTokens, sortedPlaces = append(sortedTokens, tokens[i]), append(sortedPlaces, places[i])
	}
	return sortedTokens, sortedPlaces
}

// finish makes a sentence of a text: it begins with a capital letter and ends with a full stop.
func finish(text string) string {
	text = strings.TrimRight(strings.TrimSpace(text), ". ,-")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
