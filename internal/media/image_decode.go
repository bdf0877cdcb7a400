package media

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math/bits"

	"github.com/disintegration/imaging"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// Decoded is a picture in memory.
type Decoded struct {
	Header ImageHeader
	// Image is upright, opaque and of 8 bits a sample: *image.Gray, *image.YCbCr, *image.RGBA or *image.NRGBA.
	Image image.Image
	// Notes says what was done to the picture: rotated, converted, windowed.
	Notes []analysis.Note
}

// DecodeImage checks a JPEG, PNG or DICOM file as CheckImage does and decodes it.
//
//   - The EXIF orientation is applied.
//   - 16-bit grey becomes 8-bit by the number of bits that the picture uses: with 2^k - 1 the smallest such
//     number, of k >= 8, that no value exceeds, v becomes round(255 v / (2^k - 1)). So a 12-bit radiograph in a
//     16-bit file keeps its whole range instead of turning black.
//   - 16-bit colour keeps its upper 8 bits.
//   - Transparency is laid over black, the value of no exposure in a radiograph.
//   - CMYK becomes RGB without a colour profile; gamma and embedded profiles are not applied.
//   - DICOM is shown as dicom.Image.Render does, by the window in the file or the range of the values; of several
//     frames the one that dicom.Image.Representative names.
//
// The error is as CheckImage's; data that a decoder refuses is InvalidArgument.
func DecodeImage(b []byte) (*Decoded, error) {
	if len(b) <= MaxImageBytes && dicom.Is(b) {
		return decodeDICOM(b)
	}
	h, err := CheckImage(b)
	if err != nil {
		return nil, err
	}
	img, err := decode(h.Format, b)
	if err != nil {
		return nil, err
	}
	if size := img.Bounds().Size(); size != image.Pt(h.Width, h.Height) {
		return nil, invalidImage("the picture is broken: it declares %d x %d pixels and holds %d x %d", h.Width, h.Height, size.X, size.Y)
	}
	d := &Decoded{Header: h}
	d.Image = d.turn(d.toEight(img))
	return d, nil
}

// decode runs a decoder, for most pictures the standard library's. Should it panic, then this picture alone is refused.
func decode(format string, b []byte) (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &analysis.Error{Code: analysis.Internal, Field: "image", Message: "decode " + format, Err: fmt.Errorf("panic: %v", r)}
		}
	}()
	if format == "png" {
		img, err = png.Decode(bytes.NewReader(b))
	} else if grey, ok := decodeGreyJPEG(b); ok {
		img = grey
	} else {
		img, err = jpeg.Decode(bytes.NewReader(b))
	}
	var unsupported jpeg.UnsupportedError
	switch {
	case err == nil:
		return img, nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, invalidImage("decode %s: the data ends before the picture does", format)
	case errors.As(err, &unsupported):
		return nil, unsupportedImage("decode %s: %v", format, err)
	}
	return nil, invalidImage("decode %s: %v", format, err)
}

// toEight returns the picture opaque and with 8 bits a sample.
func (d *Decoded) toEight(img image.Image) image.Image {
	switch src := img.(type) {
	case *image.Gray, *image.YCbCr:
		return img
	case *image.Gray16:
		return d.greyToEight(src)
	case *image.RGBA:
		if src.Opaque() {
			return img
		}
	case *image.CMYK:
		d.note("converted", d.Header.ColorModel+" to RGB, without a colour profile")
	}
	if d.Header.BitDepth == 16 {
		d.note("converted", "16-bit colour to its upper 8 bits")
	}
	dst := image.NewRGBA(img.Bounds())
	if opaque, ok := img.(interface{ Opaque() bool }); ok && opaque.Opaque() {
		draw.Draw(dst, dst.Bounds(), img, img.Bounds().Min, draw.Src)
		return dst
	}
	d.note("converted", "transparency laid over black")
	draw.Draw(dst, dst.Bounds(), image.NewUniform(color.Black), image.Point{}, draw.Src)
	draw.Draw(dst, dst.Bounds(), img, img.Bounds().Min, draw.Over)
	return dst
}

// greyToEight maps the range of bits that the picture uses to 8 bits.
func (d *Decoded) greyToEight(src *image.Gray16) *image.Gray {
	var used uint32 // every bit that is set in any value
	at := func(i int) uint32 { return uint32(src.Pix[2*i])<<8 | uint32(src.Pix[2*i+1]) }
	n := len(src.Pix) / 2
	for i := range n {
		used |= at(i)
	}
	k := max(8, bits.Len32(used))
	full := uint32(1)<<k - 1
	dst := image.NewGray(src.Bounds())
	for i := range n {
		dst.Pix[i] = uint8((at(i)*255 + full/2) / full)
	}
	d.note("converted", fmt.Sprintf("16-bit grey: the values 0 to %d mapped to 8 bits", full))
	return dst
}

// turns are the EXIF orientations: the transform that makes the picture upright, and its name.
var turns = [9]struct {
	apply func(image.Image) *image.NRGBA
	name  string
}{
	2: {imaging.FlipH, "mirrored"},
	3: {imaging.Rotate180, "turned by 180 degrees"},
	4: {imaging.FlipV, "turned by 180 degrees and mirrored"},
	5: {imaging.Transpose, "turned clockwise by 90 degrees and mirrored"},
	6: {imaging.Rotate270, "turned clockwise by 90 degrees"},
	7: {imaging.Transverse, "turned counterclockwise by 90 degrees and mirrored"},
	8: {imaging.Rotate90, "turned counterclockwise by 90 degrees"},
}

// turn applies the EXIF orientation.
func (d *Decoded) turn(img image.Image) image.Image {
	t := turns[d.Header.Orientation]
	if t.apply == nil {
		return img
	}
	d.note("rotated", fmt.Sprintf("%s, as its EXIF orientation %d says", t.name, d.Header.Orientation))
	return t.apply(img)
}

func (d *Decoded) note(kind, detail string) {
	d.Notes = append(d.Notes, analysis.Note{Modality: analysis.Image, Kind: kind, Detail: detail})
}
