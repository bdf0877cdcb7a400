package knowledge

import (
	"context"
	"slices"

	"consilium/internal/analysis"
)

// verdict is what the graph says about a new fact.
type verdict struct {
	known *Fact // the same fact, if the graph has it
	// inTheWay is the fact that contradicts it, and why says how.
	inTheWay *Fact
	why      string
}

// conflict is the error of a fact that something is in the way of.
func (d *verdict) conflict() error {
	return &analysis.Error{Code: analysis.Conflict, Field: "fact", Message: "the fact contradicts what is known: " + d.why, Value: d.inTheWay.String()}
}

// verify judges a new fact. The error is that of a fact that cannot be judged: with unknown terms, or of terms that its
// relation does not join.
func (v *view) verify(ctx context.Context, f *Fact) (*verdict, error) {
	terms, err := v.static.Terms(ctx, v.head.Release, []string{f.Subject, f.Object})
	if err != nil {
		return nil, err
	}
	kinds := map[string]Kind{}
	for _, t := range terms {
		kinds[t.ID] = t.Kind
	}
	for _, end := range []struct{ field, id string }{{"subject", f.Subject}, {"object", f.Object}} {
		if kinds[end.id] == "" {
			return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: end.field, Message: "the term is unknown", Value: end.id}
		}
	}
	if err := f.fits(kinds[f.Subject], kinds[f.Object]); err != nil {
		return nil, err
	}
	same, err := v.same(ctx, f)
	if err != nil {
		return nil, err
	}
	switch {
	case same != nil && same.Negated == f.Negated:
		return &verdict{known: same}, nil
	case same != nil:
		return &verdict{inTheWay: same, why: "the opposite is known"}, nil
	}
	switch {
	case f.Relation == IsA && f.Negated:
		return v.verifyNotIsA(ctx, f)
	case f.Relation == IsA:
		return v.verifyIsA(ctx, f)
	case f.Relation == DisjointWith && f.Negated:
		return v.verifyNotDisjoint(ctx, f)
	case f.Relation == DisjointWith:
		return v.verifyDisjoint(ctx, f)
	case f.Negated:
		return &verdict{}, nil
	case f.Relation == Suggests, f.Relation == SameAs:
		return v.verifyPossible(ctx, f)
	case f.Relation == RulesOut:
		return v.verifyImpossible(ctx, f)
	}
	return &verdict{}, nil
}

// same returns the fact about the same as f, of either layer.
func (v *view) same(ctx context.Context, f *Fact) (*Fact, error) {
	if added := v.layer.of(f); added != nil {
		return added, nil
	}
	facts, err := v.static.Edges(ctx, v.head.Release, []string{f.Subject}, Up, []Relation{f.Relation}, maxEdges)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(facts, func(e Fact) bool { return e.triple() == f.triple() }); i >= 0 {
		return &facts[i], nil
	}
	return nil, nil
}

// blame returns the fact that could be given up: an added one if there is any.
func blame(facts ...Fact) *Fact {
	for i := range facts {
		if !facts[i].Static() {
			return &facts[i]
		}
	}
	return &facts[0]
}

// closures returns the terms above or below each of two.
func (v *view) closures(ctx context.Context, a string, alongA Direction, b string, alongB Direction) (*closure, *closure, error) {
	first, err := v.closure(ctx, a, alongA)
	if err != nil {
		return nil, nil, err
	}
	second, err := v.closure(ctx, b, alongB)
	return first, second, err
}

// verifyIsA refuses a cycle, what contradicts a negated is-a, and a term below two that are disjoint.
func (v *view) verifyIsA(ctx context.Context, f *Fact) (*verdict, error) {
	above, below, err := v.closures(ctx, f.Object, Up, f.Subject, Down)
	if err != nil {
		return nil, err
	}
	if above.has(f.Subject) {
		return &verdict{inTheWay: blame(above.path(f.Subject)...), why: f.Object + " is already below " + f.Subject + ", so the is-a edges would run in a circle"}, nil
	}
	for i := range v.layer.facts {
		if n := &v.layer.facts[i]; n.Negated && n.Relation == IsA && below.has(n.Subject) && above.has(n.Object) {
			return &verdict{inTheWay: n, why: "it would follow that " + n.Subject + " is a " + n.Object}, nil
		}
	}
	disjoint, _, err := v.edges(ctx, above.order, Both, []Relation{DisjointWith}, maxEdges)
	if err != nil {
		return nil, err
	}
	for _, d := range disjoint {
		if d.Negated {
			continue
		}
		for _, away := range other(&d, Both, map[string]bool{d.Subject: above.has(d.Subject), d.Object: above.has(d.Object)}) {
			excluded, err := v.closure(ctx, away, Down)
			if err != nil {
				return nil, err
			}
			for _, id := range below.order {
				if excluded.has(id) {
					way := slices.Concat([]Fact{d}, excluded.path(id), below.path(id), above.path(end(&d, above)))
					return &verdict{inTheWay: blame(way...), why: id + " would be both a " + d.Subject + " and a " + d.Object + ", which are disjoint"}, nil
				}
			}
		}
	}
	return &verdict{}, nil
}

// verifyNotIsA refuses to deny what is-a edges say.
func (v *view) verifyNotIsA(ctx context.Context, f *Fact) (*verdict, error) {
	above, err := v.closure(ctx, f.Subject, Up)
	if err != nil {
		return nil, err
	}
	if above.has(f.Object) {
		return &verdict{inTheWay: blame(above.path(f.Object)...), why: f.Subject + " is a " + f.Object}, nil
	}
	return &verdict{}, nil
}

// verifyDisjoint refuses terms with something below both, and those of which a part is known not to be disjoint.
func (v *view) verifyDisjoint(ctx context.Context, f *Fact) (*verdict, error) {
	first, second, err := v.closures(ctx, f.Subject, Down, f.Object, Down)
	if err != nil {
		return nil, err
	}
	for _, id := range first.order {
		if second.has(id) {
			return &verdict{inTheWay: blame(append(first.path(id), second.path(id)...)...), why: id + " is both a " + f.Subject + " and a " + f.Object}, nil
		}
	}
	for i := range v.layer.facts {
		n := &v.layer.facts[i]
		if n.Negated && n.Relation == DisjointWith && (first.has(n.Subject) && second.has(n.Object) || first.has(n.Object) && second.has(n.Subject)) {
			return &verdict{inTheWay: n, why: "it would follow that " + n.Subject + " and " + n.Object + " are disjoint"}, nil
		}
	}
	return &verdict{}, nil
}

// verifyNotDisjoint refuses to deny a disjointness that follows from terms above.
func (v *view) verifyNotDisjoint(ctx context.Context, f *Fact) (*verdict, error) {
	first, second, err := v.closures(ctx, f.Subject, Up, f.Object, Up)
	if err != nil {
		return nil, err
	}
	disjoint, _, err := v.edges(ctx, first.order, Both, []Relation{DisjointWith}, maxEdges)
	if err != nil {
		return nil, err
	}
	for _, d := range disjoint {
		if !d.Negated && (first.has(d.Subject) && second.has(d.Object) || first.has(d.Object) && second.has(d.Subject)) {
			why := f.Subject + " and " + f.Object + " are below terms that are disjoint"
			return &verdict{inTheWay: blame(slices.Concat([]Fact{d}, first.path(end(&d, first)), second.path(end(&d, second)))...), why: why}, nil
		}
	}
	return &verdict{}, nil
}

// end returns the end of a fact that c has.
func end(f *Fact, c *closure) string {
	if c.has(f.Subject) {
		return f.Subject
	}
	return f.Object
}

// verifyPossible refuses that a finding suggests what it, or a finding that it is a kind of, rules out.
func (v *view) verifyPossible(ctx context.Context, f *Fact) (*verdict, error) {
	findings, diseases, err := v.closures(ctx, f.Subject, Up, f.Object, Up)
	if err != nil {
		return nil, err
	}
	return v.opposed(ctx, findings, diseases, []Relation{RulesOut})
}

// verifyImpossible refuses that a finding rules out what it, or a finding that is a kind of it, suggests.
func (v *view) verifyImpossible(ctx context.Context, f *Fact) (*verdict, error) {
	findings, diseases, err := v.closures(ctx, f.Subject, Down, f.Object, Down)
	if err != nil {
		return nil, err
	}
	return v.opposed(ctx, findings, diseases, []Relation{Suggests, SameAs})
}

// opposed looks for a fact of these relations from one of findings to one of diseases.
func (v *view) opposed(ctx context.Context, findings, diseases *closure, relations []Relation) (*verdict, error) {
	facts, _, err := v.edges(ctx, findings.order, Up, relations, maxEdges)
	if err != nil {
		return nil, err
	}
	for _, o := range facts {
		if !o.Negated && diseases.has(o.Object) {
			way := slices.Concat([]Fact{o}, findings.path(o.Subject), diseases.path(o.Object))
			return &verdict{inTheWay: blame(way...), why: o.Subject + " " + string(o.Relation) + " " + o.Object}, nil
		}
	}
	return &verdict{}, nil
}
