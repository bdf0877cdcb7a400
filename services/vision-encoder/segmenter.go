package visionencoder

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/batch"
	"consilium/internal/mask"
	"consilium/internal/media"
	"consilium/internal/model/unet"
	"consilium/internal/tensor"
)

// lungWeights hold a net with an encoder, lesionWeights a decoder on the same encoder; weights/*.md describe them.
var (
	//go:embed weights/lungs.safetensors
	lungWeights []byte
	//go:embed weights/lesions.safetensors
	lesionWeights []byte
)

// finer is how many cells of a mask lie along a pixel of the net: edges lie between pixels.
const finer = 2

// segmentation names what is done to a picture and to the logits. It is part of the digest.
const segmentation = media.GreyPreprocessing + "-mirrored-two-lungs-v1"

// Segmenter implements analysis.Segmenter on the engines of a Service. It decodes within the Service's memory.
type Segmenter struct {
	service *Service
	digest  string
	side    int
	params  []*tensor.Params
	lungs   *unet.Model // lung, heart
	lesions *unet.Model // lesion, ground glass, consolidation
	decoder *batch.Batcher[upload, []float32]
	runner  *batch.Batcher[[]float32, *analysis.Segmentation]
}

var _ analysis.Segmenter = (*Segmenter)(nil)

// lungClasses and lesionClasses are the masks of the nets, in order.
var (
	lungClasses   = []string{"lung", "heart"}
	lesionClasses = []string{"lesion", "ground glass", "consolidation"}
)

// newSegmenter loads the nets: lesions is the file of a decoder on the encoder of lungWeights.
func newSegmenter(s *Service, lesions []byte, workers, decoders int) (*Segmenter, error) {
	g, most := &Segmenter{service: s, digest: s.opt.Digest(lungWeights, lesions, []byte(segmentation))}, 1
	err := s.do(context.Background(), func(a *tensor.Arena) error {
		err := g.load(a, lesions)
		most = a.MaxCost(maskBytes, most, MaxImages)
		return err
	})
	if err != nil {
		_ = s.do(context.Background(), func(a *tensor.Arena) error { g.free(a); return nil })
		return nil, fmt.Errorf("load the segmentation: %w", err)
	}
	g.decoder = batch.New(batch.Config{MaxCost: 1, Queue: queue, Workers: decoders}, func(upload) int { return 1 }, g.decodeBatch)
	g.runner = batch.New(batch.Config{MaxCost: most, Queue: queue, Workers: workers}, func([]float32) int { return 1 }, batch.Halving(tensor.ErrMemory, g.runBatch))
	return g, nil
}

// load reads the nets and holds them against each other.
func (g *Segmenter) load(a *tensor.Arena, lesions []byte) error {
	read := func(file []byte, classes []string) (unet.Config, map[string]string, error) {
		raw, metadata, err := tensor.DecodeSafetensors(file)
		if err != nil {
			return unet.Config{}, nil, err
		}
		config, err := unet.ParseConfig(metadata)
		if err == nil && !slices.Equal(config.Classes, classes) {
			err = fmt.Errorf("a U-Net finds %q, want %q", config.Classes, classes)
		}
		g.params = append(g.params, tensor.FromRaw(raw))
		return config, metadata, err
	}
	config, _, err := read(lungWeights, lungClasses)
	if err != nil {
		return err
	}
	g.lungs, g.side = unet.New(a, g.params[0], config), int(config.Side)
	config, metadata, err := read(lesions, lesionClasses)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(lungWeights)
	if want := hex.EncodeToString(sum[:]); metadata["encoder"] != want || int(config.Side) != g.side {
		return fmt.Errorf("the lesions' decoder is of pictures of %d pixels and the encoder %.12s, want %d and %.12s", config.Side, metadata["encoder"], g.side, want)
	}
	g.lesions = unet.Extend(a, g.params[1], config, g.lungs)
	return nil
}

// Digest identifies the weights, the preprocessing, the precision and what is made of the logits.
func (g *Segmenter) Digest() string { return g.digest }

// close takes no more calls and waits for those that are running.
func (g *Segmenter) close() {
	g.decoder.Close()
	g.runner.Close()
}

// free frees the nets.
func (g *Segmenter) free(a *tensor.Arena) {
	for _, p := range g.params {
		p.Free(a)
	}
}

// Segment implements analysis.Segmenter. A call with more than MaxImages pictures is TooLarge.
func (g *Segmenter) Segment(ctx context.Context, images [][]byte) ([]*analysis.Segmentation, error) {
	uploads, err := checkUploads(images)
	if err != nil {
		return nil, err
	}
	inputs, err := g.decoder.DoAll(ctx, uploads)
	if err != nil {
		return nil, fmt.Errorf("decode %d pictures: %w", len(images), err)
	}
	made, err := g.runner.DoAll(ctx, inputs)
	if err != nil {
		return nil, fmt.Errorf("segment %d pictures: %w", len(images), err)
	}
	return made, nil
}

func (g *Segmenter) decodeBatch(uploads []upload) ([]batch.Result[[]float32], error) {
	results := make([]batch.Result[[]float32], len(uploads))
	for i, u := range uploads {
		err := g.service.decoded(u.bytes, func(d *media.Decoded) { results[i].Value = media.GreyTensor(d.Image, g.side) })
		if err != nil {
			results[i].Err = named(err, u.at)
		}
	}
	return results, nil
}

func (g *Segmenter) runBatch(inputs [][]float32) ([]batch.Result[*analysis.Segmentation], error) {
	planes, err := g.logits(context.Background(), inputs)
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result[*analysis.Segmentation], len(inputs))
	for i, p := range planes {
		s := &analysis.Segmentation{Rows: finer * g.side, Cols: finer * g.side, Masks: masksOf(p, g.side), Model: g.digest}
		results[i] = batch.Result[*analysis.Segmentation]{Value: s, Err: s.Check()}
	}
	return results, nil
}

// logits runs the nets on pictures (side, side) and returns of each one plane (side, side) a class, those of the lungs
// first.
func (g *Segmenter) logits(ctx context.Context, inputs [][]float32) ([][][]float32, error) {
	n, side := int64(len(inputs)), int64(g.side)
	found := make([][][]float32, n)
	err := g.service.do(ctx, func(a *tensor.Arena) error {
		x := a.FromFloat32(slices.Concat(inputs...), n, 1, side, side)
		for _, logits := range unet.Logits(a, x, g.lungs, g.lesions) {
			classes, values := a.Size(logits, 1), a.Float32s(logits)
			for i := range found {
				own := values[int64(i)*classes*side*side : (int64(i)+1)*classes*side*side]
				found[i] = slices.AppendSeq(found[i], slices.Chunk(own, int(side*side)))
			}
		}
		return nil
	})
	return found, err
}

// masksOf makes the masks of the planes, in the order of analysis.Structures.
func masksOf(planes [][]float32, side int) []analysis.Mask {
	on := func(plane []float32) mask.Mask { return mask.Threshold(plane, side, side, 0, finer*side, finer*side) }
	lungs := mask.Lungs(on(planes[0]))
	right, left := sides(lungs)
	var masks []analysis.Mask
	add := func(structure string, m mask.Mask, plane []float32) {
		masks = append(masks, analysis.Mask{Structure: structure, Runs: m.Runs(), Confidence: confidence(m, plane)})
	}
	add(analysis.RightLung, right, planes[0])
	add(analysis.LeftLung, left, planes[0])
	add(analysis.Heart, mask.Largest(on(planes[1])), planes[1])
	for i, structure := range []string{analysis.Lesion, analysis.GroundGlass, analysis.Consolidation} {
		add(structure, on(planes[2+i]).And(lungs), planes[2+i])
	}
	return masks
}

// sides tells the right lung, which a film shows on the left, from the left one. A single part is the lung of its side.
func sides(lungs mask.Mask) (right, left mask.Mask) {
	right, left = mask.New(lungs.Width, lungs.Height), mask.New(lungs.Width, lungs.Height)
	switch parts := lungs.Components(); len(parts) {
	case 0:
	case 1:
		if x, _ := parts[0].Centre(); x < float64(lungs.Width)/2 {
			right = parts[0]
		} else {
			left = parts[0]
		}
	default:
		right, left = parts[0], parts[1]
		x, _ := right.Centre()
		if other, _ := left.Centre(); other < x {
			right, left = left, right
		}
	}
	return right, left
}

// confidence is the mean probability of the pixels under the cells of a mask.
func confidence(m mask.Mask, plane []float32) float64 {
	sum, n, side := 0.0, 0, m.Width/finer
	for i, on := range m.On {
		if on {
			pixel := plane[i/m.Width/finer*side+i%m.Width/finer]
			sum, n = sum+1/(1+math.Exp(-float64(pixel))), n+1
		}
	}
	return sum / float64(max(1, n))
}
