// Package overlay draws what a model saw where over the picture that it saw, for people to look at.
package overlay

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"

	scale "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"consilium/internal/analysis"
	"consilium/internal/mask"
)

// MaxSide bounds the longer side of the drawing, in pixels; a larger picture is shrunk.
const MaxSide = 1024

// minWidth leaves room for the legend.
const minWidth = 480

// warning stands under every drawing.
const warning = "RESEARCH ONLY. NOT A MEDICAL DEVICE. MASKS BY A MODEL, NOT REVIEWED."

// style is how a structure is drawn: its outline, and a tint of so much.
type style struct {
	colour color.RGBA
	tint   float64
}

var styles = map[string]style{
	analysis.RightLung:     {color.RGBA{R: 60, G: 200, B: 255, A: 255}, 0},
	analysis.LeftLung:      {color.RGBA{R: 60, G: 120, B: 255, A: 255}, 0},
	analysis.Heart:         {color.RGBA{R: 255, G: 170, B: 40, A: 255}, 0},
	analysis.Lesion:        {color.RGBA{R: 255, G: 60, B: 60, A: 255}, 0},
	analysis.GroundGlass:   {color.RGBA{R: 255, G: 235, B: 60, A: 255}, 0.25},
	analysis.Consolidation: {color.RGBA{R: 230, G: 60, B: 230, A: 255}, 0.25},
}

// PNG draws the masks of a segmentation over its picture and returns the drawing as a PNG, with a legend and a warning
// below. The picture is upright.
func PNG(picture image.Image, s *analysis.Segmentation) ([]byte, error) {
	legend := legendOf(s)
	canvas, size := lay(picture, len(legend)+1)
	for _, m := range s.Masks {
		cells, err := mask.FromRuns(m.Runs, s.Cols, s.Rows)
		if err != nil {
			return nil, fmt.Errorf("draw the %s: %w", m.Structure, err)
		}
		paint(canvas, size, cells, styles[m.Structure])
	}
	baseline := size.Y + margin + 11
	write(canvas, margin, baseline, color.White, warning)
	for i, entry := range legend {
		y := baseline + (i+1)*line
		draw.Draw(canvas, image.Rect(margin, y-9, margin+10, y+1), image.NewUniform(styles[entry.structure].colour), image.Point{}, draw.Src)
		write(canvas, margin+16, y, color.White, entry.text)
	}
	return encode(canvas)
}

// The lines of text below a picture are so high, and begin so far from the edges.
const line, margin = 16, 6

// lay returns a canvas with the picture on it, in the size that it returns, and room for lines of text below.
func lay(picture image.Image, lines int) (*image.RGBA, image.Point) {
	size := fit(picture.Bounds().Size())
	canvas := image.NewRGBA(image.Rect(0, 0, max(size.X, minWidth), size.Y+margin+line*lines))
	draw.Draw(canvas, canvas.Bounds(), image.Black, image.Point{}, draw.Src)
	scale.ApproxBiLinear.Scale(canvas, image.Rectangle{Max: size}, picture, picture.Bounds(), draw.Src, nil)
	return canvas, size
}

func encode(canvas image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, canvas); err != nil {
		return nil, fmt.Errorf("write the drawing: %w", err)
	}
	return b.Bytes(), nil
}

// fit returns the size at which a picture is drawn.
func fit(size image.Point) image.Point {
	if longer := max(size.X, size.Y); longer > MaxSide {
		size = image.Pt(max(1, size.X*MaxSide/longer), max(1, size.Y*MaxSide/longer))
	}
	return size
}

// paint tints the cells of a mask and draws its outline.
func paint(canvas *image.RGBA, size image.Point, cells mask.Mask, s style) {
	at := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < size.X && y < size.Y && cells.On[y*cells.Height/size.Y*cells.Width+x*cells.Width/size.X]
	}
	for y := range size.Y {
		for x := range size.X {
			if !at(x, y) {
				continue
			}
			tint := s.tint
			if !at(x-1, y) || !at(x+1, y) || !at(x, y-1) || !at(x, y+1) {
				tint = 1
			}
			if tint == 0 {
				continue
			}
			canvas.SetRGBA(x, y, mix(canvas.RGBAAt(x, y), s.colour, tint))
		}
	}
}

// mix returns a with so much of b in it.
func mix(a, b color.RGBA, share float64) color.RGBA {
	of := func(a, b uint8) uint8 { return uint8(float64(a)*(1-share) + float64(b)*share) }
	return color.RGBA{R: of(a.R, b.R), G: of(a.G, b.G), B: of(a.B, b.B), A: 255}
}

// entry is one line of the legend.
type entry struct{ structure, text string }

// legendOf names every structure that was found.
func legendOf(s *analysis.Segmentation) []entry {
	var legend []entry
	for _, m := range s.Masks {
		if len(m.Runs) > 1 { // a single run is one of nothing
			legend = append(legend, entry{m.Structure, fmt.Sprintf("%s (mean probability %.2f)", m.Structure, m.Confidence)})
		}
	}
	return legend
}

func write(canvas draw.Image, x, y int, c color.Color, text string) {
	d := font.Drawer{Dst: canvas, Src: image.NewUniform(c), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(text)
}
