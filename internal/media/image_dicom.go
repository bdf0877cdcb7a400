package media

import (
	"errors"
	"fmt"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// readDICOM reads the description of the pixel data in a DICOM file. Nothing is decoded.
func readDICOM(b []byte) (*dicom.Image, ImageHeader, error) {
	f, err := dicom.Parse(b)
	if err != nil {
		return nil, ImageHeader{}, ofImage(err)
	}
	m, err := f.Image()
	if err != nil {
		return nil, ImageHeader{}, ofImage(err)
	}
	if err := m.Decodable(); err != nil {
		return nil, ImageHeader{}, ofImage(err)
	}
	h := ImageHeader{
		Format: "dicom", Width: m.Columns, Height: m.Rows, BitDepth: m.BitsStored, Orientation: 1, Frames: m.Frames,
		ColorModel: map[string]string{"PALETTE COLOR": "palette", "RGB": "rgb", "YBR_FULL": "ycbcr", "YBR_FULL_422": "ycbcr"}[m.Photometric],
		decoding:   m.DecodeBytes(),
	}
	if h.ColorModel == "" {
		h.ColorModel = "grey"
	}
	return m, h, h.checkSize()
}

// ofImage makes an error of package dicom one about the picture.
func ofImage(err error) error {
	var e *analysis.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Field = "image"
	return &named
}

// decodeDICOM renders the frame that stands for the file.
func decodeDICOM(b []byte) (*Decoded, error) {
	m, h, err := readDICOM(b)
	if err != nil {
		return nil, err
	}
	frame := m.Representative()
	p, err := m.Render(frame)
	if err != nil {
		return nil, ofImage(err)
	}
	d := &Decoded{Header: h, Image: p.Image}
	if m.Frames > 1 {
		d.note("frame", fmt.Sprintf("frame %d of %d stands for all of them", frame+1, m.Frames))
	}
	if p.Window != "" {
		d.note("windowed", "brightness: "+p.Window)
	}
	if m.Photometric == "MONOCHROME1" {
		d.note("inverted", "dark and light exchanged, as MONOCHROME1 asks")
	}
	return d, nil
}
