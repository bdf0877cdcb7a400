package analysis

import (
	"context"
	"io"
	"time"
)

// The bounds of a model that a user brings. GET /v1/limits publishes them.
const (
	// MaxModelBytes bounds the weights.
	MaxModelBytes = 256 << 20
	// MaxCardBytes bounds the model card.
	MaxCardBytes = 64 << 10
	// MaxModelVersions bounds the versions of all models that a tenant keeps.
	MaxModelVersions = 64
	// MaxModelsLoaded is how many models are held ready at once; the one that was used least recently makes room.
	MaxModelsLoaded = 4
	// MaxModelMemory bounds what a model's process may allocate, the weights included.
	MaxModelMemory = 2 << 30
	// MaxModelLoadTime bounds reading and checking a model.
	MaxModelLoadTime = 30 * time.Second
	// MaxModelForwardTime bounds one forward pass.
	MaxModelForwardTime = 10 * time.Second
)

// ModelVersion is one version of a model that a user brought. It never changes.
type ModelVersion struct {
	ID        string
	Version   int // 1 for the first of its name; a number is never given twice
	Card      ModelCard
	Bytes     int64 // of the weights
	CreatedAt time.Time
}

// Digest identifies the weights, as the digests of the platform's own models do.
func (v *ModelVersion) Digest() string { return "sha256:" + v.Card.SHA256 }

// BroughtModel names the model that a result is of, if a user brought it.
type BroughtModel struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
	Licence string `json:"licence"`
}

// Weights are the bytes of a model on their way into the store, in a file that nothing refers to yet.
type Weights interface {
	// ID is the id of the version that the weights are to be.
	ID() string
	// SHA256 is the digest, in lower-case hex, and Bytes the size of what was read.
	SHA256() string
	Bytes() int64
	// Open returns the weights from their beginning. The caller closes them.
	Open() (io.ReadCloser, error)
	// Discard removes the weights unless CreateModel took them. It may be called more than once.
	Discard() error
}

// ModelStore keeps the models that users brought, each visible to the context's tenant alone, as Store keeps studies.
type ModelStore interface {
	// StageWeights reads weights to their end. More than MaxModelBytes are TooLarge, and nothing stays.
	StageWeights(ctx context.Context, weights io.Reader) (Weights, error)
	// CreateModel stores card and weights as the next version of the card's name. More than MaxModelVersions are a
	// Conflict.
	CreateModel(ctx context.Context, card *ModelCard, weights Weights) (*ModelVersion, error)
	// Models returns every version of every model, by name and from the newest version to the oldest.
	Models(ctx context.Context) ([]ModelVersion, error)
	// Model returns one version; 0 stands for the newest.
	Model(ctx context.Context, name string, version int) (*ModelVersion, error)
	// DeleteModel removes one version, or all of them for 0, with the bytes that nothing else holds, and returns the
	// ids of what it removed. Reports that were written with it stay.
	DeleteModel(ctx context.Context, name string, version int) (ids []string, err error)
	// OpenModel returns a version's weights. The caller closes them.
	OpenModel(ctx context.Context, version *ModelVersion) (io.ReadCloser, error)
}

// Judgement is what a model that a user brought makes of one study.
type Judgement struct {
	// Logits has one finite value for each label of the card.
	Logits []float32
	Notes  []Note
}

// ModelRunner holds models that users brought and runs them, each apart from everything else. It knows a model by the
// id of its version and keeps nothing over a restart.
type ModelRunner interface {
	// LoadModel checks a model by a forward pass and holds it ready; one that is held already is only marked as used.
	// Weights that do not fit the card or their digest, or that do what a model may not do, are InvalidArgument with
	// the field of the card or "weights"; Overloaded if every model that is held is at work.
	LoadModel(ctx context.Context, version *ModelVersion, weights io.Reader) error
	// UnloadModel lets go of a model; one that is not held is no error.
	UnloadModel(ctx context.Context, id string) error
	// LoadedModels returns the ids of the models that are held.
	LoadedModels(ctx context.Context) ([]string, error)
	// RunModel judges one encoded picture and, if the card has the modality text, the vector of the note (384). A model
	// that is not held is NotFound with the field "model"; one that fails is BadUpstream.
	RunModel(ctx context.Context, id string, image []byte, text []float32) (*Judgement, error)
}
