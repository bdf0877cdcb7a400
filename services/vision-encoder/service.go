// Package visionencoder is the service that turns pictures into a pooled vector and a grid of vectors.
package visionencoder

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/semaphore"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/media"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// probePicture and probeGolden are a picture and the vector that PyTorch gives it, see testdata/make_golden.py.
var (
	//go:embed probe.png
	probePicture []byte
	//go:embed probe.safetensors
	probeGolden []byte
)

// minProbeCosine is far above what another picture reaches, and far below what rounding costs.
const minProbeCosine = 0.9999

// Service implements analysis.VisionEncoder. Pictures are decoded on goroutines of their own, within decodeMemory, so
// that the tensor threads only run the net.
type Service struct {
	engines chan *tensor.Engine // those that are free; each has the same weights
	model   *efficientnet.Model
	memory  *semaphore.Weighted
	decoder *batch.Batcher[upload, picture]
	encoder *batch.Batcher[[]float32, encoding]
	models  *Repository
	digest  string
	probe   []float32
	stopped sync.Once
}

var _ analysis.VisionEncoder = (*Service)(nil)

// upload is one picture of a call.
type upload struct {
	at    int // its position in the call
	bytes []byte
}

// picture is one that is ready for the net.
type picture struct {
	input []float32 // (3, 224, 224)
	notes []analysis.Note
}

// encoding is what the net makes of one picture.
type encoding struct {
	vector []float32 // (1280)
	tokens []float32 // (49, 1280)
}

// New loads the net. Close ends the service.
func New(cfg Config) (*Service, error) {
	device, err := tensor.ParseDevice(cfg.Device)
	if err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	s := &Service{memory: semaphore.NewWeighted(decodeMemory)}
	if s.digest, err = digest(path); err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	raw, _, err := tensor.DecodeSafetensors(probeGolden)
	if err != nil {
		return nil, fmt.Errorf("read the vision encoder's probe: %w", err)
	}
	s.probe = raw["vector"].Values
	threads := cfg.Threads
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	workers, most := threads, 1
	if device != tensor.CPU {
		workers, most = 1, cudaBatch
	}
	s.engines = make(chan *tensor.Engine, workers)
	for range workers {
		s.engines <- tensor.NewEngine(tensor.Options{Device: device, Threads: 1})
	}
	err = s.do(context.Background(), func(a *tensor.Arena) (err error) {
		s.model, err = efficientnet.Load(a, path)
		return err
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	s.encoder = batch.New(batch.Config{MaxCost: most, Queue: queue, Workers: workers},
		func([]float32) int { return 1 }, s.encodeBatch)
	s.models = newRepository(s.decoded)
	s.decoder = batch.New(batch.Config{MaxCost: 1, Queue: queue, Workers: threads},
		func(upload) int { return 1 }, s.decodeBatch)
	return s, nil
}

// digest identifies the weights and what happens to a picture before the net.
func digest(path string) (string, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, part := range [][]byte{file, []byte(media.ImagePreprocessing)} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// Digest identifies the weights and the preprocessing.
func (s *Service) Digest() string { return s.digest }

// Models holds the models that users brought.
func (s *Service) Models() *Repository { return s.models }

// Close takes no more calls, waits for those that are running, frees the net and ends the models that users brought. It
// may be called more than once.
func (s *Service) Close() error {
	s.decoder.Close()
	s.encoder.Close()
	s.stopped.Do(s.stop)
	return s.models.Close()
}

// stop frees the net, once no engine computes with it, and ends the engines.
func (s *Service) stop() {
	engines := make([]*tensor.Engine, cap(s.engines))
	for i := range engines {
		engines[i] = <-s.engines
	}
	_ = engines[0].Do(context.Background(), func(a *tensor.Arena) error {
		if s.model != nil {
			s.model.Free(a)
		}
		return nil
	})
	for _, e := range engines {
		e.Close()
		s.engines <- e // closed, for who comes too late
	}
}

// do runs fn on a free engine.
func (s *Service) do(ctx context.Context, fn func(*tensor.Arena) error) error {
	select {
	case e := <-s.engines:
		defer func() { s.engines <- e }()
		return e.Do(ctx, fn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// EncodeImage implements analysis.VisionEncoder. A call with more than MaxImages pictures is TooLarge.
func (s *Service) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	if len(images) > MaxImages {
		return nil, &analysis.Error{
			Code: analysis.TooLarge, Field: "image", Message: "there are too many pictures in one call",
			Limit: fmt.Sprintf("%d pictures", MaxImages), Value: fmt.Sprintf("%d pictures", len(images)),
		}
	}
	uploads := make([]upload, len(images))
	for i, b := range images { // every one, before any is decoded
		if _, err := media.CheckImage(b); err != nil {
			return nil, named(err, i)
		}
		uploads[i] = upload{at: i, bytes: b}
	}
	pictures, err := s.decoder.DoAll(ctx, uploads)
	if err != nil {
		return nil, fmt.Errorf("decode %d pictures: %w", len(images), err)
	}
	inputs := make([][]float32, len(pictures))
	for i, p := range pictures {
		inputs[i] = p.input
	}
	encodings, err := s.encoder.DoAll(ctx, inputs)
	if err != nil {
		return nil, fmt.Errorf("encode %d pictures: %w", len(images), err)
	}
	features := make([]*analysis.Features, len(images))
	for i, e := range encodings {
		features[i] = &analysis.Features{
			Modality: analysis.Image, Vector: e.vector,
			Tokens: e.tokens, TokenCount: efficientnet.Grid * efficientnet.Grid, TokenDim: efficientnet.Dim,
			Rows: efficientnet.Grid, Cols: efficientnet.Grid,
			Notes: pictures[i].notes, Model: s.digest,
		}
	}
	return features, nil
}

// named says which picture of a call an error is about.
func named(err error, i int) error {
	var e *analysis.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Field = "image[" + strconv.Itoa(i) + "]"
	return &c
}

// decodeBatch decodes pictures, waiting for the memory that each needs.
func (s *Service) decodeBatch(uploads []upload) ([]batch.Result[picture], error) {
	results := make([]batch.Result[picture], len(uploads))
	for i, u := range uploads {
		p, err := s.decode(u.bytes)
		if err != nil {
			err = named(err, u.at)
		}
		results[i] = batch.Result[picture]{Value: p, Err: err}
	}
	return results, nil
}

func (s *Service) decode(b []byte) (p picture, err error) {
	err = s.decoded(b, func(d *media.Decoded) {
		p = picture{
			input: media.ImageTensor(d.Image, efficientnet.Side),
			notes: append(d.Notes, media.ResizeNotes(d.Image, efficientnet.Side)...),
		}
	})
	return p, err
}

// decoded calls use with a decoded picture, while the memory that it needs is reserved.
func (s *Service) decoded(b []byte, use func(*media.Decoded)) error {
	header, err := media.CheckImage(b)
	if err != nil {
		return err
	}
	need := header.DecodeBytes()
	if err := s.memory.Acquire(context.Background(), need); err != nil {
		return err
	}
	defer s.memory.Release(need)
	d, err := media.DecodeImage(b)
	if err != nil {
		return err
	}
	use(d)
	return nil
}

// encodeBatch runs the net on pictures (3, 224, 224).
func (s *Service) encodeBatch(inputs [][]float32) ([]batch.Result[encoding], error) {
	encodings, err := s.forward(context.Background(), inputs)
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result[encoding], len(encodings))
	for i, e := range encodings {
		results[i].Value = e
	}
	return results, nil
}

func (s *Service) forward(ctx context.Context, inputs [][]float32) ([]encoding, error) {
	var vectors, tokens []float32
	err := s.do(ctx, func(a *tensor.Arena) error {
		x := a.FromFloat32(slices.Concat(inputs...), int64(len(inputs)), 3, efficientnet.Side, efficientnet.Side)
		features, grid := s.model.Forward(a, x)
		vectors, tokens = a.Float32s(features), a.Float32s(grid)
		return nil
	})
	if err != nil {
		return nil, err
	}
	encodings := make([]encoding, len(inputs))
	const v, t = efficientnet.Dim, efficientnet.Grid * efficientnet.Grid * efficientnet.Dim
	for i := range encodings {
		encodings[i] = encoding{vector: vectors[i*v : (i+1)*v], tokens: tokens[i*t : (i+1)*t]}
	}
	return encodings, nil
}

// Probe encodes one picture and compares its vector with the one that PyTorch computed. It waits for a tensor thread,
// but not in the queue.
func (s *Service) Probe(ctx context.Context) error {
	p, err := s.decode(probePicture)
	if err != nil {
		return fmt.Errorf("probe the vision encoder: %w", err)
	}
	encodings, err := s.forward(ctx, [][]float32{p.input})
	if err != nil {
		return fmt.Errorf("probe the vision encoder: %w", err)
	}
	if c := cosine(encodings[0].vector, s.probe); !(c >= minProbeCosine) {
		return fmt.Errorf("probe the vision encoder: the vector's cosine to the stored one is %.6f, want at least %v", c, minProbeCosine)
	}
	return nil
}

func cosine(x, y []float32) float64 {
	var xy, xx, yy float64
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		xy, xx, yy = xy+a*b, xx+a*a, yy+b*b
	}
	return xy / math.Sqrt(xx*yy)
}
