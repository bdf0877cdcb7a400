package overlay

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/mask"
)

func segmentation(on func(structure string, x, y int) bool) *analysis.Segmentation {
	s := &analysis.Segmentation{Rows: 10, Cols: 10}
	for _, name := range analysis.Structures {
		m := mask.New(10, 10)
		for i := range m.On {
			m.On[i] = on(name, i%10, i/10)
		}
		s.Masks = append(s.Masks, analysis.Mask{Structure: name, Runs: m.Runs(), Confidence: 0.9})
	}
	return s
}

func decode(t *testing.T, b []byte, err error) image.Image {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestMasksAreDrawnOverThePicture(t *testing.T) {
	film := image.NewGray(image.Rect(0, 0, 200, 100))
	for i := range film.Pix {
		film.Pix[i] = 100
	}
	s := segmentation(func(structure string, x, y int) bool {
		return structure == analysis.RightLung && x >= 2 && x < 5 && y >= 2 && y < 8 || structure == analysis.Consolidation && x >= 3 && x < 5 && y >= 5 && y < 8
	})
	b, err := PNG(film, s)
	img := decode(t, b, err)
	if size := img.Bounds().Size(); size != image.Pt(minWidth, 100+6+3*16) {
		t.Errorf("the drawing has %v pixels", size)
	}
	grey := color.RGBA{R: 100, G: 100, B: 100, A: 255}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) }
	for name, test := range map[string]struct {
		x, y int
		want color.RGBA
	}{
		"beside the lung":     {10, 50, grey},
		"the lung's outline":  {40, 40, styles[analysis.RightLung].colour},
		"inside the lung":     {50, 40, grey},
		"the lesion's edge":   {60, 55, styles[analysis.Consolidation].colour},
		"inside the lesion":   {80, 65, color.RGBA{R: 132, G: 90, B: 132, A: 255}},
		"beside the picture":  {300, 50, color.RGBA{A: 255}},
		"the legend's square": {8, 100 + 6 + 11 + 16 - 4, styles[analysis.RightLung].colour},
	} {
		if got := at(test.x, test.y); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	written := 0
	for x := range minWidth {
		for y := 100; y < 122; y++ {
			if at(x, y) == (color.RGBA{R: 255, G: 255, B: 255, A: 255}) {
				written++
			}
		}
	}
	if written < 500 {
		t.Errorf("the warning has %d white pixels", written)
	}
}

func TestSizesAreBounded(t *testing.T) {
	none := segmentation(func(string, int, int) bool { return false })
	for _, size := range []image.Point{{1, 1}, {5000, 3}, {3, 5000}, {2000, 2000}} {
		b, err := PNG(image.NewGray(image.Rectangle{Max: size}), none)
		if got := decode(t, b, err).Bounds().Size(); got.X > MaxSide || got.Y > MaxSide+100 {
			t.Errorf("a picture of %v pixels becomes one of %v", size, got)
		}
	}
	none.Masks[0].Runs = []int{7}
	if _, err := PNG(image.NewGray(image.Rect(0, 0, 4, 4)), none); err == nil {
		t.Error("a mask of 7 cells is drawn on 100")
	}
}
