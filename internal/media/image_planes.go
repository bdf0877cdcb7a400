package media

import "image"

// Planes returns the picture as the input of a network of any size: (channels, height, width), resized as by
// ImageTensor. Channel c of value v, 0 to 255, becomes v * scale[c] + offset[c]; there is one scale and one offset for
// each channel. Three channels are red, green and blue; one is the luminance (ITU-R BT.601).
func Planes(img image.Image, width, height int, scale, offset []float32) []float32 {
	resized := resize(img, width, height)
	n := width * height
	out := make([]float32, len(scale)*n)
	if len(scale) == 1 {
		for i := range out {
			out[i] = resized.luminance(i)*scale[0] + offset[0]
		}
		return out
	}
	for c := range scale {
		for i, v := range resized.planes[c%len(resized.planes)] {
			out[c*n+i] = float32(v)*scale[c] + offset[c]
		}
	}
	return out
}
