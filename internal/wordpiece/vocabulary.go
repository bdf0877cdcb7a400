package wordpiece

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// maxVocabulary bounds the vocabulary; the largest BERT in use has about 250,000 pieces.
const maxVocabulary = 1 << 20

// specialTokens are the names that BERT gives its special tokens.
var specialTokens = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}

// New reads a vocabulary as BERT publishes it: one piece a line, whose id is the number of the line from 0 on.
// It is an error if a piece is empty, occurs twice or is not UTF-8, or if a special token is missing.
func New(vocabulary []byte) (*Tokenizer, error) {
	text, _ := strings.CutSuffix(string(vocabulary), "\n")
	if n := strings.Count(text, "\n") + 1; n > maxVocabulary {
		return nil, fmt.Errorf("read vocabulary: %d lines, want at most %d", n, maxVocabulary)
	}
	lines := strings.Split(text, "\n")
	ids := make(map[string]int32, len(lines))
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || !utf8.ValidString(line) {
			return nil, fmt.Errorf("read vocabulary: line %d, %q, is no piece", i+1, line)
		}
		if first, ok := ids[line]; ok {
			return nil, fmt.Errorf("read vocabulary: lines %d and %d are both %q", first+1, i+1, line)
		}
		ids[line] = int32(i)
	}
	t := &Tokenizer{size: len(lines)}
	for _, name := range specialTokens {
		id, ok := ids[name]
		if !ok {
			return nil, fmt.Errorf("read vocabulary: none of its %d lines is %s", len(lines), name)
		}
		t.specials = append(t.specials, special{name, id})
	}
	t.unk, t.cls, t.sep = ids["[UNK]"], ids["[CLS]"], ids["[SEP]"]
	t.pieces = newTrie(ids)
	t.inner = t.start
	for _, b := range []byte("##") {
		if t.inner = t.pieces.child(t.inner, b); t.inner < 0 {
			return nil, fmt.Errorf("read vocabulary: none of its %d lines begins with ##", len(lines))
		}
	}
	return t, nil
}

// trie finds the longest piece that some bytes begin with. Its nodes are numbered breadth first, so that the
// children of node n are the nodes first[n] to first[n+1]-1, and a step is one search through their labels.
type trie struct {
	labels []byte  // the byte that leads to a node
	first  []int32 // one more than there are nodes
	ids    []int32 // the id of the piece that ends at a node, -1 if none does
}

func newTrie(ids map[string]int32) trie {
	pieces := make([]string, 0, len(ids))
	for piece := range ids {
		pieces = append(pieces, piece)
	}
	sort.Strings(pieces)

	type span struct{ low, high, depth int } // the pieces below a node, and how many bytes lead to it
	nodes := []span{{0, len(pieces), 0}}
	t := trie{labels: []byte{0}}
	for n := 0; n < len(nodes); n++ {
		s := nodes[n]
		id := int32(-1)
		if s.low < s.high && len(pieces[s.low]) == s.depth {
			id = ids[pieces[s.low]]
			s.low++
		}
		t.ids = append(t.ids, id)
		t.first = append(t.first, int32(len(nodes)))
		for s.low < s.high {
			label, end := pieces[s.low][s.depth], s.low+1
			for end < s.high && pieces[end][s.depth] == label {
				end++
			}
			t.labels = append(t.labels, label)
			nodes = append(nodes, span{s.low, end, s.depth + 1})
			s.low = end
		}
	}
	t.first = append(t.first, int32(len(nodes)))
	return t
}

// child returns the node that label leads to from node, -1 if there is none.
func (t *trie) child(node int32, label byte) int32 {
	first := t.first[node]
	i := bytes.IndexByte(t.labels[first:t.first[node+1]], label)
	if i < 0 {
		return -1
	}
	return first + int32(i)
}

// longest returns the id and the length of the longest piece below root that text begins with; length 0 if none does.
func (t *trie) longest(root int32, text []byte) (id int32, length int) {
	node := root
	for i, b := range text {
		if node = t.child(node, b); node < 0 {
			break
		}
		if t.ids[node] >= 0 {
			id, length = t.ids[node], i+1
		}
	}
	return id, length
}
