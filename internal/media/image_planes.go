package media

import (
	"image"

	"github.com/disintegration/imaging"
)

// Planes returns the picture as the input of a network of any size: (channels, height, width), resized as by
// ImageTensor. Channel c of value v, 0 to 255, becomes v * scale[c] + offset[c]; there is one scale and one offset for
// each channel. Three channels are red, green and blue; one is the luminance (ITU-R BT.601).
func Planes(img image.Image, width, height int, scale, offset []float32) []float32 {
	resized := imaging.Resize(img, width, height, imaging.CatmullRom)
	n := width * height
	out := make([]float32, len(scale)*n)
	for i := range n {
		p := resized.Pix[4*i : 4*i+3 : 4*i+3]
		if len(scale) == 1 {
			out[i] = (0.299*float32(p[0])+0.587*float32(p[1])+0.114*float32(p[2]))*scale[0] + offset[0]
			continue
		}
		for c := range scale {
			out[c*n+i] = float32(p[c])*scale[c] + offset[c]
		}
	}
	return out
}
