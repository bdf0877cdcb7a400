package media

import (
	"image"
	"math"
	"runtime"

	"github.com/disintegration/imaging"
	"golang.org/x/sync/errgroup"
)

// resized is a picture of 8 bits a sample, plane by plane, row by row: one plane for grey, else red, green and blue.
type resized struct{ planes [][]uint8 }

// resize returns the opaque picture at another size, as imaging.Resize with imaging.CatmullRom makes it. That carries four
// channels and a conversion of each pixel through a grey picture, which is most of what reading a radiograph of 2,000 pixels
// costs; a grey one is resized here, to the same values to the bit.
func resize(img image.Image, width, height int) resized {
	if grey, ok := img.(*image.Gray); ok {
		return resized{[][]uint8{resizeGrey(grey, width, height)}}
	}
	pix := imaging.Resize(img, width, height, imaging.CatmullRom).Pix
	r := resized{make([][]uint8, 3)}
	for c := range r.planes {
		r.planes[c] = make([]uint8, width*height)
		for i := range r.planes[c] {
			r.planes[c][i] = pix[4*i+c]
		}
	}
	return r
}

// luminance is that of pixel i, 0 to 255 (ITU-R BT.601).
func (r resized) luminance(i int) float32 {
	red, green, blue := r.planes[0][i], r.planes[0][i], r.planes[0][i]
	if len(r.planes) == 3 {
		green, blue = r.planes[1][i], r.planes[2][i]
	}
	return 0.299*float32(red) + 0.587*float32(green) + 0.114*float32(blue)
}

// bandRows is how many rows one goroutine takes at a time.
const bandRows = 64

// resizeGrey brings the rows to their width, then the columns to their height.
func resizeGrey(img *image.Gray, width, height int) []uint8 {
	from := img.Bounds().Size()
	line := catmullRom(from.X, width)
	narrow := make([]uint8, width*from.Y)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for y := 0; y < from.Y; y += bandRows {
		group.Go(func() error {
			last := min(y+bandRows, from.Y)
			resizeRows(narrow[y*width:last*width], img.Pix[y*img.Stride:], line, from.X, img.Stride)
			return nil
		})
	}
	_ = group.Wait() // no band can fail
	turned := make([]uint8, width*height)
	resizeRows(turned, transpose(narrow, width), catmullRom(from.Y, height), from.Y, from.Y)
	return transpose(turned, height)
}

// taps are the pixels of a line that make one pixel of the resized line.
type taps struct {
	begin   int
	weights []float64 // of 255ths, since the sums were of values times opacity
	scale   float64   // one over the sum of the weights
}

// catmullRom returns the taps of a line of from pixels that becomes one of to. The kernel widens when it shrinks the line.
func catmullRom(from, to int) []taps {
	step := float64(from) / float64(to)
	stretch := math.Max(step, 1)
	radius := math.Ceil(stretch * imaging.CatmullRom.Support)
	line := make([]taps, to)
	for i := range line {
		centre := (float64(i)+0.5)*step - 0.5
		begin, end := max(int(math.Ceil(centre-radius)), 0), min(int(math.Floor(centre+radius)), from-1)
		weights := make([]float64, 0, end-begin+1)
		var sum float64
		for u := begin; u <= end; u++ {
			w := imaging.CatmullRom.Kernel((float64(u) - centre) / stretch)
			weights, sum = append(weights, w), sum+w
		}
		var opacity float64
		for k := range weights {
			weights[k] = 255 * (weights[k] / sum)
			opacity += weights[k]
		}
		line[i] = taps{begin: begin, weights: weights, scale: 1 / opacity}
	}
	return line
}

// together is how many rows are summed side by side: an addition waits for the one before it, so a single sum leaves the
// processor idle three cycles of four.
const together = 4

// resizeRows fills to with rows of len(line) pixels, from rows of width pixels that begin stride apart.
func resizeRows(to, from []uint8, line []taps, width, stride int) {
	height := len(to) / len(line)
	var rows [together][]float64
	for k := range rows {
		rows[k] = make([]float64, width)
	}
	for y := 0; y < height; y += together {
		some := min(together, height-y)
		for k := range some {
			for x, v := range from[(y+k)*stride:][:width] {
				rows[k][x] = float64(v)
			}
		}
		for x, t := range line {
			n := len(t.weights)
			a, b, c, d := rows[0][t.begin:][:n], rows[1][t.begin:][:n], rows[2][t.begin:][:n], rows[3][t.begin:][:n]
			var sums [together]float64
			for i, w := range t.weights {
				sums[0] += a[i] * w
				sums[1] += b[i] * w
				sums[2] += c[i] * w
				sums[3] += d[i] * w
			}
			for k := range some {
				to[(y+k)*len(line)+x] = toByte(sums[k] * t.scale)
			}
		}
	}
}

// toByte rounds to the nearest of 0 to 255.
func toByte(v float64) uint8 { return uint8(min(max(int64(v+0.5), 0), 255)) }

// transpose exchanges the rows of a plane, of width pixels each, and its columns.
func transpose(from []uint8, width int) []uint8 {
	height := len(from) / width
	to := make([]uint8, len(from))
	for y := range height {
		for x, v := range from[y*width : (y+1)*width] {
			to[x*height+y] = v
		}
	}
	return to
}
