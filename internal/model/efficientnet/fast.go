package efficientnet

import (
	"strconv"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// Fast is the trunk of a Model, for its tops, on kernels that are made for it: the same function, on the processor only, or by
// NewFast8 one that is near it.
type Fast struct {
	team  *kernels.Team
	stem  *kernels.Point
	trunk []fastBlock
	// What goes into a block, comes out and lies between.
	one  [2][]float32 // of one picture
	x, y []float32    // of FastImages
	mid  []float32
	// In place of all but the team in 8 bits.
	bits8 *fast8
}

// FastTop is a Top for a Fast.
type FastTop struct {
	blocks []fastBlock
	head   *kernels.Point
	// In place of these in 8 bits.
	blocks8 []block8
	head8   *kernels.Point8
}

// fastBlock is a block. The first has no expand: the stem stands in its place.
type fastBlock struct {
	shape
	expand    *kernels.Point
	depthwise *kernels.Depth
	project   *kernels.Point
	residual  bool
}

const (
	// FastImages is how many pictures a Fast takes through the net together.
	FastImages = 8
	// aloneGrid is the least grid at which each of them goes alone: there what lies between two layers is large and the
	// weights are small.
	aloneGrid = 28
)

// NewFast copies the parameters of m's trunk. Free frees them.
func NewFast(a *tensor.Arena, m *Model, threads int, level kernels.Level) *Fast {
	f := &Fast{team: kernels.NewTeam(threads, level), stem: newPoint(a, m.stem, "stem"), trunk: newFastBlocks(a, m.trunk, 0)}
	one, many, mid := rooms()
	f.one = [2][]float32{make([]float32, one), make([]float32, one)}
	f.x, f.y, f.mid = make([]float32, many), make([]float32, many), make([]float32, mid)
	return f
}

// rooms returns how many values go into a block or come out of it, of one picture where it goes alone, of all elsewhere, and how many
// lie between.
func rooms() (one, many, mid int) {
	side := Side / 2
	for _, s := range shapes {
		side /= int(s.stride)
		images, narrow := 1, side*side*kernels.Padded(int(s.out))
		if side < aloneGrid {
			images, many = FastImages, max(many, FastImages*narrow)
		} else {
			one = max(one, narrow)
		}
		mid = max(mid, images*side*side*int(s.in*s.expand))
	}
	return one, many, mid
}

// NewFastTop copies the parameters of t. Free frees them.
func NewFastTop(a *tensor.Arena, t *Top) *FastTop {
	return &FastTop{blocks: newFastBlocks(a, t.blocks, trunkBlocks), head: newPoint(a, t.head, "head")}
}

func newFastBlocks(a *tensor.Arena, blocks []block, first int) (all []fastBlock) {
	for i, b := range blocks {
		name := strconv.Itoa(first + i)
		f := fastBlock{shape: shapes[first+i], project: newPoint(a, b.project, name+".project"), residual: b.residual}
		f.depthwise = kernels.NewDepth(a.Float32s(a.Contiguous(b.depthwise.weight)), a.Float32s(b.depthwise.bias),
			int(b.depthwise.kernel), int(b.depthwise.stride))
		if b.expand.weight.Defined() {
			f.expand = newPoint(a, b.expand, name+".expand")
		}
		all = append(all, f)
	}
	return all
}

func newPoint(a *tensor.Arena, c conv, name string) *kernels.Point {
	p := kernels.NewPoint(a.Float32s(a.Contiguous(c.weight)), a.Float32s(c.bias), int(c.in*c.kernel*c.kernel), int(c.out))
	p.Name = name
	return p
}

// Free frees the net. No top can be used with it afterwards.
func (f *Fast) Free() {
	if f.bits8 != nil {
		f.bits8.free()
	} else {
		f.stem.Free()
		freeBlocks(f.trunk)
	}
	f.team.Free()
	*f = Fast{}
}

// Free frees the weights.
func (t *FastTop) Free() {
	if t.head8 != nil {
		freeBlocks8(t.blocks8)
		t.head8.Free()
	} else {
		freeBlocks(t.blocks)
		t.head.Free()
	}
	*t = FastTop{}
}

func freeBlocks(blocks []fastBlock) {
	for _, b := range blocks {
		if b.expand != nil {
			b.expand.Free()
		}
		b.depthwise.Free()
		b.project.Free()
	}
}

// Forward is Model.Forward with that top, of pictures that are (3, 224, 224) each. One goroutine at a time may call it.
func (f *Fast) Forward(top *FastTop, pictures [][]float32) (features, grid []float32) {
	const cells = Grid * Grid
	features, grid = make([]float32, len(pictures)*Dim), make([]float32, len(pictures)*cells*Dim)
	v, g := features, grid
	for len(pictures) > 0 {
		n := min(len(pictures), FastImages)
		if f.bits8 != nil {
			f.bits8.forward(f.team, top, pictures[:n], v, g)
		} else {
			f.forward(top, pictures[:n], v, g)
		}
		pictures, v, g = pictures[n:], v[n*Dim:], g[n*cells*Dim:]
	}
	return features, grid
}

// forward computes up to FastImages pictures.
func (f *Fast) forward(top *FastTop, pictures [][]float32, features, grid []float32) {
	n, side, lower := len(pictures), 0, 0
	for i, picture := range pictures {
		side, lower = f.alone(picture, i)
	}
	for _, b := range append(f.trunk[lower:len(f.trunk):len(f.trunk)], top.blocks...) {
		side = f.block(b, f.x, n, side, f.y)
		f.x, f.y = f.y, f.x
	}
	f.team.Narrow(top.head, f.x, n*side*side, kernels.PointClip, nil, grid)
	f.team.Mean(grid, n, side*side, Dim, features)
}

// alone takes one picture to the first grid below aloneGrid, where it writes it to place i of f.x. It returns that grid and the
// number of the block that follows.
func (f *Fast) alone(picture []float32, i int) (side, next int) {
	side = Side / 2
	first := f.trunk[0]
	f.team.Stem(f.stem, first.depthwise, picture, 1, side, f.mid)
	x, y := f.one[0], f.one[1]
	f.team.Narrow(first.project, f.mid, side*side, kernels.PointKeep, nil, x)
	for next = 1; side >= aloneGrid; next++ {
		b := f.trunk[next]
		if after := side / int(b.stride); after < aloneGrid {
			y = f.x[i*after*after*kernels.Padded(b.project.Out):]
		}
		side = f.block(b, x, 1, side, y)
		x, y = y, x
	}
	return side, next
}

// block takes x (n, side, side, in) to y and returns its side.
func (f *Fast) block(b fastBlock, x []float32, n, side int, y []float32) int {
	f.team.Widen(b.expand, b.depthwise, x, n, side, f.mid)
	side /= int(b.stride)
	after := kernels.PointKeep
	if b.residual {
		after = kernels.PointAdd
	}
	f.team.Narrow(b.project, f.mid, n*side*side, after, x, y)
	return side
}
