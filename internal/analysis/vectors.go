package analysis

import "context"

// VectorDim is the size of a vector of the space that text, image and sound share.
const VectorDim = 64

// Aligner brings features of any modality into one space, where what is alike is near.
type Aligner interface {
	// Align returns the unit vector (VectorDim) of features.
	Align(ctx context.Context, features *Features) ([]float32, error)
}

// Spaces names, for each modality, the models that make vectors now. Vectors of other models are not compared with them.
type Spaces map[Modality]string

// List returns the names.
func (s Spaces) List() []string {
	names := make([]string, 0, len(s))
	for _, name := range s {
		names = append(names, name)
	}
	return names
}

// Unindexed is an artefact that a study is to be found by, and that has no vector of the present models.
type Unindexed struct {
	Tenant, StudyID string
	Artefact        Artefact
}

// Vector is one that a study is found by.
type Vector struct {
	Modality Modality
	Values   []float32
}

// VectorQuery asks for the studies nearest to a vector.
type VectorQuery struct {
	Values []float32 // a unit vector
	Spaces Spaces
	// Filter chooses studies. Its modality is also that of the vectors that are compared.
	Filter StudyFilter
	// Without is the id of a study to leave out, "" for none.
	Without string
	// After is where the page begins, nil for the start.
	After *VectorHit
	Limit int
}

// VectorHit is a study with the nearest of its vectors.
type VectorHit struct {
	StudyID    string
	Modality   Modality
	ArtefactID string
	// Distance is 1 - cosine.
	Distance float64
}

// VectorStore keeps the vectors of studies, with the rules of Store.
type VectorStore interface {
	// WithUnindexed calls f with artefacts of all tenants that have no vector of spaces, at most limit, unless another
	// process is at it; the calls that f makes to the store are its own.
	WithUnindexed(ctx context.Context, spaces Spaces, limit int, f func([]Unindexed) error) error
	// SetVector stores the vector of an artefact, or the problem why there is none. An artefact that is gone or that a newer
	// one has replaced is no error.
	SetVector(ctx context.Context, of *Unindexed, space string, values []float32, problem string) error
	// Vectors returns the vectors of a study that are of spaces.
	Vectors(ctx context.Context, studyID string, spaces Spaces) ([]Vector, error)
	// SearchVectors returns the nearest studies, the nearest first; exact says that every vector was looked at.
	SearchVectors(ctx context.Context, query *VectorQuery) (hits []VectorHit, exact bool, err error)
	// PendingVectors returns how many vectors of the tenant are still to be made, counting no further than most.
	PendingVectors(ctx context.Context, spaces Spaces, most int) (int, error)
}
