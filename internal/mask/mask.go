// Package mask works on the pixels of a picture that belong to something.
package mask

import (
	"fmt"
	"image"
	"math"
	"slices"
)

// Mask says for every pixel of a picture, row by row, whether it belongs.
type Mask struct {
	Width, Height int
	On            []bool
}

// New returns an empty mask.
func New(width, height int) Mask {
	return Mask{Width: width, Height: height, On: make([]bool, width*height)}
}

// FromGray returns the pixels of a picture whose grey is one of the values, or any but 0 if none is named.
func FromGray(img *image.Gray, values ...uint8) Mask {
	size := img.Bounds().Size()
	m := New(size.X, size.Y)
	for y := range size.Y {
		for x := range size.X {
			v := img.Pix[y*img.Stride+x]
			m.On[y*size.X+x] = len(values) == 0 && v > 0 || slices.Contains(values, v)
		}
	}
	return m
}

// Threshold resamples values (height, width), bilinearly between their centres, to a mask of another size, in which a
// pixel is on where they exceed the threshold.
func Threshold(values []float32, width, height int, threshold float32, toWidth, toHeight int) Mask {
	m := New(toWidth, toHeight)
	columns, rows := positions(width, toWidth), positions(height, toHeight)
	for y, r := range rows {
		above, below := values[r.low*width:], values[r.high*width:]
		for x, c := range columns {
			top := above[c.low] + (above[c.high]-above[c.low])*c.share
			bottom := below[c.low] + (below[c.high]-below[c.low])*c.share
			m.On[y*toWidth+x] = top+(bottom-top)*r.share > threshold
		}
	}
	return m
}

// position is a place between two neighbours of a row.
type position struct {
	low, high int
	share     float32 // of the higher one
}

// positions returns where the centres of to pixels lie among those of from pixels.
func positions(from, to int) []position {
	out := make([]position, to)
	for i := range out {
		at := (float64(i)+0.5)*float64(from)/float64(to) - 0.5
		at = math.Min(math.Max(at, 0), float64(from-1))
		low := int(at)
		out[i] = position{low: low, high: min(low+1, from-1), share: float32(at - float64(low))}
	}
	return out
}

// Area is how many pixels are on.
func (m Mask) Area() int {
	n := 0
	for _, on := range m.On {
		if on {
			n++
		}
	}
	return n
}

// Dice is the overlap 2 |A and B| / (|A| + |B|) of two masks of the same size (Dice 1945); 1 for two empty ones.
func Dice(a, b Mask) float64 {
	both, sum := 0, 0
	for i, on := range a.On {
		if on {
			sum++
		}
		if b.On[i] {
			sum++
			if on {
				both++
			}
		}
	}
	if sum == 0 {
		return 1
	}
	return 2 * float64(both) / float64(sum)
}

// And returns the pixels that are on in both.
func (m Mask) And(o Mask) Mask {
	out := New(m.Width, m.Height)
	for i := range m.On {
		out.On[i] = m.On[i] && o.On[i]
	}
	return out
}

// Or returns the pixels that are on in either.
func (m Mask) Or(o Mask) Mask {
	out := New(m.Width, m.Height)
	for i := range m.On {
		out.On[i] = m.On[i] || o.On[i]
	}
	return out
}

// Columns returns the first and the last column with a pixel that is on; ok is false for an empty mask.
func (m Mask) Columns() (first, last int, ok bool) {
	first, last = m.Width, -1
	for i, on := range m.On {
		if on {
			first, last = min(first, i%m.Width), max(last, i%m.Width)
		}
	}
	return first, last, last >= 0
}

// Centre returns the mean column and row of the pixels that are on, 0 and 0 if there are none.
func (m Mask) Centre() (x, y float64) {
	n := 0
	for i, on := range m.On {
		if on {
			x, y, n = x+float64(i%m.Width), y+float64(i/m.Width), n+1
		}
	}
	if n == 0 {
		return 0, 0
	}
	return x / float64(n), y / float64(n)
}

// Components returns the parts that touch along an edge, the largest first.
func (m Mask) Components() []Mask {
	var parts []Mask
	var sizes []int
	for _, region := range regions(m, true) {
		part := New(m.Width, m.Height)
		for _, i := range region {
			part.On[i] = true
		}
		parts, sizes = append(parts, part), append(sizes, len(region))
	}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return sizes[b] - sizes[a] })
	sorted := make([]Mask, len(parts))
	for to, from := range order {
		sorted[to] = parts[from]
	}
	return sorted
}

// Fill switches on what is off and does not reach the border.
func (m Mask) Fill() Mask {
	out := New(m.Width, m.Height)
	copy(out.On, m.On)
	for _, region := range regions(m, false) {
		if !slices.ContainsFunc(region, func(i int) bool {
			x, y := i%m.Width, i/m.Width
			return x == 0 || y == 0 || x == m.Width-1 || y == m.Height-1
		}) {
			for _, i := range region {
				out.On[i] = true
			}
		}
	}
	return out
}

// regions returns the pixels of every part that is on, or off, and touches along edges.
func regions(m Mask, on bool) [][]int {
	seen := make([]bool, len(m.On))
	var found [][]int
	for start := range m.On {
		if seen[start] || m.On[start] != on {
			continue
		}
		seen[start] = true
		region := []int{start}
		for at := 0; at < len(region); at++ {
			i := region[at]
			visit := func(j int) {
				if !seen[j] && m.On[j] == on {
					seen[j] = true
					region = append(region, j)
				}
			}
			if x := i % m.Width; x > 0 {
				visit(i - 1)
			}
			if x := i % m.Width; x < m.Width-1 {
				visit(i + 1)
			}
			if i >= m.Width {
				visit(i - m.Width)
			}
			if i+m.Width < len(m.On) {
				visit(i + m.Width)
			}
		}
		found = append(found, region)
	}
	return found
}

// Runs returns the lengths of the stretches of pixels that are off and on in turn, row by row, beginning with off: a
// smooth mask in few numbers.
func (m Mask) Runs() []int {
	var runs []int
	at, on := 0, false
	for i, v := range m.On {
		if v != on {
			runs = append(runs, i-at)
			at, on = i, v
		}
	}
	return append(runs, len(m.On)-at)
}

// FromRuns is the inverse of Runs.
func FromRuns(runs []int, width, height int) (Mask, error) {
	if width <= 0 || height <= 0 {
		return Mask{}, fmt.Errorf("read a mask: it has %d x %d pixels", width, height)
	}
	total := 0
	for _, n := range runs {
		if n < 0 || n > width*height-total {
			return Mask{}, fmt.Errorf("read a mask of %d x %d pixels: a run of %d after %d pixels", width, height, n, total)
		}
		total += n
	}
	if total != width*height {
		return Mask{}, fmt.Errorf("read a mask of %d x %d pixels: its runs cover %d", width, height, total)
	}
	m := New(width, height)
	at := 0
	for i, n := range runs {
		for j := at; i%2 == 1 && j < at+n; j++ {
			m.On[j] = true
		}
		at += n
	}
	return m, nil
}
