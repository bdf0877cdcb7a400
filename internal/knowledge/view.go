package knowledge

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"consilium/internal/analysis"
)

// view is one state of the graph, both layers fused.
type view struct {
	static Static
	head   Head
	layer  *layer
}

const (
	// maxEdges is how many edges one step of a search reads.
	maxEdges = 20000
	// maxClosure is how many terms verification looks at: all that are above or below others.
	maxClosure = 100000
	// maxVisited is how many terms the search for a path looks at.
	maxVisited = 20000
)

func compareFacts(a, b Fact) int {
	return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Relation, b.Relation), cmp.Compare(a.Object, b.Object))
}

// edges returns the facts of both layers that begin or end at one of ids, sorted. more says that some were left out.
func (v *view) edges(ctx context.Context, ids []string, along Direction, relations []Relation, limit int) (facts []Fact, more bool, err error) {
	facts, err = v.static.Edges(ctx, v.head.Release, ids, along, relations, limit+1)
	if err != nil {
		return nil, false, err
	}
	if added := v.layer.edges(ids, along, relations); len(added) > 0 {
		facts = append(slices.Clip(facts), added...)
		slices.SortStableFunc(facts, compareFacts)
	}
	if len(facts) > limit {
		return facts[:limit], true, nil
	}
	return facts, false, nil
}

// other returns the ends of an edge that a search along it reaches from the terms in from.
func other(f *Fact, along Direction, from map[string]bool) []string {
	var ends []string
	if along&Up != 0 && from[f.Subject] {
		ends = append(ends, f.Object)
	}
	if along&Down != 0 && from[f.Object] {
		ends = append(ends, f.Subject)
	}
	return ends
}

func set(ids []string) map[string]bool {
	m := make(map[string]bool, len(ids))
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// closure is every term above or below some, with the fact that led to each.
type closure struct {
	via   map[string]*Fact // nil for where it began
	order []string
}

func (c *closure) has(id string) bool { _, ok := c.via[id]; return ok }

// path returns the facts between id and where the closure began, those nearest to id first.
func (c *closure) path(id string) []Fact {
	var facts []Fact
	for f := c.via[id]; f != nil; f = c.via[id] {
		facts = append(facts, *f)
		if id == f.Subject {
			id = f.Object
		} else {
			id = f.Subject
		}
	}
	return facts
}

// closure follows is-a edges from start to their end.
func (v *view) closure(ctx context.Context, start string, along Direction) (*closure, error) {
	c := &closure{via: map[string]*Fact{start: nil}, order: []string{start}}
	for frontier := c.order; len(frontier) > 0; {
		facts, more, err := v.edges(ctx, frontier, along, []Relation{IsA}, maxClosure)
		if err != nil {
			return nil, err
		}
		from, before := set(frontier), len(c.order)
		for i := range facts {
			if facts[i].Negated {
				continue
			}
			for _, id := range other(&facts[i], along, from) {
				if !c.has(id) {
					c.via[id], c.order = &facts[i], append(c.order, id)
				}
			}
		}
		if more || len(c.order) > maxClosure {
			return nil, &analysis.Error{Code: analysis.TooLarge, Message: "too many terms hang on " + start + " to verify the fact",
				Limit: fmt.Sprintf("%d terms", maxClosure), Value: "more"}
		}
		frontier = c.order[before:]
	}
	return c, nil
}

// Query asks for the terms around others.
type Query struct {
	Terms     []string
	Along     Direction
	Relations []Relation // none for all
	Depth     int        // edges, 1 to MaxDepth
	Limit     int        // terms, 1 to MaxTerms
	Version   int        // of the graph, 0 for the current one
}

// Reached is a term with its distance from where a search began.
type Reached struct {
	Term
	Depth int
}

// Subgraph is a part of a version of the graph: terms by distance, then by id, and the facts that join them. Nobody may
// change it: others have the same.
type Subgraph struct {
	Head      Head
	Terms     []Reached
	Facts     []Fact
	Truncated bool // there are more terms within this depth
}

// around walks level by level. Negated facts are listed where both ends are reached, but not followed.
func (v *view) around(ctx context.Context, q *Query) (*Subgraph, error) {
	found := &Subgraph{Head: v.head}
	depth := map[string]int{}
	for _, id := range q.Terms {
		depth[id] = 0
	}
	if err := v.known(ctx, q.Terms, "term"); err != nil {
		return nil, err
	}
	var seen []Fact
	frontier := slices.Sorted(keysOf(depth))
	for level := 1; level <= q.Depth && len(frontier) > 0; level++ {
		facts, more, err := v.edges(ctx, frontier, q.Along, q.Relations, maxEdges)
		if err != nil {
			return nil, err
		}
		found.Truncated = found.Truncated || more
		seen = append(seen, facts...)
		from, next := set(frontier), map[string]bool{}
		for i := range facts {
			if facts[i].Negated {
				continue
			}
			for _, id := range other(&facts[i], q.Along, from) {
				if _, ok := depth[id]; !ok {
					next[id] = true
				}
			}
		}
		frontier = slices.Sorted(keysOf(next))
		if room := q.Limit - len(depth); len(frontier) > room {
			frontier, found.Truncated = frontier[:max(0, room)], true
		}
		for _, id := range frontier {
			depth[id] = level
		}
	}
	for _, f := range seen {
		_, subject := depth[f.Subject]
		if _, object := depth[f.Object]; subject && object {
			found.Facts = append(found.Facts, f)
		}
	}
	slices.SortStableFunc(found.Facts, compareFacts)
	found.Facts = slices.CompactFunc(found.Facts, func(a, b Fact) bool { return compareFacts(a, b) == 0 && a.ID == b.ID })
	terms, err := v.static.Terms(ctx, v.head.Release, slices.Sorted(keysOf(depth)))
	if err != nil {
		return nil, err
	}
	for _, t := range terms {
		found.Terms = append(found.Terms, Reached{t, depth[t.ID]})
	}
	slices.SortStableFunc(found.Terms, func(a, b Reached) int { return cmp.Compare(a.Depth, b.Depth) })
	return found, nil
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// known returns an error that names the first of ids that is no term.
func (v *view) known(ctx context.Context, ids []string, field string) error {
	terms, err := v.static.Terms(ctx, v.head.Release, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(terms, func(t Term) bool { return t.ID == id }) {
			return noTerm(field, id)
		}
	}
	return nil
}

func noTerm(field, id string) error {
	return &analysis.Error{Code: analysis.NotFound, Field: field, Message: "no such term", Value: clip(id)}
}

// Path is a shortest way between two terms, along edges of any relation and either direction.
type Path struct {
	Head     Head
	Found    bool
	Complete bool   // all within the depth was searched; if not, a path that was not found may exist
	Terms    []Term // from the first to the last
	Facts    []Fact // one less
}

// path searches from both ends, from the smaller side first.
func (v *view) path(ctx context.Context, from, to string, depth int) (*Path, error) {
	if err := v.known(ctx, []string{from}, "from"); err != nil {
		return nil, err
	}
	if err := v.known(ctx, []string{to}, "to"); err != nil {
		return nil, err
	}
	found := &Path{Head: v.head, Complete: true}
	sides := [2]*closure{{via: map[string]*Fact{from: nil}, order: []string{from}}, {via: map[string]*Fact{to: nil}, order: []string{to}}}
	frontiers := [2][]string{{from}, {to}}
	met := ""
	if from == to {
		met = from
	}
	for range depth {
		side := 0
		if len(frontiers[1]) < len(frontiers[0]) {
			side = 1
		}
		if met != "" || len(frontiers[side]) == 0 {
			break
		}
		here, there := sides[side], sides[1-side]
		facts, more, err := v.edges(ctx, frontiers[side], Both, Relations, maxEdges)
		if err != nil {
			return nil, err
		}
		start, before := set(frontiers[side]), len(here.order)
		for i := range facts {
			if facts[i].Negated {
				continue
			}
			for _, id := range other(&facts[i], Both, start) {
				if here.has(id) {
					continue
				}
				here.via[id], here.order = &facts[i], append(here.order, id)
				if met == "" && there.has(id) {
					met = id
				}
			}
		}
		frontiers[side] = here.order[before:]
		if met == "" && (more || len(here.order)+len(there.order) > maxVisited) {
			found.Complete = false
			break
		}
	}
	if met == "" {
		return found, nil
	}
	found.Found = true
	found.Facts = append(found.Facts, sides[0].path(met)...)
	slices.Reverse(found.Facts)
	found.Facts = append(found.Facts, sides[1].path(met)...)
	return found, v.nameTerms(ctx, found, from)
}

// nameTerms fills in the terms of a path.
func (v *view) nameTerms(ctx context.Context, p *Path, from string) error {
	ids := []string{from}
	for _, f := range p.Facts {
		last := ids[len(ids)-1]
		if f.Subject == last {
			ids = append(ids, f.Object)
		} else {
			ids = append(ids, f.Subject)
		}
	}
	terms, err := v.static.Terms(ctx, v.head.Release, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		i := slices.IndexFunc(terms, func(t Term) bool { return t.ID == id })
		if i < 0 {
			return fmt.Errorf("read the terms of a path: release %s has an edge to %s, which it lacks", v.head.Release, id)
		}
		p.Terms = append(p.Terms, terms[i])
	}
	return nil
}
