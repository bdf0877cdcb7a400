package media

import (
	"image"
	"image/color"
	"math"
	"slices"
	"testing"
)

func TestPlanes(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 30, 20))
	for y := range 20 {
		for x := range 30 {
			img.Set(x, y, color.RGBA{uint8(8 * x), uint8(12 * y), 77, 255})
		}
	}
	// The encoder's own input is the same, as far as they overlap.
	three := Planes(img, 224, 224, []float32{1.0 / 128, 1.0 / 128, 1.0 / 128}, []float32{-127.0 / 128, -127.0 / 128, -127.0 / 128})
	for i, want := range ImageTensor(img, 224) {
		if d := math.Abs(float64(three[i] - want)); d > 1e-6 {
			t.Fatalf("value %d is %v, want %v", i, three[i], want)
		}
	}
	same := Planes(img, 30, 20, []float32{1, 2, 3}, []float32{0, 1, -7})
	if at := 600 + 5*30 + 4; same[5*30+4] != 32 || same[at] != 2*60+1 || same[2*600+9] != 3*77-7 {
		t.Errorf("planes: %v, %v, %v", same[5*30+4], same[at], same[2*600+9])
	}
	grey := Planes(img, 30, 20, []float32{1}, []float32{0})
	if want := 0.299*32 + 0.587*60 + 0.114*77; len(grey) != 600 || math.Abs(float64(grey[5*30+4])-want) > 1e-3 {
		t.Errorf("luminance %v, want %v", grey[5*30+4], want)
	}
	flat := image.NewGray(image.Rect(0, 0, 9, 9))
	for i := range flat.Pix {
		flat.Pix[i] = 200
	}
	if out := Planes(flat, 16, 8, []float32{1}, []float32{0}); len(out) != 128 || slices.ContainsFunc(out, func(v float32) bool { return math.Abs(float64(v)-200) > 0.01 }) {
		t.Errorf("a flat picture: %v", out[:8])
	}
}
