package efficientnet

import (
	"strconv"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// fast8 is what a Fast in 8 bits has in place of its blocks.
type fast8 struct {
	stem  *kernels.Point
	trunk []block8
	// What goes into a block, comes out and lies between; the residuals in floats.
	one    [2]pixels8 // of one picture
	x, y   pixels8    // of FastImages
	mid    kernels.Pixels8
	output bytes8 // of the trunk
}

// pixels8 are the values of pixels as bytes, and as they are where a residual needs them.
type pixels8 struct {
	bytes  kernels.Pixels8
	floats []float32
}

func newPixels8(n int) pixels8 { return pixels8{kernels.NewPixels8(n), make([]float32, n)} }

// from returns what begins at value n.
func (p pixels8) from(n int) pixels8 { return pixels8{p.bytes[n:], p.floats[n:]} }

// block8 is a block in 8 bits.
type block8 struct {
	shape
	expand    *kernels.Point8 // nil in the first block, which the stem stands before
	depthwise *kernels.Depth8
	project   *kernels.Point8
	residual  bool
	out       *kernels.Rounding
	floats    bool // whether the next block needs the result as residual
}

// NewFast8 copies the parameters of m's trunk in 8 bits, with a scale for each output, for values as bytes by what was seen. The level
// is AVX512 or more. Free frees it.
func NewFast8(a *tensor.Arena, m *Model, seen Record, threads int, level kernels.Level) *Fast {
	f := &fast8{}
	// The stem computes in floats, in steps of the bytes that it gives.
	weight, bias := a.Float32s(a.Contiguous(m.stem.weight)), a.Float32s(m.stem.bias)
	wide := newBytes8(seen["0.wide"])
	per := len(weight) / len(bias)
	for i := range weight {
		weight[i] /= wide.step[i/per]
	}
	for o := range bias {
		bias[o] /= wide.step[o]
	}
	f.stem = kernels.NewPoint(weight, bias, per, stemDim)
	f.stem.Name = "stem"
	f.trunk, f.output = newBlocks8(a, m.trunk, 0, bytes8{}, seen)
	one, many, mid := rooms()
	f.one, f.x, f.y, f.mid = [2]pixels8{newPixels8(one), newPixels8(one)}, newPixels8(many), newPixels8(many), kernels.NewPixels8(mid)
	return &Fast{team: kernels.NewTeam(threads, level), bits8: f}
}

// NewFastTop8 copies the parameters of t in 8 bits, for a Fast of NewFast8. Free frees them.
func (f *Fast) NewFastTop8(a *tensor.Arena, t *Top, seen Record) *FastTop {
	blocks, out := newBlocks8(a, t.blocks, trunkBlocks, f.bits8.output, seen)
	l := quantise(a, t.head, out, nil)
	head := kernels.NewPoint8(l.weight, l.scale, l.bias, int(t.head.in), int(t.head.out))
	head.Name = "head"
	return &FastTop{blocks8: blocks, head8: head}
}

// newBlocks8 takes blocks whose input is bytes by in, and returns by what the last one's output is.
func newBlocks8(a *tensor.Arena, blocks []block, first int, in bytes8, seen Record) (all []block8, out bytes8) {
	for i, b := range blocks {
		name := strconv.Itoa(first + i)
		wide, deep := newBytes8(seen[name+".wide"]), newBytes8(seen[name+".deep"])
		out = newBytes8(seen[name+".out"])
		f := block8{shape: shapes[first+i], residual: b.residual, out: out.rounding(), floats: i+1 < len(blocks) && blocks[i+1].residual}
		if b.expand.weight.Defined() {
			l := quantise(a, b.expand, in, &wide)
			f.expand = kernels.NewPoint8(l.weight, l.scale, l.bias, int(b.expand.in), int(b.expand.out))
			f.expand.Name = name + ".expand"
		}
		l := quantise(a, b.depthwise, wide, &deep)
		f.depthwise = kernels.NewDepth8(l.weight, l.scale, l.bias, int(b.depthwise.kernel), int(b.depthwise.stride))
		l = quantise(a, b.project, deep, nil)
		f.project = kernels.NewPoint8(l.weight, l.scale, l.bias, int(b.project.in), int(b.project.out))
		f.project.Name = name + ".project"
		all, in = append(all, f), out
	}
	return all, out
}

func (f *fast8) free() {
	f.stem.Free()
	freeBlocks8(f.trunk)
}

func freeBlocks8(blocks []block8) {
	for _, b := range blocks {
		if b.expand != nil {
			b.expand.Free()
		}
		b.depthwise.Free()
		b.project.Free()
	}
}

// forward computes up to FastImages pictures.
func (f *fast8) forward(team *kernels.Team, top *FastTop, pictures [][]float32, features, grid []float32) {
	n, side, lower := len(pictures), 0, 0
	for i, picture := range pictures {
		side, lower = f.alone(team, picture, i)
	}
	for _, blocks := range [][]block8{f.trunk[lower:], top.blocks8} {
		for _, b := range blocks {
			side = f.block(team, b, f.x, n, side, f.y)
			f.x, f.y = f.y, f.x
		}
	}
	team.Narrow8(top.head8, f.x.bytes, n*side*side, kernels.PointClip, nil, grid, nil, nil)
	team.Mean(grid, n, side*side, Dim, features)
}

// alone takes one picture to the first grid below aloneGrid, where it writes it to place i of f.x. It returns that grid and the
// number of the block that follows.
func (f *fast8) alone(team *kernels.Team, picture []float32, i int) (side, next int) {
	side = Side / 2
	first := f.trunk[0]
	team.Stem8(f.stem, first.depthwise, picture, 1, side, f.mid)
	x, y := f.one[0], f.one[1]
	first.narrow(team, f.mid, side*side, pixels8{}, x)
	for next = 1; side >= aloneGrid; next++ {
		b := f.trunk[next]
		if after := side / int(b.stride); after < aloneGrid {
			y = f.x.from(i * after * after * kernels.Padded(b.project.Out))
		}
		side = f.block(team, b, x, 1, side, y)
		x, y = y, x
	}
	return side, next
}

// block takes x (n, side, side, in) to y and returns its side.
func (f *fast8) block(team *kernels.Team, b block8, x pixels8, n, side int, y pixels8) int {
	team.Widen8(b.expand, b.depthwise, x.bytes, n, side, f.mid)
	side /= int(b.stride)
	b.narrow(team, f.mid, n*side*side, x, y)
	return side
}

// narrow takes mid (rows, wide) to y, with x as the residual.
func (b block8) narrow(team *kernels.Team, mid kernels.Pixels8, rows int, x, y pixels8) {
	after, floats := kernels.PointKeep, y.floats
	if b.residual {
		after = kernels.PointAdd
	}
	if !b.floats {
		floats = nil
	}
	team.Narrow8(b.project, mid, rows, after, x.floats, floats, b.out, y.bytes)
}
