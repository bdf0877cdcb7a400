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
	return resizeColumns(narrow, catmullRom(from.Y, height), width)
}

// taps are the pixels of a line that make each pixel of the resized one.
type taps struct {
	begin   []int32   // the first of them
	first   []int32   // where its weights begin, and behind the last the number of weights
	weights []float64 // of 255ths, since the sums were of values times opacity
	scale   []float64 // one over the sum of the weights
}

// length is that of the resized line.
func (t *taps) length() int { return len(t.begin) }

// catmullRom returns the taps of a line of from pixels that becomes one of to. The kernel widens when it shrinks the line.
func catmullRom(from, to int) *taps {
	step := float64(from) / float64(to)
	stretch := math.Max(step, 1)
	radius := math.Ceil(stretch * imaging.CatmullRom.Support)
	t := &taps{first: []int32{0}}
	for i := range to {
		centre := (float64(i)+0.5)*step - 0.5
		begin, end := max(int(math.Ceil(centre-radius)), 0), min(int(math.Floor(centre+radius)), from-1)
		at := len(t.weights)
		var sum float64
		for u := begin; u <= end; u++ {
			w := imaging.CatmullRom.Kernel((float64(u) - centre) / stretch)
			t.weights, sum = append(t.weights, w), sum+w
		}
		var opacity float64
		for k := at; k < len(t.weights); k++ {
			t.weights[k] = 255 * (t.weights[k] / sum)
			opacity += t.weights[k]
		}
		t.begin, t.first, t.scale = append(t.begin, int32(begin)), append(t.first, int32(len(t.weights))), append(t.scale, 1/opacity)
	}
	return t
}
