package overlay

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"consilium/internal/analysis"
)

// heatWarning stands under every drawing of a grid.
const heatWarning = "RESEARCH ONLY. NOT A MEDICAL DEVICE. ABOUT THE MODEL, NO DIAGNOSIS."

// heatColours are the colours from the least of a grid to its maximum.
var heatColours = []color.RGBA{{R: 40, G: 0, B: 90, A: 255}, {R: 200, G: 30, B: 80, A: 255}, {R: 255, G: 150, B: 0, A: 255}, {R: 255, G: 255, B: 120, A: 255}}

// mostTint is how much of its colour a cell has at the maximum, so that the picture is seen through it.
const mostTint = 0.55

// The scale below the picture.
const scaleWidth, scaleHeight = 200, 10

// Heat draws a grid over its picture and returns the drawing as a PNG, with title, scale and a warning below. Each cell
// is coloured as a whole: a smooth drawing would show an accuracy that the grid does not have. A cell of 0 is left
// as it is. The picture is upright.
func Heat(picture image.Image, title string, g *analysis.Grid) ([]byte, error) {
	if g.Rows < 1 || g.Cols < 1 || len(g.Values) != g.Rows*g.Cols {
		return nil, fmt.Errorf("draw %s: %d values for a grid of %d x %d", title, len(g.Values), g.Rows, g.Cols)
	}
	most := float32(0)
	for _, v := range g.Values {
		most = max(most, v)
	}
	canvas, size := lay(picture, 3)
	for y := range size.Y {
		for x := range size.X {
			if v := g.Values[y*g.Rows/size.Y*g.Cols+x*g.Cols/size.X]; v > 0 {
				share := float64(v / most)
				canvas.SetRGBA(x, y, mix(canvas.RGBAAt(x, y), heatColour(share), mostTint*share))
			}
		}
	}
	baseline := size.Y + margin + 11
	write(canvas, margin, baseline, color.White, heatWarning)
	write(canvas, margin, baseline+line, color.White, title)
	left := margin
	write(canvas, left, baseline+2*line, color.White, "0")
	left += 2 * margin
	for x := range scaleWidth {
		for y := range scaleHeight {
			canvas.SetRGBA(left+x, baseline+2*line-scaleHeight+1+y, heatColour(float64(x)/(scaleWidth-1)))
		}
	}
	write(canvas, left+scaleWidth+margin, baseline+2*line, color.White, fmt.Sprintf("%.3g (%d x %d cells)", most, g.Rows, g.Cols))
	return encode(canvas)
}

// heatColour returns the colour of a share of the maximum.
func heatColour(share float64) color.RGBA {
	at := math.Min(1, math.Max(0, share)) * float64(len(heatColours)-1)
	i := min(int(at), len(heatColours)-2)
	return mix(heatColours[i], heatColours[i+1], at-float64(i))
}
