package efficientnet

import (
	"fmt"
	"slices"
	"strconv"

	"consilium/internal/tensor"
)

// Seen is what values a layer gave on some pictures, channel by channel. Of a layer that is clipped to 0..6 only the mean is known.
type Seen struct {
	Mean, Low, High []float32
	pictures        float32
}

// Record is what the layers of a trunk, or of a top, gave: of block 3, from 0, "3.wide" behind the widening and its clipping (of
// block 0, behind the stem), "3.deep" behind the filters and theirs, and "3.out", the residual added.
type Record map[string]*Seen

// Observe takes pictures x (B, 3, 224, 224) through the net with one of its tops, and adds what the layers give to the records.
func (m *Model) Observe(a *tensor.Arena, t *Top, x tensor.T, trunk, top Record) {
	mark := a.Mark()
	x = a.Relu6InPlace(m.stem.forward(a, a.ChannelsLast(x)))
	trunk.add(a, "0.wide", x, false)
	top.observe(a, t.blocks, trunkBlocks, trunk.observe(a, m.trunk, 0, x))
	a.Release(mark)
}

// observe is run.
func (r Record) observe(a *tensor.Arena, blocks []block, first int, x tensor.T) tensor.T {
	for i, b := range blocks {
		name, y := strconv.Itoa(first+i), x
		if b.expand.weight.Defined() {
			y = a.Relu6InPlace(b.expand.forward(a, y))
			r.add(a, name+".wide", y, false)
		}
		y = a.Relu6InPlace(b.depthwise.forward(a, y))
		r.add(a, name+".deep", y, false)
		if y = b.project.forward(a, y); b.residual {
			y = a.Add(y, x)
		}
		r.add(a, name+".out", y, true)
		x = y
	}
	return x
}

// add takes x (B, C, H, W) into account.
func (r Record) add(a *tensor.Arena, name string, x tensor.T, ranges bool) {
	mean := a.Float32s(a.Mean(x, false, 0, 2, 3))
	s, n := r[name], float32(a.Size(x, 0))
	if s == nil {
		s = &Seen{Mean: make([]float32, len(mean))}
		if ranges {
			s.Low, s.High = make([]float32, len(mean)), make([]float32, len(mean))
		}
		r[name] = s
	}
	s.pictures += n
	for c := range mean {
		s.Mean[c] += (mean[c] - s.Mean[c]) * n / s.pictures
	}
	if ranges {
		for c, high := range a.Float32s(a.Amax(x, false, 0, 2, 3)) {
			s.High[c] = max(s.High[c], high)
		}
		for c, low := range a.Float32s(a.Amax(a.Neg(x), false, 0, 2, 3)) {
			s.Low[c] = min(s.Low[c], -low)
		}
	}
}

// Raw returns the record as tensors under prefix and the layer's name: (1, C) the mean, or (3, C) mean, low and high.
func (r Record) Raw(prefix string) map[string]tensor.Raw {
	all := map[string]tensor.Raw{}
	for name, s := range r {
		values := slices.Concat(s.Mean, s.Low, s.High)
		all[prefix+name] = tensor.Raw{Shape: []int64{int64(len(values) / len(s.Mean)), int64(len(s.Mean))}, Values: values}
	}
	return all
}

// ReadTrunkRecord returns the record of a trunk, as Raw names it.
func ReadTrunkRecord(raw map[string]tensor.Raw, prefix string) (Record, error) {
	return readRecord(raw, prefix, 0, trunkBlocks)
}

// ReadTopRecord returns the record of a top, as Raw names it.
func ReadTopRecord(raw map[string]tensor.Raw, prefix string) (Record, error) {
	return readRecord(raw, prefix, trunkBlocks, len(shapes))
}

func readRecord(raw map[string]tensor.Raw, prefix string, first, end int) (Record, error) {
	r := Record{}
	for i, s := range shapes[first:end] {
		for _, part := range []struct {
			name           string
			rows, channels int64
		}{{".wide", 1, s.in * s.expand}, {".deep", 1, s.in * s.expand}, {".out", 3, s.out}} {
			name, c := strconv.Itoa(first+i)+part.name, part.channels
			t := raw[prefix+name]
			if !slices.Equal(t.Shape, []int64{part.rows, c}) {
				return nil, fmt.Errorf("read what layer %s%s gave: a tensor of shape %v, want %v", prefix, name, t.Shape, []int64{part.rows, c})
			}
			seen := &Seen{Mean: t.Values[:c]}
			if part.rows > 1 {
				seen.Low, seen.High = t.Values[c:2*c], t.Values[2*c:]
			}
			r[name] = seen
		}
	}
	return r, nil
}
