package knowledge

import (
	"context"
	"time"
)

// Direction is the way along edges.
type Direction int

// Up goes from subject to object, from a disease to what it is a kind of. Down goes back.
const (
	Up Direction = 1 << iota
	Down
	Both = Up | Down
)

// Static keeps releases of the static layer, each under its digest. It is safe for concurrent use. When the
// storage is down a call returns analysis.Unavailable. Package knowledgetest tests every implementation.
type Static interface {
	// Load stores a release. Nobody sees a part of it: Has says yes when all of it is there. A release that is
	// stored already is no error.
	Load(ctx context.Context, release *Release) error
	// Has reports whether a release is stored.
	Has(ctx context.Context, release string) (bool, error)
	// Keep deletes every release but these.
	Keep(ctx context.Context, releases []string) error
	// Terms returns those of the named terms that exist, sorted by id, with synonyms and phrases.
	Terms(ctx context.Context, release string, ids []string) ([]Term, error)
	// Find returns at most limit terms with a name, synonym or phrase whose key, as Key makes it, begins with key: those with exactly this
	// key first, then those where a shorter name matches, then by id.
	Find(ctx context.Context, release, key string, limit int) ([]Term, error)
	// Edges returns at most limit edges of these relations that begin (Up) or end (Down) at one of ids, each once,
	// sorted by subject, relation and object.
	Edges(ctx context.Context, release string, ids []string, along Direction, relations []Relation, limit int) ([]Fact, error)
	// Ready returns an error unless the storage answers.
	Ready(ctx context.Context) error
}

// Head is a state of a tenant's graph: a version, how many facts of its journal belong to it, and the release of the
// static layer below it.
type Head struct {
	ID      string // of the version, in any database; "" before the first fact
	Version int
	Seq     int
	Release string
}

// Version is one version of a tenant's graph.
type Version struct {
	Number    int
	Release   string
	Facts     int
	Current   bool
	Reason    string // why it was built
	Removed   []Fact // facts of the version before that are not in this one
	CreatedAt time.Time
}

// Journal keeps the facts of each tenant, the context's, and what is current. What was stored survives everything but the
// loss of the database. When it is down a call returns analysis.Unavailable.
type Journal interface {
	// Head returns the state of a version, of the current one for 0; analysis.NotFound if it is not kept.
	Head(ctx context.Context, version int) (Head, error)
	// Facts returns the facts of a version whose Seq is more than after, in order.
	Facts(ctx context.Context, version, after int) ([]Fact, error)
	// Append stores fact as the next of head's version, sets its ID, Seq and CreatedAt, and returns the head from then
	// on. ok is false, and nothing is stored, if head is not current any more.
	Append(ctx context.Context, head Head, fact *Fact) (next Head, ok bool, err error)
	// Swap stores facts as a new version on a release and makes it current, all at once. It numbers the facts, and one
	// without ID gets one. ok is false, and nothing is stored, if head is not current any more.
	Swap(ctx context.Context, head Head, release, reason string, facts, removed []Fact) (next Head, ok bool, err error)
	// Versions returns the versions that are kept, newest first; none before the first fact.
	Versions(ctx context.Context) ([]Version, error)

	// SetRelease makes a release the one that graphs without a version stand on.
	SetRelease(ctx context.Context, release *Release) error
	// Release returns that release's digest, "" if there is none.
	Release(ctx context.Context) (string, error)
	// Behind returns the tenants whose current version stands on another release.
	Behind(ctx context.Context, release string) ([]string, error)
	// Used returns every release that a kept version or nobody's version stands on.
	Used(ctx context.Context) ([]string, error)
}

// Memory holds the facts of each tenant close at hand. It may lose any of them at any time: the journal has them all.
type Memory interface {
	// Facts returns what it has of the facts of head's version with a Seq of more than after, in order.
	Facts(ctx context.Context, head Head, after int) []Fact
	// Remember takes facts of head's version.
	Remember(ctx context.Context, head Head, facts []Fact)
}
