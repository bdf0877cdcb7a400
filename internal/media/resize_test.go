package media

import (
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/disintegration/imaging"
)

// noisy fills a picture of each kind that DecodeImage returns with noise, of few values so that overshoot is cut off too.
func noisy(rng *rand.Rand, width, height int) map[string]image.Image {
	bounds := image.Rect(0, 0, width, height)
	wide := image.NewGray(image.Rect(0, 0, width+3, height+1)) // a part of a picture has rows longer than its own
	grey, rgba, nrgba, colour := image.NewGray(bounds), image.NewRGBA(bounds), image.NewNRGBA(bounds), image.NewYCbCr(bounds, image.YCbCrSubsampleRatio420)
	for _, pix := range [][]uint8{wide.Pix, grey.Pix, rgba.Pix, nrgba.Pix, colour.Y, colour.Cb, colour.Cr} {
		for i := range pix {
			pix[i] = uint8(rng.IntN(4) * 85)
		}
	}
	for i := 3; i < len(rgba.Pix); i += 4 {
		rgba.Pix[i], nrgba.Pix[i] = 255, 255
	}
	return map[string]image.Image{"grey": grey, "RGBA": rgba, "NRGBA": nrgba, "YCbCr": colour, "part": wide.SubImage(image.Rect(2, 1, width+2, height+1))}
}

// The values are those of the imaging library, to the bit, whatever the size, the direction and the kind of picture.
func TestResizeIsThatOfImaging(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][4]int{{200, 150, 64, 64}, {150, 401, 64, 48}, {64, 64, 64, 64}, {64, 90, 64, 32}, {90, 64, 32, 64}, {31, 17, 224, 224}, {1, 1, 5, 7}, {1, 300, 3, 2}, {300, 1, 2, 3}, {513, 5, 512, 6}} {
		for kind, img := range noisy(rng, size[0], size[1]) {
			want, got := imaging.Resize(img, size[2], size[3], imaging.CatmullRom), resize(img, size[2], size[3])
			for i := range size[2] * size[3] {
				for c := range 3 {
					if v := got.planes[c%len(got.planes)][i]; v != want.Pix[4*i+c] {
						t.Fatalf("%s %v: channel %d of pixel %d is %d, want %d", kind, size, c, i, v, want.Pix[4*i+c])
					}
				}
			}
		}
	}
}

// BenchmarkResize compares both, from a thumbnail to a radiograph: go test -bench Resize ./internal/media
func BenchmarkResize(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, side := range []int{64, 512, 1024, 2000} {
		for kind, img := range noisy(rng, side, side) {
			b.Run(fmt.Sprintf("%d/%s/here", side, kind), func(b *testing.B) {
				for b.Loop() {
					resize(img, 224, 224)
				}
			})
			b.Run(fmt.Sprintf("%d/%s/imaging", side, kind), func(b *testing.B) {
				for b.Loop() {
					imaging.Resize(img, 224, 224, imaging.CatmullRom)
				}
			})
		}
	}
}
