// Package audioencoder is the service that turns sounds into pooled and token vectors.
package audioencoder

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/media"
	"consilium/internal/model/wavenet"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/services/audio-encoder/weights"
)

// preprocessing names what happens in front of the weights. It is part of the digest, so that a change of it makes
// stored vectors old.
const preprocessing = "8 kHz; 64 log-mel bands, 25 ms every 10 ms, 60 dB below the peak; 30 s"

// probe is what testdata/make_golden.py wrote: the vector that PyTorch gives the sound of probeSamples.
//
//go:embed probe.safetensors
var probe []byte

// probeTolerances, by what is rounded to, are how far a value of the probe's vector, whose largest is about 1, may be off:
// processors differ.
var probeTolerances = map[string]float64{"": 5e-3, "float16": 1e-2, "bfloat16": 5e-2}

// Service implements analysis.AudioEncoder.
type Service struct {
	engine  *tensor.Engine
	params  *tensor.Params
	model   *wavenet.Model
	fast    *wavenet.Fast // runs in place of model where the processor has the instructions
	batcher *batch.Batcher[spectrogram, encoding]
	decode  chan struct{} // holds one value for each sound that is being decoded
	digest  string
	probe   []float32
	// tolerance is that of the probe, most what a batch may have of frames.
	tolerance float64
	most      int
}

var _ analysis.AudioEncoder = (*Service)(nil)

// spectrogram is the log-mel frames of one sound, (frames, MelBands).
type spectrogram struct {
	features []float32
	frames   int
}

// encoding is what the net makes of one spectrogram.
type encoding struct {
	vector []float32 // (VectorDim)
	tokens []float32 // (N, TokenDim)
}

// New loads the net. Close ends the service.
func New(cfg Config) (*Service, error) {
	opt, err := tensor.ParseOptions(cfg.Device, cfg.GPUPrecision)
	if err != nil {
		return nil, fmt.Errorf("start the audio encoder: %w", err)
	}
	return newOn(cfg, opt)
}

// newOn loads the net where, and in the precision that, opt says.
func newOn(cfg Config, opt tensor.Options) (*Service, error) {
	raw, _, err := tensor.DecodeSafetensors(probe)
	if err != nil {
		return nil, fmt.Errorf("read the audio encoder's probe: %w", err)
	}
	s := &Service{digest: opt.Digest(weights.WaveNet, []byte(preprocessing)), tolerance: probeTolerances[opt.Rounding()], most: batchFrames, decode: make(chan struct{}, decoders), probe: raw["vector"].Values}
	raw, metadata, err := tensor.DecodeSafetensors(weights.WaveNet)
	if err != nil {
		return nil, fmt.Errorf("read the audio encoder's weights: %w", err)
	}
	config, err := wavenet.ParseConfig(metadata)
	if err != nil {
		return nil, fmt.Errorf("start the audio encoder: %w", err)
	}
	if config.Bands != media.MelBands || config.Dim != TokenDim {
		return nil, fmt.Errorf("start the audio encoder: the weights are for %d bands and tokens of %d, want %d and %d",
			config.Bands, config.Dim, media.MelBands, TokenDim)
	}
	s.params = tensor.FromRaw(raw)
	opt.Threads = cfg.Threads
	s.engine = tensor.NewEngine(opt)
	if err := s.engine.Do(context.Background(), func(a *tensor.Arena) error {
		s.model = wavenet.New(a, s.params, config)
		if level := kernels.Best(); opt.OnProcessor() && level > kernels.Plain {
			s.fast = wavenet.NewFast(a, s.model, threads(cfg.Threads), level)
			s.params.Free(a)
		}
		s.most = a.MaxCost(frameBytes, s.most, MaxSounds*maxFrames)
		return nil
	}); err != nil {
		s.engine.Close()
		return nil, fmt.Errorf("load the audio encoder's weights: %w", err)
	}
	s.batcher = batch.New(batch.Config{MaxCost: s.most, Queue: queue, Workers: 1},
		func(x spectrogram) int { return x.frames }, batch.Halving(tensor.ErrMemory, s.runBatch))
	return s, nil
}

// threads returns how many threads compute together on the kernels of the processor.
func threads(setting int) int {
	if setting > 0 {
		return setting
	}
	return min(max(1, runtime.NumCPU()/2), maxThreads)
}

// Digest identifies the weights, the preprocessing and the precision.
func (s *Service) Digest() string { return s.digest }

// Close takes no more calls, waits for those that are running and frees the net. It may be called more than once.
func (s *Service) Close() error {
	s.batcher.Close()
	_ = s.engine.Do(context.Background(), func(a *tensor.Arena) error { // an engine that is closed has freed before
		if s.fast != nil {
			s.fast.Free()
		}
		s.params.Free(a)
		return nil
	})
	s.engine.Close()
	return nil
}

// EncodeAudio implements analysis.AudioEncoder. A call with more than MaxSounds sounds is TooLarge; the other errors
// are those of media.DecodeWAV, with the position of the sound in Field when there are several.
func (s *Service) EncodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*analysis.Features, error) {
	if len(sounds) > MaxSounds {
		return nil, &analysis.Error{
			Code: analysis.TooLarge, Field: "audio", Message: "there are too many sounds in one call",
			Limit: fmt.Sprintf("%d sounds", MaxSounds), Value: fmt.Sprintf("%d sounds", len(sounds)),
		}
	}
	spectrograms, features := make([]spectrogram, len(sounds)), make([]*analysis.Features, len(sounds))
	for i, b := range sounds {
		sound, err := s.decodeWAV(ctx, b, strict)
		if err != nil {
			var e *analysis.Error
			if errors.As(err, &e) && len(sounds) > 1 {
				e.Field = fmt.Sprintf("%s[%d]", e.Field, i)
			}
			return nil, err
		}
		x := &spectrograms[i]
		x.features, x.frames = media.LogMel(sound.Samples)
		features[i] = &analysis.Features{
			Modality: analysis.Audio, TokenDim: TokenDim, Seconds: sound.Seconds, Notes: sound.Notes, Model: s.digest,
			TokenCount: (x.frames + wavenet.FramesPerToken - 1) / wavenet.FramesPerToken,
		}
	}
	encodings, err := s.batcher.DoAll(ctx, spectrograms)
	if err != nil {
		return nil, fmt.Errorf("encode %d sounds: %w", len(sounds), err)
	}
	for i, e := range encodings {
		features[i].Vector, features[i].Tokens = e.vector, e.tokens
	}
	return features, nil
}

// decodeWAV decodes one sound when it is its turn.
func (s *Service) decodeWAV(ctx context.Context, b []byte, strict bool) (*media.Sound, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case s.decode <- struct{}{}:
		defer func() { <-s.decode }()
		return media.DecodeWAV(b, strict)
	}
}

// runBatch encodes the spectrograms of one batch, in forward passes of similar length: none is less than half as long
// as the longest beside it, so that less than half of the work is padding.
func (s *Service) runBatch(batched []spectrogram) ([]batch.Result[encoding], error) {
	order := make([]int, len(batched))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(batched[j].frames, batched[i].frames) })
	results := make([]batch.Result[encoding], len(batched))
	for len(order) > 0 {
		longest, n := batched[order[0]].frames, 1
		for n < len(order) && 2*batched[order[n]].frames >= longest && (n+1)*longest <= s.most {
			n++
		}
		group := make([]spectrogram, n)
		for i, at := range order[:n] {
			group[i] = batched[at]
		}
		encodings, err := s.forward(context.Background(), group)
		if err != nil {
			return nil, err
		}
		for i, at := range order[:n] {
			results[at].Value = encodings[i]
		}
		order = order[n:]
	}
	return results, nil
}

// forward runs the net on spectrograms, the longest first, and returns one encoding for each.
func (s *Service) forward(ctx context.Context, group []spectrogram) ([]encoding, error) {
	if s.fast != nil {
		return s.stream(ctx, group)
	}
	longest := group[0].frames
	values, frames := make([]float32, len(group)*longest*media.MelBands), make([]int, len(group))
	for i, x := range group {
		copy(values[i*longest*media.MelBands:], x.features)
		frames[i] = x.frames
	}
	encodings := make([]encoding, len(group))
	err := s.engine.Do(ctx, func(a *tensor.Arena) error {
		x := a.FromFloat32(values, int64(len(group)), int64(longest), media.MelBands)
		out := s.model.Forward(a, a.Transpose(x, 1, 2), frames)
		vectors, tokens := a.Float32s(out.Vector), a.Float32s(out.Tokens)
		stride := len(tokens) / len(group)
		for i := range encodings {
			// Copies, so that one sound's features do not keep the whole batch in memory.
			encodings[i].vector = slices.Clone(vectors[i*VectorDim : (i+1)*VectorDim])
			encodings[i].tokens = slices.Clone(tokens[i*stride : i*stride+out.Counts[i]*TokenDim])
		}
		return nil
	})
	return encodings, err
}

// stream runs the net on one spectrogram after the other: frame by frame, a sound beside others gains nothing.
func (s *Service) stream(ctx context.Context, group []spectrogram) ([]encoding, error) {
	encodings := make([]encoding, len(group))
	err := s.engine.Do(ctx, func(*tensor.Arena) error {
		for i, x := range group {
			sound := s.fast.Stream()
			tokens := sound.Write(x.features)
			last, vector := sound.Close()
			encodings[i] = encoding{vector: vector, tokens: append(tokens, last...)}
		}
		return nil
	})
	return encodings, err
}

// probeSamples is half a second of a sine that rises from 200 Hz to 3,000 Hz.
func probeSamples() []float32 {
	samples := make([]float32, media.SoundRate/2)
	for i := range samples {
		t := float64(i) / media.SoundRate
		samples[i] = float32(0.5 * math.Sin(2*math.Pi*(200*t+2800*t*t)))
	}
	return samples
}

// Probe encodes one sound and compares its vector with the one that PyTorch computed. It does not wait in the queue,
// so that a busy encoder is not taken for a broken one.
func (s *Service) Probe(ctx context.Context) error {
	features, frames := media.LogMel(probeSamples())
	encodings, err := s.forward(ctx, []spectrogram{{features, frames}})
	if err != nil {
		return fmt.Errorf("probe the audio encoder: %w", err)
	}
	for i, v := range encodings[0].vector {
		if !(math.Abs(float64(v-s.probe[i])) <= s.tolerance) {
			return fmt.Errorf("probe the audio encoder: value %d of the vector is %.5f, want %.5f", i, v, s.probe[i])
		}
	}
	return nil
}
