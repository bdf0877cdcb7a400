package media

import "image"

// GreyPreprocessing names what DecodeImage and GreyTensor do to the pixels, as ImagePreprocessing does.
const GreyPreprocessing = "grey8-square-catmullrom-v1"

// GreyTensor returns the picture as the input of a network that sees grey: (size, size), 0 to 1. The whole picture is
// resized to a square as by ImageTensor; a colour counts by its luminance (ITU-R BT.601).
func GreyTensor(img image.Image, size int) []float32 {
	square := resize(img, size, size)
	out := make([]float32, size*size)
	for i := range out {
		out[i] = square.luminance(i) / 255
	}
	return out
}
