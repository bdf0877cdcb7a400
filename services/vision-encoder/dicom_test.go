package visionencoder

import (
	"image"
	"testing"

	"consilium/internal/dicom"
)

// dicomOf returns the grey picture as a DICOM file; MONOCHROME1 stores its negative.
func dicomOf(t *testing.T, grey *image.Gray, photometric string) []byte {
	t.Helper()
	pixels := append([]byte(nil), grey.Pix...)
	if photometric == "MONOCHROME1" {
		for i, v := range pixels {
			pixels[i] = 255 - v
		}
	}
	size := grey.Bounds().Size()
	b, err := dicom.Write(&dicom.File{Dataset: dicom.NewDataset(
		dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2.840.10008.5.1.4.1.1.7"), dicom.NewText(dicom.SOPInstanceUID, dicom.UI, "2.25.1"),
		dicom.NewInts(dicom.SamplesPerPixel, dicom.US, 1), dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, photometric),
		dicom.NewInts(dicom.Rows, dicom.US, int64(size.Y)), dicom.NewInts(dicom.Columns, dicom.US, int64(size.X)),
		dicom.NewInts(dicom.BitsAllocated, dicom.US, 8), dicom.NewInts(dicom.BitsStored, dicom.US, 8), dicom.NewInts(dicom.HighBit, dicom.US, 7),
		dicom.NewInts(dicom.PixelRepresentation, dicom.US, 0), &dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Value: pixels},
	)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDICOMEqualsPNG encodes one picture as PNG and as DICOM.
func TestDICOMEqualsPNG(t *testing.T) {
	s := start(t, Config{Threads: 1})
	grey := image.NewGray(image.Rect(0, 0, 300, 200))
	for i := range grey.Pix {
		grey.Pix[i] = byte(i * i >> 8)
	}
	features := encode(t, s, encodePNG(t, grey), dicomOf(t, grey, "MONOCHROME2"), dicomOf(t, grey, "MONOCHROME1"))
	for i, f := range features[1:] {
		if d := distance(f.Vector, features[0].Vector); d > noise {
			t.Errorf("picture %d is off by %v", i+1, d)
		}
		if len(f.Notes) != 2+i || f.Notes[0].Kind != "windowed" {
			t.Errorf("picture %d: notes %v", i+1, f.Notes)
		}
	}
}
