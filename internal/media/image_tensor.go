package media

import (
	"fmt"
	"image"

	"consilium/internal/analysis"
)

// ImagePreprocessing names what DecodeImage and ImageTensor do to the pixels. It is part of an encoder's digest:
// a change of the arithmetic changes the name.
const ImagePreprocessing = "rgb8-square-catmullrom-127-128-v1"

// ImageTensor returns the picture as the input of an image network: (3, size, size), red, green and blue, each
// (v - 127) / 128. The whole picture is resized to a square, with the Catmull-Rom cubic that widens when it
// shrinks. Nothing is cropped, since a finding may lie at the border of a radiograph, and nothing is padded, so that
// every cell of the network's grid shows a part of the picture; an oblong picture is squeezed along its longer side.
func ImageTensor(img image.Image, size int) []float32 {
	square := resize(img, size, size)
	n := size * size
	out := make([]float32, 3*n)
	for c := range 3 {
		plane := square.planes[c%len(square.planes)]
		for i, v := range plane {
			out[c*n+i] = (float32(v) - 127) / 128
		}
	}
	return out
}

// ResizeNotes returns the note on what ImageTensor does to a picture, none if it has that size already.
func ResizeNotes(img image.Image, size int) []analysis.Note {
	s := img.Bounds().Size()
	if s == image.Pt(size, size) {
		return nil
	}
	detail := fmt.Sprintf("from %d x %d to %d x %d pixels", s.X, s.Y, size, size)
	if s.X != s.Y {
		detail += ", which changes its proportions"
	}
	return []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: detail}}
}
