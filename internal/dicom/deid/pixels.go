package deid

import (
	"bytes"
	"fmt"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// cleanPixels takes out of the pixel data of d what is not pixels: what follows the last of them, graphics in unused
// bits, comments and application data of JPEG. original is the file before.
func cleanPixels(d *dicom.Dataset, original *dicom.File) error {
	e := d.Get(dicom.PixelData)
	if e == nil {
		return nil
	}
	switch {
	case e.Fragments == nil:
		d.Set(native(e, original.Dataset))
	case original.TransferSyntax == dicom.JPEGBaseline:
		e, err := jpegs(e, original)
		if err != nil {
			return err
		}
		d.Set(e)
	case original.TransferSyntax == dicom.RLELossless: // holds runs of pixels only
	default:
		return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "dicom",
			Message: fmt.Sprintf("pixel data of %v cannot be searched for what identifies a patient", original.TransferSyntax)}
	}
	return nil
}

// native returns uncompressed pixel data without what follows the last frame, and with the bits cleared in which an
// overlay lies (PS3.3 section C.9.2, retired but still sent).
func native(e *dicom.Element, d *dicom.Dataset) *dicom.Element {
	value := e.Value
	if n := nativeBytes(d); n > 0 && n < len(value) {
		value = value[:n:n]
	}
	allocated, _ := d.Int(dicom.BitsAllocated)
	var mask uint16
	for group := dicom.Tag(0); group <= 0x1E; group += 2 {
		bits, there := d.Int(overlayBitsAllocated + group<<16)
		position, _ := d.Int(overlayBitPosition + group<<16)
		if there && bits == allocated && position > 0 && position < allocated {
			mask |= 1 << position
		}
	}
	if mask != 0 && (allocated == 8 || allocated == 16) {
		value = bytes.Clone(value)
		for i := range value {
			if allocated == 16 && i%2 == 1 {
				value[i] &^= byte(mask >> 8)
			} else {
				value[i] &^= byte(mask)
			}
		}
	}
	return &dicom.Element{Tag: e.Tag, VR: e.VR, Value: value}
}

// nativeBytes returns how long the pixel data is according to its description, padding included; 0 if that is not known.
func nativeBytes(d *dicom.Dataset) int {
	number := func(tag dicom.Tag, unless int64) int64 {
		if v, ok := d.Int(tag); ok {
			return v
		}
		return unless
	}
	rows, cols, samples := number(dicom.Rows, 0), number(dicom.Columns, 0), number(dicom.SamplesPerPixel, 1)
	bits, frames := number(dicom.BitsAllocated, 0), number(dicom.NumberOfFrames, 1)
	if rows <= 0 || cols <= 0 || bits <= 0 || rows > 1<<16 || cols > 1<<16 || bits > 64 || samples <= 0 || samples > 4 || frames <= 0 || frames > 1<<20 {
		return 0
	}
	if s := d.String(dicom.PhotometricInterpretation); samples == 3 && (s == "YBR_FULL_422" || s == "YBR_PARTIAL_422") {
		samples = 2 // two pixels share their colour
	}
	n := (rows*cols*samples*bits*frames + 7) / 8 // below 2^32 * 4 * 64 * 2^20: it fits
	return int(n + n&1)
}

// jpegs returns JPEG pixel data without comments and application data, one fragment a frame.
func jpegs(e *dicom.Element, f *dicom.File) (*dicom.Element, error) {
	image, err := f.Image()
	if err != nil {
		return nil, err
	}
	out := &dicom.Element{Tag: e.Tag, VR: e.VR, Fragments: make([][]byte, image.Frames)}
	var offset uint32
	for i := range image.Frames {
		frame, err := image.Encoded(i)
		if err != nil {
			return nil, err
		}
		if out.Fragments[i], err = pureJPEG(frame); err != nil {
			return nil, err
		}
		out.Offsets = append(out.Offsets, offset)
		offset += 8 + uint32(len(out.Fragments[i])+len(out.Fragments[i])&1)
	}
	return out, nil
}

// The markers of JPEG (ITU-T T.81 table B.1) that are looked at.
const (
	markerSOI   = 0xD8
	markerEOI   = 0xD9
	markerSOS   = 0xDA
	markerAPP0  = 0xE0
	markerAPP14 = 0xEE
	markerAPP15 = 0xEF
	markerCOM   = 0xFE
)

// pureJPEG returns a JPEG without its comments, without what follows its end, and without application data but the two
// segments that say how colours are coded, JFIF and Adobe, cut to that.
func pureJPEG(b []byte) ([]byte, error) {
	broken := func(at int) error {
		return analysis.Invalid("dicom", "the JPEG in the pixel data is broken at byte %d of %d", at, len(b))
	}
	if len(b) < 4 || b[0] != 0xFF || b[1] != markerSOI {
		return nil, broken(0)
	}
	out := append(make([]byte, 0, len(b)), b[:2]...)
	for at := 2; ; {
		for at+1 < len(b) && b[at] == 0xFF && b[at+1] == 0xFF {
			at++ // fill bytes
		}
		if at+2 > len(b) || b[at] != 0xFF {
			return nil, broken(at)
		}
		marker := b[at+1]
		if marker == markerEOI {
			return append(out, 0xFF, markerEOI), nil
		}
		if at+4 > len(b) {
			return nil, broken(at)
		}
		end := at + 2 + int(b[at+2])<<8 + int(b[at+3])
		if end < at+4 || end > len(b) {
			return nil, broken(at)
		}
		segment := b[at:end]
		switch {
		case marker == markerAPP0 && len(segment) >= 18 && string(segment[4:9]) == "JFIF\x00":
			out = append(out, 0xFF, markerAPP0, 0, 16)
			out = append(out, segment[4:16]...)
			out = append(out, 0, 0) // no thumbnail
		case marker == markerAPP14 && len(segment) >= 16 && string(segment[4:9]) == "Adobe":
			out = append(out, 0xFF, markerAPP14, 0, 14)
			out = append(out, segment[4:16]...)
		case marker >= markerAPP0 && marker <= markerAPP15, marker == markerCOM:
		default:
			out = append(out, segment...)
		}
		at = end
		if marker != markerSOS {
			continue
		}
		for at+1 < len(b) && !(b[at] == 0xFF && b[at+1] != 0 && (b[at+1] < 0xD0 || b[at+1] > 0xD7)) {
			at++ // the scan: a marker in it is a restart or stuffed
		}
		out = append(out, b[end:at]...)
	}
}
