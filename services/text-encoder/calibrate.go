package textencoder

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"

	"consilium/internal/model/minilm"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/internal/weights"
)

// Calibration is the choice of the layers that compute in 8 bits, and what it rests on.
type Calibration struct {
	Layers []string `json:"layers"` // those in 8 bits
	Texts  int      `json:"texts"`
	// SameNearest is the share of the texts whose nearest other one of their set is the same as in fp32.
	SameNearest float64 `json:"same_nearest"`
	MeanCosine  float64 `json:"mean_cosine"` // to fp32
	LeastCosine float64 `json:"least_cosine"`
	// Harm is 1 - the mean cosine with only this layer in 8 bits.
	Harm map[string]float64 `json:"harm"`
}

// What the layers in 8 bits have to hold on the calibration texts.
const minSameNearest, minMeanCosine, minLeastCosine = 0.98, 0.99, 0.97

// holds grants the share the standard error of so many texts.
func (c *Calibration) holds() bool {
	uncertain := math.Sqrt(minSameNearest * (1 - minSameNearest) / float64(c.Texts))
	return c.SameNearest >= minSameNearest-uncertain && c.MeanCosine >= minMeanCosine && c.LeastCosine >= minLeastCosine
}

// Calibrate begins with all layers in 8 bits and puts them back to fp32, the one with the most harm for its work first, until the
// bounds hold on sets of texts. out takes progress.
func Calibrate(ctx context.Context, sets [][]string, out io.Writer) (*Calibration, error) {
	c, err := newCalibrator(ctx, sets)
	if err != nil {
		return nil, fmt.Errorf("calibrate the text encoder: %w", err)
	}
	defer c.engine.Close()
	result := &Calibration{Harm: map[string]float64{}}
	for _, set := range sets {
		result.Texts += len(set)
	}
	if c.whole, err = c.vectors(ctx, nil); err != nil {
		return nil, err
	}
	for i := range minilm.L6.Layers {
		for _, name := range minilm.Linears {
			layer := fmt.Sprintf("%d.%s", i, name)
			alone, err := c.vectors(ctx, minilm.Plan{layer: true})
			if err != nil {
				return nil, err
			}
			_, mean, _ := c.compare(alone, false)
			result.Harm[layer] = 1 - mean
			result.Layers = append(result.Layers, layer)
			fmt.Fprintf(out, "%-7s in 8 bits alone: 1 - cosine %.2g\n", layer, 1-mean)
		}
	}
	worst := slices.Clone(result.Layers)
	slices.SortStableFunc(worst, func(a, b string) int {
		return cmp.Compare(result.Harm[b]/minilm.L6.LayerWork(b), result.Harm[a]/minilm.L6.LayerWork(a))
	})
	for {
		plan := minilm.Plan{}
		for _, layer := range result.Layers {
			plan[layer] = true
		}
		short, err := c.vectors(ctx, plan)
		if err != nil {
			return nil, err
		}
		result.SameNearest, result.MeanCosine, result.LeastCosine = c.compare(short, true)
		fmt.Fprintf(out, "%d layers in 8 bits: same nearest %.4f, mean cosine %.5f, least %.5f\n", len(plan), result.SameNearest, result.MeanCosine, result.LeastCosine)
		if result.holds() || len(plan) == 0 {
			return result, nil
		}
		result.Layers = slices.DeleteFunc(result.Layers, func(layer string) bool { return layer == worst[0] })
		worst = worst[1:]
	}
}

// calibrator runs the net under one plan after the other.
type calibrator struct {
	engine *tensor.Engine
	model  *minilm.Model
	words  []float32
	sets   []*minilm.Packing
	whole  [][][]float32 // of each set in fp32
}

func newCalibrator(ctx context.Context, sets [][]string) (*calibrator, error) {
	s, err := New(Config{Device: "cpu"})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c := &calibrator{}
	for _, texts := range sets {
		sequences := make([][]int32, len(texts))
		for i, text := range texts {
			sequences[i], _ = s.sequence(text)
		}
		packing, err := minilm.L6.Pack(sequences)
		if err != nil {
			return nil, err
		}
		c.sets = append(c.sets, packing)
	}
	path, err := weights.Path("minilm/model.safetensors")
	if err != nil {
		return nil, err
	}
	raw, _, err := tensor.ReadSafetensors(path)
	if err != nil {
		return nil, err
	}
	c.words = raw[minilm.Words].Values
	c.engine = tensor.NewEngine(tensor.Options{Device: tensor.CPU})
	err = c.engine.Do(ctx, func(a *tensor.Arena) error {
		c.model = minilm.New(a, tensor.FromRaw(raw), minilm.L6)
		return nil
	})
	if err != nil {
		c.engine.Close()
		return nil, err
	}
	return c, nil
}

// vectors returns the vectors of each set under a plan, in the order of the packing.
func (c *calibrator) vectors(ctx context.Context, plan minilm.Plan) (all [][][]float32, err error) {
	err = c.engine.Do(ctx, func(a *tensor.Arena) error {
		f := minilm.NewFast(a, c.model, c.words, runtime.NumCPU(), kernels.Best(), plan)
		defer f.Free()
		for _, set := range c.sets {
			_, vectors := f.Forward(set)
			all = append(all, slices.Collect(slices.Chunk(vectors, int(minilm.L6.Dim))))
		}
		return nil
	})
	return all, err
}

// compare holds vectors to those of fp32: the share with the same nearest one, if it is asked for, and the cosines.
func (c *calibrator) compare(short [][][]float32, neighbours bool) (same, mean, least float64) {
	n := 0.0
	least = 1
	for i, set := range c.whole {
		for j := range set {
			one := tensor.Cosine(set[j], short[i][j])
			n, mean, least = n+1, mean+one, min(least, one)
			if neighbours && nearest(set, j) == nearest(short[i], j) {
				same++
			}
		}
	}
	return same / n, mean / n, least
}

// nearest returns which other vector is nearest to vectors[i].
func nearest(vectors [][]float32, i int) (best int) {
	similarity := -2.0
	for j, v := range vectors {
		if j == i {
			continue
		}
		if s := tensor.Cosine(v, vectors[i]); s > similarity {
			best, similarity = j, s
		}
	}
	return best
}
