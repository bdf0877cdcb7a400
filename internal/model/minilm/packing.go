package minilm

import (
	"cmp"
	"fmt"
	"slices"

	"consilium/internal/tensor"
)

// Packing lays sequences end to end, sorted by length, so that the net computes no padding.
type Packing struct {
	ids, positions []int64 // (N)
	groups         []group
	// Order lists the sequences as they are packed: Order[0] is the index of the first one.
	Order []int
}

// group is a run of sequences of one length.
type group struct{ start, count, length int64 } // start is the row of its first token

// rows returns the rows of x (N, ...) that belong to the group.
func (g group) rows(a *tensor.Arena, x tensor.T) tensor.T {
	return a.Narrow(x, 0, g.start, g.count*g.length)
}

// parts cuts the packing into runs of sequences of at most rows tokens, or of a single longer one. Each is given by the
// rows at which its sequences begin, counted from its first, and the row behind the last.
func (p *Packing) parts(rows int32) (parts [][]int32) {
	part := []int32{0}
	for _, g := range p.groups {
		for range g.count {
			last, length := part[len(part)-1], int32(g.length)
			if last > 0 && last+length > rows {
				parts, part, last = append(parts, part), []int32{0}, 0
			}
			part = append(part, last+length)
		}
	}
	return append(parts, part)
}

// Pack packs sequences of token ids. It is an error if there is none, or if one is empty, is longer than the net
// has positions for or holds an id that is not in the vocabulary.
func (c Config) Pack(sequences [][]int32) (*Packing, error) {
	if len(sequences) == 0 {
		return nil, fmt.Errorf("pack sequences: there is none")
	}
	p := &Packing{Order: make([]int, len(sequences))}
	for i := range sequences {
		p.Order[i] = i
	}
	slices.SortStableFunc(p.Order, func(i, j int) int { return cmp.Compare(len(sequences[i]), len(sequences[j])) })
	for _, i := range p.Order {
		length := int64(len(sequences[i]))
		if length == 0 || length > c.Positions {
			return nil, fmt.Errorf("pack sequence %d: it has %d tokens, want 1 to %d", i, length, c.Positions)
		}
		if last := len(p.groups) - 1; last >= 0 && p.groups[last].length == length {
			p.groups[last].count++
		} else {
			p.groups = append(p.groups, group{start: int64(len(p.ids)), count: 1, length: length})
		}
		for position, id := range sequences[i] {
			if id < 0 || int64(id) >= c.Vocabulary {
				return nil, fmt.Errorf("pack sequence %d: the vocabulary of %d pieces has no id %d", i, c.Vocabulary, id)
			}
			p.ids = append(p.ids, int64(id))
			p.positions = append(p.positions, int64(position))
		}
	}
	return p, nil
}
