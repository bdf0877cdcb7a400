package wire

import (
	"context"
	"fmt"
	"net/http"

	"consilium/internal/analysis"
	"consilium/internal/mask"
)

// SegmentationModel is the name of the segmentation in the protocol. The vision encoder's process serves it as well.
const SegmentationModel = "segmentation"

var segmentationContract = &contract{
	model: SegmentationModel, part: "segmentation", modality: analysis.Image,
	inputs: []Spec{{Name: "image", Datatype: BYTES, Shape: []int{-1}, base64: true}},
	outputs: []Spec{
		{Name: "structure", Datatype: BYTES, Shape: []int{-1}},
		{Name: "mask", Datatype: BOOL, Shape: []int{-1, len(analysis.Structures), -1, -1}},
		{Name: "confidence", Datatype: FP32, Shape: []int{-1, len(analysis.Structures)}},
	},
	maxRows: maxItems, maxRequestBytes: 68 << 20,
}

// NewSegmentationServer serves segmenter as the model "segmentation".
func NewSegmentationServer(segmenter analysis.Segmenter, info ModelInfo) http.Handler {
	return newServer(segmentationContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		made, err := segmenter.Segment(ctx, r.inputs[0].Bytes)
		if err != nil {
			return nil, err
		}
		return packSegmentations(r, made, len(r.inputs[0].Bytes))
	})
}

// packSegmentations makes the outputs that r wants of the segmentations of want pictures, at least one.
func packSegmentations(r *request, made []*analysis.Segmentation, want int) ([]Tensor, error) {
	if len(made) != want {
		return nil, fmt.Errorf("the segmentation made %d results of %d pictures", len(made), want)
	}
	rows, cols := made[0].Rows, made[0].Cols
	masks := Tensor{Name: "mask", Datatype: BOOL, Shape: []int{len(made), len(analysis.Structures), rows, cols}}
	var confidences []float32
	for i, s := range made {
		if err := s.Check(); err != nil {
			return nil, err
		}
		if s.Rows != rows || s.Cols != cols {
			return nil, fmt.Errorf("segmentations 0 and %d have grids of different sizes", i)
		}
		for _, m := range s.Masks {
			cells, err := mask.FromRuns(m.Runs, cols, rows)
			if err != nil {
				return nil, err
			}
			masks.Bools = append(masks.Bools, cells.On...)
			confidences = append(confidences, float32(m.Confidence))
		}
	}
	names := column(analysis.Structures, func(name string) []byte { return []byte(name) })
	var outputs []Tensor
	for _, t := range []Tensor{byteStrings("structure", names), masks, floats("confidence", confidences, len(made), len(analysis.Structures))} {
		if r.wants(t.Name) {
			outputs = append(outputs, t)
		}
	}
	return outputs, nil
}

// Segmenter is a segmentation in another process.
type Segmenter struct{ *client }

var _ analysis.Segmenter = (*Segmenter)(nil)

// NewSegmenter returns a client of the model "segmentation" at baseURL.
func NewSegmenter(baseURL string, options ClientOptions) (*Segmenter, error) {
	c, err := newClient(segmentationContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &Segmenter{c}, nil
}

// Segment implements analysis.Segmenter, with BadUpstream and Unavailable as for TextEncoder.
func (s *Segmenter) Segment(ctx context.Context, images [][]byte) ([]*analysis.Segmentation, error) {
	if len(images) == 0 {
		return nil, nil
	}
	outputs, digest, err := s.infer(ctx, nil, []Tensor{byteStrings("image", images)})
	if err != nil {
		return nil, err
	}
	made, err := unpackSegmentations(outputs, len(images))
	if err != nil {
		s.remember("")
		return nil, s.broken(err)
	}
	for _, m := range made {
		m.Model = digest
	}
	return made, nil
}

// unpackSegmentations is the inverse of packSegmentations; decode checked the tensors one by one.
func unpackSegmentations(outputs []Tensor, n int) ([]*analysis.Segmentation, error) {
	names, masks, confidences := find(outputs, "structure"), find(outputs, "mask"), find(outputs, "confidence")
	structures := len(analysis.Structures)
	if names.Shape[0] != structures {
		return nil, &tensorError{names.Name, fmt.Errorf("has %d names, want %d", names.Shape[0], structures)}
	}
	for _, t := range []*Tensor{masks, confidences} {
		if t.Shape[0] != n {
			return nil, &tensorError{t.Name, fmt.Errorf("has %d rows, want %d", t.Shape[0], n)}
		}
	}
	rows, cols := masks.Shape[2], masks.Shape[3]
	if rows < 1 || cols < 1 || rows > analysis.MaxMaskSide || cols > analysis.MaxMaskSide {
		return nil, &tensorError{masks.Name, fmt.Errorf("has %d x %d cells, want 1 to %d each way", rows, cols, analysis.MaxMaskSide)}
	}
	made := make([]*analysis.Segmentation, n)
	for i := range made {
		s := &analysis.Segmentation{Rows: rows, Cols: cols}
		for j, name := range names.Bytes {
			at := i*structures + j
			cells := mask.Mask{Width: cols, Height: rows, On: masks.Bools[at*rows*cols : (at+1)*rows*cols]}
			s.Masks = append(s.Masks, analysis.Mask{Structure: string(name), Runs: cells.Runs(), Confidence: float64(confidences.Floats[at])})
		}
		if err := s.Check(); err != nil {
			return nil, err
		}
		made[i] = s
	}
	return made, nil
}
