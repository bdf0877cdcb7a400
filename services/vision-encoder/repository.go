package visionencoder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/media"
	"consilium/internal/sandbox"
)

// Repository implements analysis.ModelRunner: models that users brought, each in a process of its own. At most
// analysis.MaxModelsLoaded are held; the one that was used least recently makes room for another.
type Repository struct {
	// decode calls use with a picture, within the bounds of the encoder's memory.
	decode func(image []byte, use func(*media.Decoded)) error
	// loading holds a token for each model that may be read and checked at the same time.
	loading chan struct{}

	mu     sync.Mutex
	held   map[string]*heldModel
	closed bool
}

var _ analysis.ModelRunner = (*Repository)(nil)

// heldModel is one model that is loaded.
type heldModel struct {
	version analysis.ModelVersion
	process *sandbox.Process
	used    time.Time
	calls   int // in progress
}

// maxLoading bounds the models that are checked at once: each takes a core, and its weights lie on disk meanwhile.
const maxLoading = 2

func newRepository(decode func([]byte, func(*media.Decoded)) error) *Repository {
	return &Repository{decode: decode, loading: make(chan struct{}, maxLoading), held: map[string]*heldModel{}}
}

// Close ends every model.
func (r *Repository) Close() error {
	r.mu.Lock()
	r.closed = true
	var errs []error
	for id, m := range r.held {
		errs = append(errs, m.process.Close())
		delete(r.held, id)
	}
	r.mu.Unlock()
	return errors.Join(errs...)
}

// LoadModel implements analysis.ModelRunner.
func (r *Repository) LoadModel(ctx context.Context, version *analysis.ModelVersion, weights io.Reader) error {
	if err := version.Card.Validate(); err != nil {
		return err
	}
	if r.touch(version.ID) {
		return nil
	}
	select {
	case r.loading <- struct{}{}:
		defer func() { <-r.loading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.touch(version.ID) { // somebody loaded it meanwhile
		return nil
	}
	file, err := spool(weights, version)
	if err != nil {
		return err
	}
	defer file.Close()
	process, err := sandbox.Start(ctx, sandbox.SpecOf(&version.Card), file)
	if err != nil {
		return err
	}
	if err := r.hold(version, process); err != nil {
		return errors.Join(err, process.Close())
	}
	return nil
}

// touch marks a model as used and reports whether it is held.
func (r *Repository) touch(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.held[id]
	if m == nil || !m.process.Alive() {
		return false
	}
	m.used = time.Now()
	return true
}

// spool writes the weights to a file without a name and checks their digest.
func spool(weights io.Reader, version *analysis.ModelVersion) (*os.File, error) {
	file, err := os.CreateTemp("", "model-*")
	if err != nil {
		return nil, fmt.Errorf("keep the weights of a model: %w", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, h), io.LimitReader(weights, analysis.MaxModelBytes+1))
	if err = errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the weights of a model: %w", err), file.Close())
	}
	found := hex.EncodeToString(h.Sum(nil))
	switch {
	case n == 0:
		err = analysis.Invalid("weights", "the weights are empty")
	case n > analysis.MaxModelBytes:
		err = &analysis.Error{Code: analysis.TooLarge, Field: "weights", Message: "the weights are too large",
			Limit: fmt.Sprintf("%d bytes", analysis.MaxModelBytes), Value: "more"}
	case found != version.Card.SHA256:
		e := analysis.Invalid("card.sha256", "the digest of the weights is another one")
		e.Limit, e.Value = version.Card.SHA256, found
		err = e
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// hold keeps a process, for which the least recently used one makes room.
func (r *Repository) hold(version *analysis.ModelVersion, process *sandbox.Process) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return analysis.Errorf(analysis.Unavailable, "the vision encoder is stopping")
	}
	if old := r.held[version.ID]; old != nil { // somebody was faster, or its process ended
		if old.process.Alive() {
			old.used = time.Now()
			return process.Close()
		}
		if err := r.drop(version.ID); err != nil {
			return err
		}
	}
	for id, m := range r.held {
		if !m.process.Alive() {
			if err := r.drop(id); err != nil {
				return err
			}
		}
	}
	if len(r.held) >= analysis.MaxModelsLoaded {
		oldest := ""
		for id, m := range r.held {
			if m.calls == 0 && (oldest == "" || m.used.Before(r.held[oldest].used)) {
				oldest = id
			}
		}
		if oldest == "" {
			return &analysis.Error{Code: analysis.Overloaded, Message: "every model that is loaded is at work",
				Limit: fmt.Sprintf("%d models", analysis.MaxModelsLoaded), Value: "more", RetryAfter: time.Second}
		}
		if err := r.drop(oldest); err != nil {
			return err
		}
	}
	r.held[version.ID] = &heldModel{version: *version, process: process, used: time.Now()}
	return nil
}

// drop ends a model. The caller holds the lock.
func (r *Repository) drop(id string) error {
	m := r.held[id]
	delete(r.held, id)
	return m.process.Close()
}

// UnloadModel implements analysis.ModelRunner. A forward pass in progress ends with it.
func (r *Repository) UnloadModel(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[id] == nil {
		return nil
	}
	return r.drop(id)
}

// LoadedModels implements analysis.ModelRunner.
func (r *Repository) LoadedModels(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := []string{}
	for id, m := range r.held {
		if m.process.Alive() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// RunModel implements analysis.ModelRunner.
func (r *Repository) RunModel(ctx context.Context, id string, image []byte, text []float32) (*analysis.Judgement, error) {
	m := r.begin(id)
	if m == nil {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "the model is not loaded", Value: id}
	}
	defer r.end(m)
	card := &m.version.Card
	if want := card.Reads(analysis.Text); want != (text != nil) || want && len(text) != analysis.TextDim {
		return nil, analysis.Invalid("text", "the model wants %d values of a note: %v, found %d", analysis.TextDim, want, len(text))
	}
	var input []float32
	var notes []analysis.Note
	err := r.decode(image, func(d *media.Decoded) {
		scale, offset := card.Input.Affine()
		input = media.Planes(d.Image, card.Input.Width, card.Input.Height, scale, offset)
		notes = append(d.Notes, resizeNotes(d, card)...)
	})
	if err != nil {
		return nil, err
	}
	logits, err := m.process.Forward(ctx, append(input, text...))
	if err != nil {
		return nil, err
	}
	return &analysis.Judgement{Logits: logits, Notes: notes}, nil
}

func resizeNotes(d *media.Decoded, card *analysis.ModelCard) []analysis.Note {
	size := d.Image.Bounds().Size()
	if size.X == card.Input.Width && size.Y == card.Input.Height {
		return nil
	}
	detail := fmt.Sprintf("from %d x %d to %d x %d pixels", size.X, size.Y, card.Input.Width, card.Input.Height)
	if size.X*card.Input.Height != size.Y*card.Input.Width {
		detail += ", which changes its proportions"
	}
	return []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: detail}}
}

// begin returns a model that is held, with one more call in progress; nil if it is not held.
func (r *Repository) begin(id string) *heldModel {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.held[id]
	if m == nil || !m.process.Alive() {
		return nil
	}
	m.used = time.Now()
	m.calls++
	return m
}

func (r *Repository) end(m *heldModel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.calls--
}
