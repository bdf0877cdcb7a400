package overlay

import (
	"image"
	"image/color"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"

	"consilium/internal/analysis"
)

func TestGridsAreDrawnOverThePicture(t *testing.T) {
	film := image.NewGray(image.Rect(0, 0, 600, 300))
	for i := range film.Pix {
		film.Pix[i] = 100
	}
	g := &analysis.Grid{Rows: 3, Cols: 2, Values: []float32{0, 0.2, 0.4, 0, 0.1, -1}}
	b, err := Heat(film, "Pneumonia", g)
	img := decode(t, b, err)
	if size := img.Bounds().Size(); size != image.Pt(600, 300+6+3*16) {
		t.Errorf("the drawing has %v pixels", size)
	}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) }
	grey := color.RGBA{R: 100, G: 100, B: 100, A: 255}
	tinted := func(share float64) color.RGBA { return mix(grey, heatColour(share), mostTint*share) }
	for name, test := range map[string]struct {
		x, y int
		want color.RGBA
	}{
		"a cell of 0":            {150, 50, grey},
		"a cell below 0":         {450, 250, grey},
		"half of the maximum":    {450, 50, tinted(0.5)},
		"the maximum":            {150, 150, tinted(1)},
		"its corner":             {299, 199, tinted(1)},
		"the next cell":          {300, 199, grey},
		"a quarter":              {0, 299, tinted(0.25)},
		"the scale's beginning":  {18, 300 + 6 + 11 + 32 - 4, heatColours[0]},
		"the scale's end":        {18 + scaleWidth - 1, 300 + 6 + 11 + 32 - 4, heatColours[len(heatColours)-1]},
		"below, beside the text": {590, 340, color.RGBA{A: 255}},
	} {
		if got := at(test.x, test.y); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	lines := [3]int{}
	for x := range 600 {
		for y := 300; y < 354; y++ {
			if at(x, y) == (color.RGBA{R: 255, G: 255, B: 255, A: 255}) {
				lines[min(2, (y-306)/16)]++
			}
		}
	}
	if lines[0] < 500 || lines[1] < 80 || lines[2] < 50 {
		t.Errorf("the warning, the title and the scale have %v white pixels", lines)
	}
}

// TestMoreIsBrighter has the colours of the scale rise in lightness, so that it is read without colour too.
func TestMoreIsBrighter(t *testing.T) {
	last := -1.0
	for i := range 101 {
		c := heatColour(float64(i) / 100)
		lightness := 0.2126*float64(c.R) + 0.7152*float64(c.G) + 0.0722*float64(c.B)
		if lightness < last-1 {
			t.Errorf("at %d %% the lightness falls from %v to %v", i, last, lightness)
		}
		last = lightness
	}
}

func TestTheWarningFits(t *testing.T) {
	if width := font.MeasureString(basicfont.Face7x13, heatWarning).Ceil(); width > minWidth-margin {
		t.Errorf("the warning takes %d pixels of %d", width, minWidth-margin)
	}
}

func TestOddGrids(t *testing.T) {
	film := image.NewGray(image.Rect(0, 0, 3, 2000))
	b, err := Heat(film, "x", &analysis.Grid{Rows: 1, Cols: 1, Values: []float32{0}})
	if img := decode(t, b, err); img.Bounds().Dy() > MaxSide+100 {
		t.Errorf("the drawing has %v pixels", img.Bounds())
	}
	for _, bad := range []*analysis.Grid{{}, {Rows: -1, Cols: -1, Values: []float32{1}}, {Rows: 2, Cols: 2, Values: []float32{1}}} {
		if _, err := Heat(film, "x", bad); err == nil {
			t.Errorf("%+v was drawn", bad)
		}
	}
}
