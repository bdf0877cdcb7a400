package visionencoder

import (
	"context"
	_ "embed"
	"fmt"
	"math"

	"consilium/internal/media"
	"consilium/internal/tensor"
)

// masksPicture and masksGolden are a schematic chest and the logits that PyTorch gives it, see testdata/make_masks_probe.py.
var (
	//go:embed weights/masks.probe.png
	masksPicture []byte
	//go:embed weights/masks.probe.safetensors
	masksGolden []byte
)

// probeStride is how many pixels lie between the logits that are kept, each way.
const probeStride = 8

// maxProbeDistances bound the difference of any logit, relative to the greatest, by what is rounded to: processors differ.
var maxProbeDistances = map[string]float64{"": 0.01, "float16": 0.02, "bfloat16": 0.2}

// Probe segments one picture and compares the logits with those that PyTorch computed. It waits for a tensor thread, but
// not in the queue.
func (g *Segmenter) Probe(ctx context.Context) error {
	golden, _, err := tensor.DecodeSafetensors(masksGolden)
	if err != nil {
		return fmt.Errorf("read the segmentation's probe: %w", err)
	}
	var input []float32
	if err := g.service.decoded(masksPicture, func(d *media.Decoded) { input = media.GreyTensor(d.Image, g.side) }); err != nil {
		return fmt.Errorf("probe the segmentation: %w", err)
	}
	found, err := g.logits(ctx, [][]float32{input})
	if err != nil {
		return fmt.Errorf("probe the segmentation: %w", err)
	}
	var got []float32
	for _, plane := range found[0] {
		for y := 0; y < g.side; y += probeStride {
			for x := 0; x < g.side; x += probeStride {
				got = append(got, plane[y*g.side+x])
			}
		}
	}
	most := maxProbeDistances[g.service.opt.Rounding()]
	if d := relative(got, append(golden["lungs"].Values, golden["lesions"].Values...)); !(d <= most) {
		return fmt.Errorf("probe the segmentation: the logits differ from the stored ones by %.2g of the greatest, want at most %v", d, most)
	}
	return nil
}

// relative is the greatest difference over the greatest value of want, infinite if the lengths differ.
func relative(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, scale float64
	for i := range want {
		diff, scale = max(diff, math.Abs(float64(got[i]-want[i]))), max(scale, math.Abs(float64(want[i])))
	}
	return diff / scale
}
