package visionencoder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/media"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/internal/weights"
)

// records are what the layers of the trunk and of the tops gave, and how near the nets of 8 bits then are to those of fp32.
type records struct {
	trunk, top, radiographs efficientnet.Record
	figures                 map[string]*analysis.Calibration
}

// The encoders' names in the file's header, each with its figures as JSON.
const (
	published   = "published"
	radiographs = "radiographs"
)

// Prefixes of the layers' names in the file.
const (
	trunkPrefix      = "trunk."
	topPrefix        = "top."
	radiographPrefix = "radiographs."
)

// readRecords reads int8Record.
func readRecords() (r records, err error) {
	raw, header, err := tensor.DecodeSafetensors(int8Record)
	if err != nil {
		return r, fmt.Errorf("read the calibration of the vision encoder: %w", err)
	}
	r.figures = map[string]*analysis.Calibration{}
	for _, name := range []string{published, radiographs} {
		r.figures[name] = &analysis.Calibration{}
		if err := json.Unmarshal([]byte(header[name]), r.figures[name]); err != nil {
			return r, fmt.Errorf("read the calibration of the vision encoder, %s: %w", name, err)
		}
	}
	if r.trunk, err = efficientnet.ReadTrunkRecord(raw, trunkPrefix); err != nil {
		return r, err
	}
	if r.top, err = efficientnet.ReadTopRecord(raw, topPrefix); err != nil {
		return r, err
	}
	r.radiographs, err = efficientnet.ReadTopRecord(raw, radiographPrefix)
	return r, err
}

// calibrator holds the net and what it is calibrated on.
type calibrator struct {
	model           *efficientnet.Model
	radiographs     *efficientnet.Top
	pictures, films [][]float32
	seen            records
}

// Calibrate takes pictures of any kind and radiographs, as files, through the net and writes to path what the layers gave, for 8 bits, and
// how near its vectors are to those of fp32 on them. out takes progress.
func Calibrate(ctx context.Context, pictures, films [][]byte, path string, out io.Writer) error {
	if !HasInt8() {
		return fmt.Errorf("calibrate the vision encoder: %s needs a processor with AVX-512 and VNNI", analysis.Int8)
	}
	c := calibrator{seen: records{trunk: efficientnet.Record{}, top: efficientnet.Record{}, radiographs: efficientnet.Record{}}}
	for _, set := range []struct {
		files  [][]byte
		inputs *[][]float32
	}{{pictures, &c.pictures}, {films, &c.films}} {
		for i, file := range set.files {
			decoded, err := media.DecodeImage(file)
			if err != nil {
				return fmt.Errorf("calibrate the vision encoder: picture %d: %w", i, err)
			}
			*set.inputs = append(*set.inputs, media.ImageTensor(decoded.Image, efficientnet.Side))
		}
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: runtime.NumCPU()})
	defer engine.Close()
	err := engine.Do(ctx, func(a *tensor.Arena) error {
		if err := c.load(a); err != nil {
			return err
		}
		c.observe(a, out)
		figures, err := c.compare(a)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(figures)) {
			fmt.Fprintf(out, "%s: %s\n", name, figures[name])
		}
		tensors := c.seen.trunk.Raw(trunkPrefix)
		maps.Copy(tensors, c.seen.top.Raw(topPrefix))
		maps.Copy(tensors, c.seen.radiographs.Raw(radiographPrefix))
		return tensor.WriteFullSafetensors(path, tensors, figures)
	})
	if err != nil {
		return fmt.Errorf("calibrate the vision encoder: %w", err)
	}
	return nil
}

// load reads the net and its tops.
func (c *calibrator) load(a *tensor.Arena) error {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		return err
	}
	second, _, err := tensor.DecodeSafetensors(radiographWeights)
	if err != nil {
		return err
	}
	if c.model, err = efficientnet.Load(a, path); err != nil {
		return err
	}
	c.radiographs = efficientnet.LoadTop(a, second)
	return nil
}

// observe records what the published net gives on everything and the top for radiographs on films.
func (c *calibrator) observe(a *tensor.Arena, out io.Writer) {
	see := func(top *efficientnet.Top, x []float32, trunk, record efficientnet.Record) {
		c.model.Observe(a, top, a.FromFloat32(x, 1, 3, efficientnet.Side, efficientnet.Side), trunk, record)
	}
	for i, x := range slices.Concat(c.pictures, c.films) {
		see(c.model.Top(), x, c.seen.trunk, c.seen.top)
		if (i+1)%32 == 0 {
			fmt.Fprintf(out, "%d of %d pictures\n", i+1, len(c.pictures)+len(c.films))
		}
	}
	for _, x := range c.films {
		see(c.radiographs, x, efficientnet.Record{}, c.seen.radiographs)
	}
}

// compare returns for each encoder, as JSON, how near the vectors in 8 bits are to those in fp32.
func (c *calibrator) compare(a *tensor.Arena) (map[string]string, error) {
	level := kernels.Best()
	whole, short := efficientnet.NewFast(a, c.model, runtime.NumCPU(), level), efficientnet.NewFast8(a, c.model, c.seen.trunk, runtime.NumCPU(), level)
	defer whole.Free()
	defer short.Free()
	figures := map[string]string{}
	for _, set := range []struct {
		name   string
		top    *efficientnet.Top
		seen   efficientnet.Record
		inputs [][]float32
	}{
		{published, c.model.Top(), c.seen.top, slices.Concat(c.pictures, c.films)},
		{radiographs, c.radiographs, c.seen.radiographs, c.films},
	} {
		top, top8 := efficientnet.NewFastTop(a, set.top), short.NewFastTop8(a, set.top, set.seen)
		want, _ := whole.Forward(top, set.inputs)
		got, _ := short.Forward(top8, set.inputs)
		top.Free()
		top8.Free()
		figure := analysis.Calibration{Precision: string(analysis.Int8), Samples: len(set.inputs), LeastCosine: 1}
		for at := 0; at < len(want); at += efficientnet.Dim {
			one := tensor.Cosine(want[at:at+efficientnet.Dim], got[at:at+efficientnet.Dim])
			figure.MeanCosine += one / float64(len(set.inputs))
			figure.LeastCosine = min(figure.LeastCosine, one)
		}
		words, err := json.Marshal(figure)
		if err != nil {
			return nil, err
		}
		figures[set.name] = string(words)
	}
	return figures, nil
}
