package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"

	"consilium/internal/analysis"
)

// planes is a decoded JPEG: one sample of each component a pixel, or fewer of the two colours.
type planes struct {
	rows, columns int
	grey          *image.Gray
	// colour holds the three components as they were coded, whatever they mean.
	colour *image.YCbCr
	// rgb is set instead if the JPEG itself says that it is coded in red, green and blue.
	rgb *image.RGBA
	// adobe is the colour transform of Adobe's segment, -1 without one: 1 is YCbCr.
	adobe int
}

// decodeJPEG decodes a frame of JPEG Baseline (ITU-T T.81, process 1). Whether colour stays as it was coded is left to
// the caller.
func (m *Image) decodeJPEG(b []byte) (*planes, error) {
	adobe, err := m.checkJPEG(b)
	if err != nil {
		return nil, err
	}
	img, err := runJPEG(b)
	if err != nil {
		return nil, err
	}
	p := &planes{rows: m.Rows, columns: m.Columns, adobe: adobe}
	switch img := img.(type) {
	case *image.Gray:
		p.grey = img
	case *image.YCbCr:
		p.colour = img
	case *image.RGBA:
		p.rgb = img
	default:
		return nil, unsupported("a DICOM JPEG of the colour model %T is not read", img)
	}
	return p, nil
}

// runJPEG runs the standard library's decoder. Should it panic, then this picture alone is refused.
func runJPEG(b []byte) (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &analysis.Error{Code: analysis.Internal, Field: field, Message: "decode the JPEG of a DICOM picture", Err: fmt.Errorf("panic: %v", r)}
		}
	}()
	img, err = jpeg.Decode(bytes.NewReader(b))
	var unknown jpeg.UnsupportedError
	switch {
	case err == nil:
		return img, nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, invalid("the JPEG of the DICOM picture is cut off")
	case errors.As(err, &unknown):
		return nil, unsupported("decode the JPEG of the DICOM picture: %v", err)
	}
	return nil, invalid("decode the JPEG of the DICOM picture: %v", err)
}

// checkJPEG walks the segments up to the last scan and holds the frame header against the description in DICOM, so that
// nothing is allocated for what the JPEG alone claims. A sequential JPEG has at most one scan a component. It returns the
// colour transform of Adobe's segment, -1 without one.
func (m *Image) checkJPEG(b []byte) (adobe int, err error) {
	const (
		sof0, sof1, sof2, sof15 = 0xc0, 0xc1, 0xc2, 0xcf
		dht, jpg, dac           = 0xc4, 0xc8, 0xcc
		rst0, soi, eoi, sos     = 0xd0, 0xd8, 0xd9, 0xda
		app14                   = 0xee
	)
	if !bytes.HasPrefix(b, []byte{0xff, soi}) {
		return 0, invalid("the DICOM pixel data is broken: a frame of JPEG does not begin like one")
	}
	adobe = -1
	least, scans, framed := int64(m.Rows)*int64(m.Columns)/512, 0, false
	if int64(len(b)) < least {
		return 0, invalid("the JPEG of the DICOM picture is cut off: %d x %d pixels take at least %d bytes, and there are %d", m.Columns, m.Rows, least, len(b))
	}
	for rest := b[2:]; ; {
		i := bytes.IndexByte(rest, 0xff)
		if i < 0 || i+1 == len(rest) {
			break
		}
		marker := rest[i+1]
		rest = rest[i+1:]
		if marker == 0xff {
			continue // fill bytes
		}
		rest = rest[1:]
		if marker == 0 || marker >= rst0 && marker <= soi {
			continue // coded data
		}
		if marker == eoi {
			break
		}
		if len(rest) < 2 {
			break
		}
		n := int(binary.BigEndian.Uint16(rest))
		if n < 2 || n > len(rest) {
			return 0, invalid("the JPEG of the DICOM picture is cut off: a segment declares %d bytes, and %d are left", n, len(rest))
		}
		body := rest[2:n]
		rest = rest[n:]
		switch {
		case marker == sos:
			if scans++; scans > m.Samples {
				return 0, invalid("the JPEG of the DICOM picture is broken: it has more scans than components")
			}
		case marker == app14 && len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
			adobe = int(body[11])
		case marker == sof0, marker == sof1:
			if framed || len(body) < 6 {
				return 0, invalid("the JPEG of the DICOM picture is broken: its frame header has %d bytes or comes twice", len(body))
			}
			framed = true
			rows, columns := int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
			if body[0] != 8 {
				return 0, unsupported("a DICOM JPEG of %d bits a sample is not read, only 8", body[0])
			}
			if rows != m.Rows || columns != m.Columns || int(body[5]) != m.Samples {
				return 0, invalid("the DICOM picture is broken: it declares %d x %d pixels of %d samples, its JPEG %d x %d of %d", m.Columns, m.Rows, m.Samples, columns, rows, body[5])
			}
		case marker >= sof2 && marker <= sof15 && marker != dht && marker != jpg && marker != dac:
			return 0, unsupported("the JPEG of the DICOM picture is of type SOF%d, which %v does not allow, and is not read", marker-sof0, m.file.TransferSyntax)
		}
	}
	if !framed || scans == 0 {
		return 0, invalid("the JPEG of the DICOM picture is cut off: it holds no picture data")
	}
	return adobe, nil
}

// interleave returns the samples of a pixel side by side.
func (p *planes) interleave() []byte {
	if p.grey != nil {
		if p.grey.Stride == p.columns {
			return p.grey.Pix[:p.rows*p.columns]
		}
		out := make([]byte, 0, p.rows*p.columns)
		for y := range p.rows {
			out = append(out, p.grey.Pix[y*p.grey.Stride:][:p.columns]...)
		}
		return out
	}
	out := make([]byte, 3*p.rows*p.columns)
	to := out
	for y := range p.rows {
		if p.rgb != nil {
			row := p.rgb.Pix[y*p.rgb.Stride:]
			for x := range p.columns {
				to[0], to[1], to[2] = row[4*x], row[4*x+1], row[4*x+2]
				to = to[3:]
			}
			continue
		}
		for x := range p.columns {
			c := p.colour.COffset(x, y)
			to[0], to[1], to[2] = p.colour.Y[y*p.colour.YStride+x], p.colour.Cb[c], p.colour.Cr[c]
			to = to[3:]
		}
	}
	return out
}
