package reportdoc

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"

	scale "golang.org/x/image/draw"
)

// MaxSide bounds the longer side of a picture in a report, in pixels; a larger one is shrunk.
const MaxSide = 1024

// PNG writes a picture, which is upright, for a report. A grey one stays grey.
func PNG(picture image.Image) ([]byte, error) {
	size := picture.Bounds().Size()
	if longer := max(size.X, size.Y); longer > MaxSide {
		size = image.Pt(max(1, size.X*MaxSide/longer), max(1, size.Y*MaxSide/longer))
	}
	area := image.Rectangle{Max: size}
	var canvas draw.Image = image.NewRGBA(area)
	if _, grey := picture.(*image.Gray); grey {
		canvas = image.NewGray(area)
	}
	scale.ApproxBiLinear.Scale(canvas, area, picture, picture.Bounds(), draw.Src, nil)
	var b bytes.Buffer
	if err := png.Encode(&b, canvas); err != nil {
		return nil, fmt.Errorf("write the picture of a report: %w", err)
	}
	return b.Bytes(), nil
}
