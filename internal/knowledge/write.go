package knowledge

import (
	"context"
	"fmt"
	"slices"

	"consilium/internal/analysis"
)

// OnConflict says what happens to a fact that contradicts what is known.
type OnConflict string

// Refuse leaves the graph as it is. Rebuild builds a new version without the added facts that are in the way; what the
// static layer says is never given up.
const (
	Refuse  OnConflict = "refuse"
	Rebuild OnConflict = "rebuild"
)

const (
	// attempts is how often a writer begins again because another was faster.
	attempts = 16
	// maxRemoved is how many facts one new fact may take the place of.
	maxRemoved = 100
)

// Added is what became of a fact.
type Added struct {
	Fact    Fact
	Head    Head   // the state that holds it
	Known   bool   // the graph had it already; nothing was stored
	Removed []Fact // what a new version was built without
}

// Add verifies a fact and stores it. A fact that contradicts what is known is an analysis.Conflict that names the fact in
// the way, unless onConflict is Rebuild and only added facts are in the way.
func (g *Graph) Add(ctx context.Context, fact Fact, onConflict OnConflict) (*Added, error) {
	if err := fact.normalise(); err != nil {
		return nil, err
	}
	fact.ID, fact.Source, fact.Seq = "", "", 0
	if err := g.writing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer g.writing.Release(1)
	var added *Added
	err := g.retry(ctx, func(v *view) (done bool, err error) {
		added, done, err = g.add(ctx, v, fact, onConflict)
		return done, err
	})
	return added, err
}

// retry calls write on the current state until it says that it is done.
func (g *Graph) retry(ctx context.Context, write func(*view) (done bool, err error)) error {
	for range attempts {
		head, err := g.head(ctx, 0)
		if err != nil {
			return err
		}
		v, err := g.view(ctx, head)
		if err != nil {
			return err
		}
		if done, err := write(v); done || err != nil {
			return err
		}
	}
	return &analysis.Error{Code: analysis.Overloaded, Message: "too many facts are being added at once", Limit: fmt.Sprintf("%d attempts", attempts)}
}

func (g *Graph) add(ctx context.Context, v *view, fact Fact, onConflict OnConflict) (*Added, bool, error) {
	var removed []Fact
	kept := *v
	for {
		found, err := kept.verify(ctx, &fact)
		if err != nil {
			return nil, false, err
		}
		if found.known != nil && len(removed) == 0 {
			return &Added{Fact: *found.known, Head: v.head, Known: true}, true, nil
		}
		if found.inTheWay == nil {
			break
		}
		if found.inTheWay.Static() || onConflict != Rebuild {
			return nil, false, found.conflict()
		}
		if len(removed) == maxRemoved {
			return nil, false, &analysis.Error{Code: analysis.Conflict, Field: "fact", Message: "too many facts are in the way; the next is named",
				Limit: fmt.Sprintf("%d facts", maxRemoved), Value: found.inTheWay.String()}
		}
		removed = append(removed, *found.inTheWay)
		kept.layer = kept.layer.without(found.inTheWay.ID)
	}
	if len(kept.layer.facts) >= MaxFacts {
		return nil, false, &analysis.Error{Code: analysis.Conflict, Field: "fact", Message: "the graph holds as many added facts as it may; delete some",
			Limit: fmt.Sprintf("%d facts", MaxFacts), Value: fmt.Sprintf("%d facts and one more", len(kept.layer.facts))}
	}
	if len(removed) == 0 {
		head, ok, err := g.journal.Append(ctx, v.head, &fact)
		if err != nil || !ok {
			return nil, false, err
		}
		if g.memory != nil {
			g.memory.Remember(ctx, head, []Fact{fact})
		}
		return &Added{Fact: fact, Head: head}, true, nil
	}
	facts := append(slices.Clone(kept.layer.facts), fact)
	head, ok, err := g.journal.Swap(ctx, v.head, v.head.Release, "a new fact took the place of others", facts, removed)
	if err != nil || !ok {
		return nil, false, err
	}
	return &Added{Fact: facts[len(facts)-1], Head: head, Removed: removed}, true, nil
}

// Remove builds a version without a fact; analysis.NotFound if the current one does not have it.
func (g *Graph) Remove(ctx context.Context, id string) error {
	if err := g.writing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer g.writing.Release(1)
	return g.retry(ctx, func(v *view) (bool, error) {
		i := slices.IndexFunc(v.layer.facts, func(f Fact) bool { return f.ID == id })
		if i < 0 {
			return false, noFact(id)
		}
		removed := v.layer.facts[i]
		_, ok, err := g.journal.Swap(ctx, v.head, v.head.Release, "a fact was removed", v.layer.without(id).facts, []Fact{removed})
		return ok, err
	})
}

// Load makes a release the static layer. It is stored beside the one there is; then each tenant's facts are verified
// on it, one by one, and a version that leaves out what contradicts it takes the place of the tenant's version. Until then
// the tenant goes on reading the old one.
func (g *Graph) Load(ctx context.Context, release *Release) error {
	if err := g.static.Load(ctx, release); err != nil {
		return err
	}
	if err := g.journal.SetRelease(ctx, release); err != nil {
		return err
	}
	behind, err := g.journal.Behind(ctx, release.Digest)
	if err != nil {
		return err
	}
	for _, tenant := range behind {
		ctx := analysis.WithTenant(ctx, tenant)
		if err := g.retry(ctx, func(v *view) (bool, error) { return g.move(ctx, v, release.Digest) }); err != nil {
			return fmt.Errorf("rebuild the graph of %s on release %s: %w", tenant, release.Digest, err)
		}
	}
	used, err := g.journal.Used(ctx)
	if err != nil {
		return err
	}
	return g.static.Keep(ctx, used)
}

// LoadIfNone loads a release unless there is one. It is an error if that one is not in the store of the static layer: what was
// added to it would be lost on another.
func (g *Graph) LoadIfNone(ctx context.Context, release *Release) error {
	current, err := g.journal.Release(ctx)
	if err != nil {
		return err
	}
	if current == "" {
		return g.Load(ctx, release)
	}
	has, err := g.static.Has(ctx, current)
	switch {
	case err != nil || has:
		return err
	case current == release.Digest:
		return g.Load(ctx, release)
	}
	return fmt.Errorf("read the static layer of the knowledge graph: its store lacks the release %s, which has to be loaded from its folder", current)
}

// move builds a version of v's facts on another release.
func (g *Graph) move(ctx context.Context, v *view, release string) (bool, error) {
	if v.head.Release == release {
		return true, nil
	}
	next := &view{static: g.static, head: Head{Release: release}, layer: &layer{}}
	var removed []Fact
	for _, fact := range v.layer.facts {
		found, err := next.verify(ctx, &fact)
		switch {
		case analysis.CodeOf(err) == analysis.InvalidArgument: // a term is gone
			removed = append(removed, fact)
		case err != nil:
			return false, err
		case found.inTheWay != nil || found.known != nil:
			removed = append(removed, fact)
		default:
			next.layer = next.layer.with([]Fact{fact})
		}
	}
	_, ok, err := g.journal.Swap(ctx, v.head, release, "the static layer has a new release", next.layer.facts, removed)
	if ok {
		g.log.InfoContext(ctx, "knowledge moved to a new release", "tenant", analysis.Tenant(ctx), "release", release, "kept", len(next.layer.facts), "left_out", len(removed))
	}
	return ok, err
}
