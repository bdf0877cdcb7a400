package media

import (
	"image"

	"github.com/disintegration/imaging"
)

// GreyPreprocessing names what DecodeImage and GreyTensor do to the pixels, as ImagePreprocessing does.
const GreyPreprocessing = "grey8-square-catmullrom-v1"

// GreyTensor returns the picture as the input of a network that sees grey: (size, size), 0 to 1. The whole picture is
// resized to a square as by ImageTensor; a colour counts by its luminance (ITU-R BT.601).
func GreyTensor(img image.Image, size int) []float32 {
	square := imaging.Resize(img, size, size, imaging.CatmullRom)
	out := make([]float32, size*size)
	for i := range out {
		p := square.Pix[4*i : 4*i+3 : 4*i+3]
		out[i] = (0.299*float32(p[0]) + 0.587*float32(p[1]) + 0.114*float32(p[2])) / 255
	}
	return out
}
