package knowledge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"consilium/internal/analysis"
)

const (
	maxAnswers = 512 // answers that are remembered; each holds MaxTerms terms at most
	maxLayers  = 64  // dynamic layers that are held; each holds MaxFacts facts at most
)

// Graph answers questions about both layers and takes facts. It is safe for concurrent use, also by several processes on
// one journal: each call reads from the journal which state is current and then sees this state alone.
type Graph struct {
	static  Static
	journal Journal
	memory  Memory // nil if there is none
	log     *slog.Logger

	answers *lru.Cache[string, any]
	layers  *lru.Cache[string, *layer]
	writing *semaphore.Weighted // one at a time: fewer attempts than if the writers of one process raced each other
}

// New returns a graph; memory may be nil.
func New(static Static, journal Journal, memory Memory, log *slog.Logger) (*Graph, error) {
	answers, err := lru.New[string, any](maxAnswers)
	if err != nil {
		return nil, fmt.Errorf("make the cache of answers: %w", err)
	}
	layers, err := lru.New[string, *layer](maxLayers)
	if err != nil {
		return nil, fmt.Errorf("make the cache of layers: %w", err)
	}
	return &Graph{static: static, journal: journal, memory: memory, log: log, answers: answers, layers: layers, writing: semaphore.NewWeighted(1)}, nil
}

// Ready returns an error unless the static layer answers.
func (g *Graph) Ready(ctx context.Context) error { return g.static.Ready(ctx) }

// Forget empties the caches of this process.
func (g *Graph) Forget() {
	g.answers.Purge()
	g.layers.Purge()
}

// head reads the state of a version, the current one for 0.
func (g *Graph) head(ctx context.Context, version int) (Head, error) {
	head, err := g.journal.Head(ctx, version)
	if err == nil && head.Release == "" {
		err = analysis.Errorf(analysis.Unavailable, "no knowledge is loaded")
	}
	return head, err
}

// view reads the dynamic layer of a state: from this process, else from the memory that processes share, else from the
// journal, each going on where the one before ends.
func (g *Graph) view(ctx context.Context, head Head) (*view, error) {
	held, ok := g.layers.Get(head.ID)
	if !ok {
		held = &layer{}
	}
	if held.seq < head.Seq {
		var more []Fact
		if g.memory != nil {
			more = g.memory.Facts(ctx, head, held.seq)
		}
		if !contiguous(more, held.seq, head.Seq) {
			var err error
			if more, err = g.journal.Facts(ctx, head.Version, held.seq); err != nil {
				return nil, err
			}
			if !contiguous(more, held.seq, head.Seq) {
				return nil, fmt.Errorf("read the facts of version %d: the journal has %d of %d", head.Version, held.seq+len(more), head.Seq)
			}
			if g.memory != nil {
				g.memory.Remember(ctx, head, more)
			}
		}
		held = held.with(more)
		g.layers.Add(head.ID, held)
	}
	return &view{static: g.static, head: head, layer: held.upTo(head.Seq)}, nil
}

// answer returns what ask says about a state, from the cache if it was asked before.
func answer[T any](ctx context.Context, g *Graph, version int, question string, ask func(*view) (T, error)) (T, error) {
	var zero T
	head, err := g.head(ctx, version)
	if err != nil {
		return zero, err
	}
	// A version's id tells its tenant; without a version there is the static layer alone, which is everybody's.
	key := fmt.Sprintf("%s %d %s %s", head.ID, head.Seq, head.Release, question)
	if held, ok := g.answers.Get(key); ok {
		if found, ok := held.(T); ok {
			return found, nil
		}
	}
	v, err := g.view(ctx, head)
	if err != nil {
		return zero, err
	}
	found, err := ask(v)
	if err != nil {
		return zero, err
	}
	g.answers.Add(key, found)
	return found, nil
}

// Term returns one term; analysis.NotFound if there is none.
func (g *Graph) Term(ctx context.Context, id string) (*Term, error) {
	return answer(ctx, g, 0, "term "+id, func(v *view) (*Term, error) {
		terms, err := g.static.Terms(ctx, v.head.Release, []string{id})
		if err != nil {
			return nil, err
		}
		if len(terms) == 0 {
			return nil, noTerm("term_id", id)
		}
		return &terms[0], nil
	})
}

// Find returns terms that have a name or a synonym that begins with text; whole names come first.
func (g *Graph) Find(ctx context.Context, text string, limit int) ([]Term, error) {
	key := Key(text)
	switch {
	case key == "":
		return nil, analysis.Invalid("q", "there is nothing to look for")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return nil, analysis.Invalid("q", "the name is not UTF-8, or holds a NUL")
	case len(text) > MaxQueryBytes:
		return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: "q", Message: "the name is too long", Limit: fmt.Sprintf("%d bytes", MaxQueryBytes), Value: fmt.Sprintf("%d bytes", len(text))}
	}
	if err := inRange("limit", limit, MaxTerms); err != nil {
		return nil, err
	}
	return answer(ctx, g, 0, fmt.Sprintf("find %d %s", limit, key), func(v *view) ([]Term, error) {
		return g.static.Find(ctx, v.head.Release, key, limit)
	})
}

// Around returns the terms around those of a query.
func (g *Graph) Around(ctx context.Context, q Query) (*Subgraph, error) {
	if len(q.Relations) == 0 {
		q.Relations = Relations
	}
	if q.Along&Both == 0 {
		q.Along = Both
	}
	if err := errors.Join(inRange("depth", q.Depth, MaxDepth), inRange("limit", q.Limit, MaxTerms), inRange("terms", len(q.Terms), MaxStarts)); err != nil {
		return nil, err
	}
	q.Terms, q.Relations = slices.Clone(q.Terms), slices.Clone(q.Relations)
	slices.Sort(q.Terms)
	slices.Sort(q.Relations)
	question := fmt.Sprintf("around %q %v %d %d %d", q.Terms, q.Relations, q.Along, q.Depth, q.Limit)
	return answer(ctx, g, q.Version, question, func(v *view) (*Subgraph, error) { return v.around(ctx, &q) })
}

// Path returns a shortest path of at most depth edges.
func (g *Graph) Path(ctx context.Context, from, to string, depth, version int) (*Path, error) {
	if err := inRange("depth", depth, MaxPathDepth); err != nil {
		return nil, err
	}
	return answer(ctx, g, version, fmt.Sprintf("path %q %q %d", from, to, depth), func(v *view) (*Path, error) { return v.path(ctx, from, to, depth) })
}

// Facts returns the facts of a version after the one with the Seq after, at most limit.
func (g *Graph) Facts(ctx context.Context, version, after, limit int) (Head, []Fact, error) {
	head, err := g.head(ctx, version)
	if err != nil {
		return head, nil, err
	}
	v, err := g.view(ctx, head)
	if err != nil {
		return head, nil, err
	}
	facts := v.layer.facts[min(max(0, after), len(v.layer.facts)):]
	return head, facts[:min(limit, len(facts))], nil
}

// Fact returns one fact of the current version; analysis.NotFound if there is none.
func (g *Graph) Fact(ctx context.Context, id string) (*Fact, error) {
	_, facts, err := g.Facts(ctx, 0, 0, MaxFacts)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(facts, func(f Fact) bool { return f.ID == id }); i >= 0 {
		return &facts[i], nil
	}
	return nil, noFact(id)
}

func noFact(id string) error {
	return &analysis.Error{Code: analysis.NotFound, Field: "fact_id", Message: "no such fact", Value: clip(id)}
}

// Versions returns the versions of the tenant's graph, newest first: at least the one that is read now.
func (g *Graph) Versions(ctx context.Context) ([]Version, error) {
	kept, err := g.journal.Versions(ctx)
	if err != nil || len(kept) > 0 {
		return kept, err
	}
	head, err := g.head(ctx, 0)
	if err != nil {
		return nil, err
	}
	return []Version{{Number: head.Version, Release: head.Release, Current: true, Reason: "the static layer alone"}}, nil
}

func inRange(field string, n, most int) error {
	if n < 1 || n > most {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: field, Message: "the number is out of range", Limit: fmt.Sprintf("1 to %d", most), Value: strconv.Itoa(n)}
	}
	return nil
}
