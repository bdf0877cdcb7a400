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

// resize returns the opaque picture at another size, as imaging.Resize with imaging.CatmullRom makes it, to the same values to the
// bit. That carries a fourth channel and sums one pixel at a time, which is most of what reading a radiograph of 2,000 pixels costs;
// here a plane goes at a time.
func resize(img image.Image, width, height int) resized {
	from := img.Bounds().Size()
	read, planes := colours, 3
	if _, ok := img.(*image.Gray); ok {
		read, planes = grey, 1
	}
	narrow := make([][]uint8, planes)
	for c := range narrow {
		narrow[c] = make([]uint8, width*from.Y)
	}
	line := catmullRom(from.X, width)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for y := 0; y < from.Y; y += bandRows {
		group.Go(func() error {
			last := min(y+bandRows, from.Y)
			band, stride := read(img, y, last)
			for c := range band {
				resizeRows(narrow[c][y*width:last*width], band[c], line, from.X, stride)
			}
			return nil
		})
	}
	_ = group.Wait() // no band can fail
	r, line := resized{make([][]uint8, planes)}, catmullRom(from.Y, height)
	for c := range narrow {
		r.planes[c] = resizeColumns(narrow[c], line, width)
	}
	return r
}

// bandRows is how many rows one goroutine takes at a time.
const bandRows = 64

// grey returns rows of a grey picture, and how far apart they begin.
func grey(img image.Image, first, last int) (planes [][]uint8, stride int) {
	g := img.(*image.Gray)
	return [][]uint8{g.Pix[first*g.Stride:]}, g.Stride
}

// colours returns rows of any picture as red, green and blue, and how far apart they begin.
func colours(img image.Image, first, last int) (planes [][]uint8, stride int) {
	b := img.Bounds()
	pix := imaging.Crop(img, image.Rect(b.Min.X, b.Min.Y+first, b.Max.X, b.Min.Y+last)).Pix
	n := len(pix) / 4
	red, green, blue := make([]uint8, n), make([]uint8, n), make([]uint8, n)
	for i := range n {
		p := pix[4*i:][:4]
		red[i], green[i], blue[i] = p[0], p[1], p[2]
	}
	return [][]uint8{red, green, blue}, b.Dx()
}

// luminance is that of pixel i, 0 to 255 (ITU-R BT.601).
func (r resized) luminance(i int) float32 {
	red, green, blue := r.planes[0][i], r.planes[0][i], r.planes[0][i]
	if len(r.planes) == 3 {
		green, blue = r.planes[1][i], r.planes[2][i]
	}
	return 0.299*float32(red) + 0.587*float32(green) + 0.114*float32(blue)
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
