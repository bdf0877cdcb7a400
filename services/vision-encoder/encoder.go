package visionencoder

import (
	"context"
	"fmt"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/media"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
)

// Encoder implements analysis.VisionEncoder with the net's trunk and one of its tops.
type Encoder struct {
	service *Service
	name    string // in messages
	top     *efficientnet.Top
	fast    *efficientnet.FastTop // in place of top where the service computes on kernels
	digest  string
	record  *analysis.Calibration // of 8 bits
	probe   []float32             // the vector of probePicture
	batcher *batch.Batcher[[]float32, encoding]
}

var _ analysis.VisionEncoder = (*Encoder)(nil)

// encoding is what the net makes of one picture.
type encoding struct {
	vector []float32 // (1280)
	tokens []float32 // (49, 1280)
}

// minProbeCosines, by what is rounded to, are far above what another picture reaches, and far below what rounding costs.
var minProbeCosines = map[string]float64{"": 0.9999, "float16": 0.9997, "bfloat16": 0.98}

// minProbeCosine8 is what pictures come down to in 8 bits that the nets were not calibrated on.
const minProbeCosine8 = 0.95

// Digest identifies the weights, the preprocessing and the precision.
func (e *Encoder) Digest() string { return e.digest }

// Calibration is how near 8 bits are to float32, nil where those are not used.
func (e *Encoder) Calibration() *analysis.Calibration { return e.record }

// EncodeImage implements analysis.VisionEncoder. A call with more than MaxImages pictures is TooLarge.
func (e *Encoder) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	uploads, err := checkUploads(images)
	if err != nil {
		return nil, err
	}
	pictures, err := e.service.decoder.DoAll(ctx, uploads)
	if err != nil {
		return nil, fmt.Errorf("decode %d pictures: %w", len(images), err)
	}
	inputs := make([][]float32, len(pictures))
	for i, p := range pictures {
		inputs[i] = p.input
	}
	features, err := e.EncodeTensors(ctx, inputs)
	if err != nil {
		return nil, err
	}
	for i, f := range features {
		f.Notes = pictures[i].notes
	}
	return features, nil
}

// EncodeTensors encodes pictures that are decoded already, each (3, 224, 224) as media.ImageTensor makes it.
func (e *Encoder) EncodeTensors(ctx context.Context, inputs [][]float32) ([]*analysis.Features, error) {
	encodings, err := e.batcher.DoAll(ctx, inputs)
	if err != nil {
		return nil, fmt.Errorf("encode %d pictures: %w", len(inputs), err)
	}
	features := make([]*analysis.Features, len(inputs))
	for i, made := range encodings {
		features[i] = &analysis.Features{
			Modality: analysis.Image, Vector: made.vector,
			Tokens: made.tokens, TokenCount: efficientnet.Grid * efficientnet.Grid, TokenDim: efficientnet.Dim,
			Rows: efficientnet.Grid, Cols: efficientnet.Grid,
			Model: e.digest,
		}
	}
	return features, nil
}

// checkUploads looks at every picture of a call before any is decoded.
func checkUploads(images [][]byte) ([]upload, error) {
	if len(images) > MaxImages {
		return nil, &analysis.Error{
			Code: analysis.TooLarge, Field: "image", Message: "there are too many pictures in one call",
			Limit: fmt.Sprintf("%d pictures", MaxImages), Value: fmt.Sprintf("%d pictures", len(images)),
		}
	}
	uploads := make([]upload, len(images))
	for i, b := range images {
		if _, err := media.CheckImage(b); err != nil {
			return nil, named(err, i)
		}
		uploads[i] = upload{at: i, bytes: b}
	}
	return uploads, nil
}

// encodeBatch runs the net on pictures (3, 224, 224).
func (e *Encoder) encodeBatch(inputs [][]float32) ([]batch.Result[encoding], error) {
	encodings, err := e.forward(context.Background(), inputs)
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result[encoding], len(encodings))
	for i, made := range encodings {
		results[i].Value = made
	}
	return results, nil
}

func (e *Encoder) forward(ctx context.Context, inputs [][]float32) ([]encoding, error) {
	vectors, tokens, err := e.run(ctx, inputs)
	if err != nil {
		return nil, err
	}
	encodings := make([]encoding, len(inputs))
	const v, t = efficientnet.Dim, efficientnet.Grid * efficientnet.Grid * efficientnet.Dim
	for i := range encodings {
		// Copies, so that one picture's features do not keep the whole batch in memory.
		encodings[i] = encoding{vector: slices.Clone(vectors[i*v : (i+1)*v]), tokens: slices.Clone(tokens[i*t : (i+1)*t])}
	}
	return encodings, nil
}

// run returns the vectors and the tokens of pictures, end to end.
func (e *Encoder) run(ctx context.Context, inputs [][]float32) (vectors, tokens []float32, err error) {
	for i, input := range inputs {
		if len(input) != 3*efficientnet.Side*efficientnet.Side {
			return nil, nil, fmt.Errorf("encode %d pictures: number %d has %d values, want 3 x %d x %d", len(inputs), i, len(input), efficientnet.Side, efficientnet.Side)
		}
	}
	if e.service.fast != nil {
		select {
		case f := <-e.service.fast:
			defer func() { e.service.fast <- f }()
			if f == nil {
				return nil, nil, fmt.Errorf("encode %d pictures: the %s is closed", len(inputs), e.name)
			}
			vectors, tokens = f.Forward(e.fast, inputs)
			return vectors, tokens, nil
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	err = e.service.do(ctx, func(a *tensor.Arena) error {
		x := a.FromFloat32(slices.Concat(inputs...), int64(len(inputs)), 3, efficientnet.Side, efficientnet.Side)
		features, grid := e.top.Forward(a, e.service.model.Trunk(a, x))
		vectors, tokens = a.Float32s(features), a.Float32s(grid)
		return nil
	})
	return vectors, tokens, err
}

// Probe encodes one picture and compares its vector with the stored one. It waits for a tensor thread,
// but not in the queue.
func (e *Encoder) Probe(ctx context.Context) error {
	p, err := e.service.decode(probePicture)
	if err != nil {
		return fmt.Errorf("probe the %s: %w", e.name, err)
	}
	encodings, err := e.forward(ctx, [][]float32{p.input})
	if err != nil {
		return fmt.Errorf("probe the %s: %w", e.name, err)
	}
	if c := tensor.Cosine(encodings[0].vector, e.probe); !(c >= e.service.least) {
		return fmt.Errorf("probe the %s: the vector's cosine to the stored one is %.6f, want at least %v", e.name, c, e.service.least)
	}
	return nil
}
