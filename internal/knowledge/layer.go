package knowledge

import (
	"maps"
	"slices"
)

// layer is the dynamic layer of one version, in memory. It is never changed: more facts make another layer.
type layer struct {
	seq   int
	facts []Fact // in the order of the journal
	// touching has the places in facts of those that begin or end at a term.
	touching map[string][]int
	triples  map[triple]int
}

// with returns the layer with more facts, which follow its own.
func (l *layer) with(more []Fact) *layer {
	next := &layer{facts: append(slices.Clip(l.facts), more...), touching: maps.Clone(l.touching), triples: maps.Clone(l.triples)}
	if next.touching == nil {
		next.touching, next.triples = map[string][]int{}, map[triple]int{}
	}
	for i := len(l.facts); i < len(next.facts); i++ {
		f := &next.facts[i]
		next.touching[f.Subject] = append(slices.Clip(next.touching[f.Subject]), i)
		next.touching[f.Object] = append(slices.Clip(next.touching[f.Object]), i)
		next.triples[f.triple()] = i
		next.seq = max(next.seq, f.Seq)
	}
	next.seq = max(next.seq, l.seq)
	return next
}

// without returns the layer without the facts of these ids.
func (l *layer) without(ids ...string) *layer {
	kept := slices.DeleteFunc(slices.Clone(l.facts), func(f Fact) bool { return slices.Contains(ids, f.ID) })
	return (&layer{seq: l.seq}).with(kept)
}

// upTo returns the layer as it was after the fact seq.
func (l *layer) upTo(seq int) *layer {
	if l.seq <= seq {
		return l
	}
	return (&layer{seq: seq}).with(slices.DeleteFunc(slices.Clone(l.facts), func(f Fact) bool { return f.Seq > seq }))
}

// of returns the fact about the same as f, or nil.
func (l *layer) of(f *Fact) *Fact {
	if i, ok := l.triples[f.triple()]; ok {
		return &l.facts[i]
	}
	return nil
}

// edges returns the facts of these relations that begin or end at one of ids, each once.
func (l *layer) edges(ids []string, along Direction, relations []Relation) []Fact {
	if len(l.facts) == 0 {
		return nil
	}
	var found []int
	for _, id := range ids {
		for _, i := range l.touching[id] {
			f := &l.facts[i]
			if (along&Up != 0 && f.Subject == id || along&Down != 0 && f.Object == id) && slices.Contains(relations, f.Relation) {
				found = append(found, i)
			}
		}
	}
	slices.Sort(found)
	var facts []Fact
	for _, i := range slices.Compact(found) {
		facts = append(facts, l.facts[i])
	}
	return facts
}

// contiguous reports whether facts go on from after, one by one, up to last or beyond.
func contiguous(facts []Fact, after, last int) bool {
	for i, f := range facts {
		if f.Seq != after+1+i {
			return false
		}
	}
	return after+len(facts) >= last
}
