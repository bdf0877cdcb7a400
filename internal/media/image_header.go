package media

import (
	"bytes"
	"fmt"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// The limits of a picture. They are checked on its header, before a pixel is allocated.
const (
	// MaxImageBytes bounds the encoded picture. A 16-bit mammogram of 28 million pixels, which PNG about halves, fits;
	// as uncompressed DICOM it does not, while a radiograph of 16 million pixels does.
	MaxImageBytes = 32 << 20
	// MaxImageSide bounds each side, in pixels.
	MaxImageSide = 16384
	// MaxImagePixels bounds the area. The largest detectors in use, of mammography, give 28 million pixels.
	MaxImagePixels = 32 << 20
	// MaxImageMemory bounds what decoding may allocate, see ImageHeader.DecodeBytes. Below MaxImagePixels it stops
	// the costly kinds only: progressive CMYK, interlaced 16-bit RGBA.
	MaxImageMemory = 512 << 20
	// MaxImageScans bounds the scans of a JPEG, each of which visits every block; common encoders write 1 to 12.
	MaxImageScans = 100
)

// ImageHeader is what a picture says about itself.
type ImageHeader struct {
	Format        string // jpeg, png or dicom
	Width, Height int    // in pixels, as stored: before the orientation is applied
	BitDepth      int    // bits of a sample, or of an index into a palette
	// ColorModel is grey, grey+alpha, rgb, rgba, palette, ycbcr, cmyk or ycck.
	ColorModel string
	// Progressive says that the picture comes in several passes: a progressive JPEG, an interlaced PNG.
	Progressive bool
	// Orientation is that of the EXIF data, 1 to 8; 1, upright, if there is none.
	Orientation int
	// Frames is the number of pictures in a DICOM file, of which one is decoded; 0 for other formats.
	Frames int

	decoding int64 // what decoding a DICOM file allocates, in bytes
}

// MediaType returns the picture's media type, such as image/png.
func (h ImageHeader) MediaType() string {
	if h.Format == "dicom" {
		return analysis.DICOMMediaType
	}
	return "image/" + h.Format
}

// DecodeBytes returns an upper estimate of what DecodeImage allocates for the picture, in bytes.
func (h ImageHeader) DecodeBytes() int64 {
	// A JPEG is decoded in blocks of up to 32 pixels a side.
	pixels := int64(h.Width) * int64(h.Height)
	perPixel := int64(0)
	switch h.Format {
	case "dicom":
		return h.decoding
	case "jpeg":
		pixels = int64((h.Width+31)&^31) * int64((h.Height+31)&^31)
		samples := map[string]int64{"grey": 1, "ycbcr": 3, "rgb": 3, "cmyk": 4, "ycck": 4}[h.ColorModel]
		perPixel = samples
		if h.Progressive {
			perPixel += 4 * samples // every coefficient as an int32
		}
		if h.ColorModel == "rgb" {
			perPixel += 4 // interleaved
		}
		if samples == 4 {
			perPixel += 8 // interleaved, then converted
		}
	case "png":
		switch {
		case h.ColorModel == "grey" && h.BitDepth <= 8, h.ColorModel == "palette":
			perPixel = 4 // a transparent colour makes it RGBA
		case h.BitDepth == 16:
			perPixel = 8
		default:
			perPixel = 4
		}
		if h.Progressive {
			perPixel *= 2 // each pass is a picture of its own
		}
		perPixel += 4 // composited
	}
	if h.Orientation != 1 {
		perPixel += 4
	}
	return pixels * perPixel
}

// CheckImage reads the structure of a JPEG, PNG or DICOM file without decoding it and returns what it says. The error
// is UnsupportedMedia, with the kind's name where it is known, for bytes of another kind or of a variety that is not
// read; TooLarge for one over a limit; InvalidArgument for one that is broken or cut off. The cost is one walk
// over the bytes, and nothing of the picture's size is allocated; but a DICOM file in big endian is copied, and one
// that is deflated is inflated.
func CheckImage(b []byte) (ImageHeader, error) {
	var h ImageHeader
	var err error
	switch {
	case len(b) == 0:
		return h, invalidImage("the picture is empty")
	case len(b) > MaxImageBytes:
		return h, overLimit("the picture is too large", fmt.Sprintf("%d bytes", MaxImageBytes), fmt.Sprintf("%d bytes", len(b)))
	case bytes.HasPrefix(b, []byte(pngSignature)):
		h, err = readPNG(b)
	case bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff}):
		h, err = readJPEG(b)
	case dicom.Is(b):
		_, h, err = readDICOM(b)
	default:
		return h, unsupportedImage("%s is not read; send JPEG, PNG or DICOM", kindOf(b))
	}
	if err != nil {
		return ImageHeader{}, err
	}
	return h, nil
}

// checkSize applies the limits to the size in the header and to the memory that decoding takes.
func (h ImageHeader) checkSize() error {
	switch {
	case h.Width == 0 || h.Height == 0:
		return invalidImage("the picture has no pixels: it declares %d x %d", h.Width, h.Height)
	case h.Width > MaxImageSide || h.Height > MaxImageSide:
		return overLimit("a side of the picture is too long", fmt.Sprintf("%d pixels", MaxImageSide), fmt.Sprintf("%d x %d pixels", h.Width, h.Height))
	case h.Width*h.Height > MaxImagePixels:
		return overLimit("the picture has too many pixels", fmt.Sprintf("%d pixels", MaxImagePixels), fmt.Sprintf("%d pixels", h.Width*h.Height))
	}
	if n := h.DecodeBytes(); n > MaxImageMemory {
		return overLimit("the picture takes too much memory to decode", fmt.Sprintf("%d bytes", MaxImageMemory), fmt.Sprintf("%d bytes", n))
	}
	return nil
}

// checkFilled refuses a picture whose data cannot hold its pixels at the best ratio that the format reaches, so
// that a header of a few bytes allocates nothing.
func (h ImageHeader) checkFilled(data, least int64) error {
	if data < least {
		return invalidImage("the picture is cut off: it declares %d x %d pixels, which take at least %d bytes, but holds %d", h.Width, h.Height, least, data)
	}
	return nil
}

// kinds are what people send in place of a picture that is read, by the bytes at an offset.
var kinds = []struct {
	name   string
	offset int
	magic  string
}{
	{"GIF", 0, "GIF8"},
	{"WebP", 8, "WEBP"},
	{"a WAV sound", 8, "WAVE"},
	{"BMP", 0, "BM"},
	{"TIFF", 0, "II*\x00"},
	{"TIFF", 0, "MM\x00*"},
	{"BigTIFF", 0, "II+\x00"},
	{"BigTIFF", 0, "MM\x00+"},
	{"AVIF", 4, "ftypavif"},
	{"HEIC", 4, "ftyphei"},
	{"HEIC", 4, "ftyphev"},
	{"HEIF", 4, "ftypmif1"},
	{"HEIF", 4, "ftypmsf1"},
	{"JPEG 2000", 0, "\x00\x00\x00\x0cjP  "},
	{"JPEG 2000", 0, "\xff\x4f\xff\x51"},
	{"JPEG XL", 0, "\x00\x00\x00\x0cJXL "},
	{"JPEG XL", 0, "\xff\x0a"},
	{"NIfTI", 344, "n+1\x00"},
	{"PDF", 0, "%PDF"},
	{"SVG", 0, "<svg"},
	{"XML", 0, "<?xml"},
	{"a ZIP archive", 0, "PK\x03\x04"},
	{"gzip", 0, "\x1f\x8b"},
}

// kindOf names the kind of content that b begins like.
func kindOf(b []byte) string {
	for _, k := range kinds {
		if len(b) >= k.offset && bytes.HasPrefix(b[k.offset:], []byte(k.magic)) {
			return k.name
		}
	}
	return "this kind of content"
}

func invalidImage(format string, args ...any) error {
	return analysis.Invalid("image", format, args...)
}

func unsupportedImage(format string, args ...any) error {
	return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "image", Message: fmt.Sprintf(format, args...)}
}

func overLimit(message, limit, value string) error {
	return &analysis.Error{Code: analysis.TooLarge, Field: "image", Message: message, Limit: limit, Value: value}
}
