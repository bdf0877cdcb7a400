package wire

import (
	"context"
	"fmt"
	"math"
	"net/http"

	"consilium/internal/analysis"
)

// AlignModel is the name, in the protocol, of the projection into the space that the modalities share. The fusion's process
// serves it as well.
const AlignModel = "align"

var alignContract = &contract{
	model: AlignModel, part: "projection",
	inputs: []Spec{
		{Name: "modality", Datatype: BYTES, Shape: []int{1}},
		{Name: "embedding", Datatype: FP32, Shape: []int{1, -1}},
		{Name: "tokens", Datatype: FP32, Shape: []int{1, -1, -1}},
		{Name: "grid", Datatype: INT64, Shape: []int{1, 2}, optional: true}, // of an image
	},
	outputs: []Spec{{Name: "vector", Datatype: FP32, Shape: []int{1, analysis.VectorDim}}},
	maxRows: maxItems, maxRequestBytes: 4 << 20,
}

// NewAlignServer serves aligner as the model "align".
func NewAlignServer(aligner analysis.Aligner, info ModelInfo) http.Handler {
	return newServer(alignContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		f, err := unpackAlignRequest(r)
		if err != nil {
			return nil, err
		}
		vector, err := aligner.Align(ctx, f)
		if err != nil {
			return nil, err
		}
		return []Tensor{floats("vector", vector, 1, len(vector))}, nil
	})
}

func unpackAlignRequest(r *request) (*analysis.Features, error) {
	tokens := find(r.inputs, "tokens")
	f := &analysis.Features{
		Modality: analysis.Modality(find(r.inputs, "modality").Bytes[0]), Vector: find(r.inputs, "embedding").Floats,
		Tokens: tokens.Floats, TokenCount: tokens.Shape[1], TokenDim: tokens.Shape[2],
	}
	if grid := find(r.inputs, "grid"); grid != nil {
		if grid.Ints[0] < 1 || grid.Ints[1] < 1 || grid.Ints[0] > int64(f.TokenCount) || grid.Ints[1] > int64(f.TokenCount) {
			return nil, analysis.Invalid("grid", "needs rows and columns that make up the %d tokens", f.TokenCount)
		}
		f.Rows, f.Cols = int(grid.Ints[0]), int(grid.Ints[1])
	}
	if err := f.Check(); err != nil {
		return nil, analysis.Invalid("features", "%v", err)
	}
	return f, nil
}

// Aligner is a projection in another process.
type Aligner struct{ *client }

var _ analysis.Aligner = (*Aligner)(nil)

// NewAligner returns a client of the model "align" at baseURL.
func NewAligner(baseURL string, options ClientOptions) (*Aligner, error) {
	c, err := newClient(alignContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &Aligner{c}, nil
}

// lengthTolerance is how far from 1 the length of a unit vector may be.
const lengthTolerance = 1e-3

// Align implements analysis.Aligner, with BadUpstream and Unavailable as for TextEncoder.
func (l *Aligner) Align(ctx context.Context, f *analysis.Features) ([]float32, error) {
	if err := f.Check(); err != nil {
		return nil, analysis.Invalid("features", "%v", err)
	}
	inputs := []Tensor{byteStrings("modality", [][]byte{[]byte(f.Modality)}),
		floats("embedding", f.Vector, 1, len(f.Vector)), floats("tokens", f.Tokens, 1, f.TokenCount, f.TokenDim)}
	if f.Modality == analysis.Image {
		inputs = append(inputs, ints("grid", []int64{int64(f.Rows), int64(f.Cols)}, 1, 2))
	}
	outputs, _, err := l.infer(ctx, nil, inputs)
	if err != nil {
		return nil, err
	}
	vector := find(outputs, "vector")
	if err := vector.checkFinite(); err != nil {
		l.remember("")
		return nil, l.broken(err)
	}
	sum := 0.0
	for _, v := range vector.Floats {
		sum += float64(v) * float64(v)
	}
	if length := math.Sqrt(sum); math.Abs(length-1) > lengthTolerance {
		l.remember("")
		return nil, l.broken(fmt.Errorf("a vector has the length %v, want 1", length))
	}
	return vector.Floats, nil
}
