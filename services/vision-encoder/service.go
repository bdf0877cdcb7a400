// Package visionencoder is the service that turns pictures into a pooled vector and a grid of vectors.
package visionencoder

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sync/semaphore"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/media"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/internal/weights"
)

// probePicture and probeGolden are a picture and the vector that PyTorch gives it, see testdata/make_golden.py.
var (
	//go:embed probe.png
	probePicture []byte
	//go:embed probe.safetensors
	probeGolden []byte
)

// radiographWeights is the top that was trained on radiographs, and radiographProbe the vector that it gave probePicture
// when it was made; `go test -update` in this folder writes that.
var (
	//go:embed weights/radiographs.safetensors
	radiographWeights []byte
	//go:embed weights/radiographs.probe.safetensors
	radiographProbe []byte
)

// int8Record is what the layers gave on the pictures of Calibrate, for 8 bits (weights/int8.md).
//
//go:embed weights/int8.safetensors
var int8Record []byte

// arithmetic8 names how the nets of 8 bits compute, for the digest.
const arithmetic8 = "8 bits a channel; 6/255 where clipped"

// Service is the net with its two encoders. Pictures are decoded on goroutines of their own, within decodeMemory, so
// that the tensor threads only run the net.
type Service struct {
	opt     tensor.Options
	engines chan *tensor.Engine // those that are free; each has the same weights
	model   *efficientnet.Model
	fast    chan *efficientnet.Fast // runs in place of model where the processor has the instructions; else nil
	least   float64                 // cosine of a probe
	memory  *semaphore.Weighted
	decoder *batch.Batcher[upload, picture]
	models  *Repository
	stopped sync.Once
	// The published top of the net, and that for radiographs.
	*Encoder
	radiographs *Encoder
	masks       *Segmenter
	folds       []*Segmenter // of Folds
}

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

// New loads the net. Close ends the service.
func New(cfg Config) (*Service, error) {
	opt, err := tensor.ParseOptions(cfg.Device, cfg.GPUPrecision)
	if err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	return newOn(cfg, opt)
}

// newOn loads the nets where, and in the precision that, opt says.
func newOn(cfg Config, opt tensor.Options) (*Service, error) {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	s := &Service{opt: opt, least: minProbeCosines[opt.Rounding()], memory: semaphore.NewWeighted(decodeMemory)}
	how := [][]byte{[]byte(media.ImagePreprocessing)} // beside the weights, for the digest
	if cfg.Precision == analysis.Int8 {
		if opt.Device != tensor.CPU {
			return nil, fmt.Errorf("start the vision encoder: %s runs on the device cpu, found %s", analysis.Int8, cfg.Device)
		}
		if !HasInt8() {
			return nil, fmt.Errorf("start the vision encoder: %s needs a processor with AVX-512 and VNNI; %s runs on any", analysis.Int8, analysis.FP32)
		}
		how, s.least = append([][]byte{int8Record, []byte(arithmetic8)}, how...), minProbeCosine8
	}
	s.Encoder = &Encoder{service: s, name: "vision encoder", digest: opt.Digest(append([][]byte{file}, how...)...)}
	s.radiographs = &Encoder{service: s, name: "radiograph encoder", digest: opt.Digest(append([][]byte{file, radiographWeights}, how...)...)}
	if s.probe, err = readProbe(probeGolden); err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	if s.radiographs.probe, err = readProbe(radiographProbe); err != nil {
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	second, _, err := tensor.DecodeSafetensors(radiographWeights)
	if err != nil {
		return nil, fmt.Errorf("read the weights for radiographs: %w", err)
	}
	threads := cfg.Threads
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	workers, most := threads, 1
	if opt.Device != tensor.CPU {
		workers = 1 // it computes batches instead
	}
	level := kernels.Best()
	onKernels := opt.OnProcessor() && level > kernels.Plain
	s.engines = make(chan *tensor.Engine, workers)
	for range workers {
		s.engines <- tensor.NewEngine(tensor.Options{Device: opt.Device, Precision: opt.Precision, Threads: 1})
	}
	err = s.do(context.Background(), func(a *tensor.Arena) (err error) {
		if s.model, err = efficientnet.Load(a, path); err == nil {
			s.top, s.radiographs.top = s.model.Top(), efficientnet.LoadTop(a, second)
		}
		if err == nil && onKernels {
			err = s.toKernels(a, min(threads, maxThreads), level, cfg.Precision)
		}
		most = a.MaxCost(pictureBytes, most, MaxImages)
		return err
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	for _, e := range []*Encoder{s.Encoder, s.radiographs} {
		most, workers := most, workers
		if onKernels {
			most, workers = efficientnet.FastImages, 1
		}
		e.batcher = batch.New(batch.Config{MaxCost: most, Queue: queue, Workers: workers},
			func([]float32) int { return 1 }, batch.Halving(tensor.ErrMemory, e.encodeBatch))
	}
	if s.masks, err = newSegmenter(s, lesionWeights, workers, threads); err != nil {
		s.stop()
		return nil, fmt.Errorf("start the vision encoder: %w", err)
	}
	s.models = newRepository(s.decoded)
	s.decoder = batch.New(batch.Config{MaxCost: 1, Queue: queue, Workers: threads},
		func(upload) int { return 1 }, s.decodeBatch)
	return s, nil
}

// toKernels moves the net and its tops to the kernels.
func (s *Service) toKernels(a *tensor.Arena, threads int, level kernels.Level, precision analysis.Precision) error {
	var f *efficientnet.Fast
	if precision == analysis.Int8 {
		seen, err := readRecords()
		if err != nil {
			return err
		}
		f = efficientnet.NewFast8(a, s.model, seen.trunk, threads, level)
		s.Encoder.fast, s.radiographs.fast = f.NewFastTop8(a, s.top, seen.top), f.NewFastTop8(a, s.radiographs.top, seen.radiographs)
		s.Encoder.record, s.radiographs.record = seen.figures[published], seen.figures[radiographs]
	} else {
		f = efficientnet.NewFast(a, s.model, threads, level)
		s.Encoder.fast, s.radiographs.fast = efficientnet.NewFastTop(a, s.top), efficientnet.NewFastTop(a, s.radiographs.top)
	}
	s.fast = make(chan *efficientnet.Fast, 1)
	s.fast <- f
	s.freeModel(a)
	return nil
}

// freeModel frees libtorch's form of the net and of its tops.
func (s *Service) freeModel(a *tensor.Arena) {
	if s.model != nil {
		s.model.Free(a)
	}
	if s.radiographs.top != nil {
		s.radiographs.top.Free(a)
	}
	s.model, s.top, s.radiographs.top = nil, nil, nil
}

// readProbe returns the vector that a file holds.
func readProbe(file []byte) ([]float32, error) {
	raw, _, err := tensor.DecodeSafetensors(file)
	if err != nil {
		return nil, fmt.Errorf("read a probe's vector: %w", err)
	}
	return raw["vector"].Values, nil
}

// Radiographs is the encoder of chest radiographs. It lives as long as s.
func (s *Service) Radiographs() *Encoder { return s.radiographs }

// Segmenter finds organs and lesions. It lives as long as s.
func (s *Service) Segmenter() *Segmenter { return s.masks }

// Models holds the models that users brought.
func (s *Service) Models() *Repository { return s.models }

// Close takes no more calls, waits for those that are running, frees the net and ends the models that users brought. It
// may be called more than once.
func (s *Service) Close() error {
	s.decoder.Close()
	s.batcher.Close()
	s.radiographs.batcher.Close()
	for _, g := range append(s.folds, s.masks) {
		g.close()
	}
	s.stopped.Do(s.stop)
	return s.models.Close()
}

// stop frees the nets, once no engine computes with them, and ends the engines.
func (s *Service) stop() {
	engines := make([]*tensor.Engine, cap(s.engines))
	for i := range engines {
		engines[i] = <-s.engines
	}
	_ = engines[0].Do(context.Background(), func(a *tensor.Arena) error {
		s.freeModel(a)
		for _, g := range append(s.folds, s.masks) {
			if g != nil { // the service did not come so far
				g.free(a)
			}
		}
		return nil
	})
	if s.fast != nil {
		f := <-s.fast
		f.Free()
		s.Encoder.fast.Free()
		s.radiographs.fast.Free()
		s.fast <- nil // for who comes too late
	}
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
