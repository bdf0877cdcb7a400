package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// dicomOf returns a DICOM file of 16-bit grey pictures, 12 bits of them used: frame f holds 100 f + x in column x.
func dicomOf(t testing.TB, width, height, frames int, elements ...*dicom.Element) []byte {
	t.Helper()
	var pixels []byte
	for f := range frames {
		for i := range width * height {
			pixels = binary.LittleEndian.AppendUint16(pixels, uint16(100*f+i%width)&0xfff)
		}
	}
	d := dicom.NewDataset(
		dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2.840.10008.5.1.4.1.1.7"), dicom.NewText(dicom.SOPInstanceUID, dicom.UI, "2.25.1"),
		dicom.NewInts(dicom.SamplesPerPixel, dicom.US, 1), dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME2"),
		dicom.NewInts(dicom.NumberOfFrames, dicom.IS, int64(frames)),
		dicom.NewInts(dicom.Rows, dicom.US, int64(height)), dicom.NewInts(dicom.Columns, dicom.US, int64(width)),
		dicom.NewInts(dicom.BitsAllocated, dicom.US, 16), dicom.NewInts(dicom.BitsStored, dicom.US, 12), dicom.NewInts(dicom.HighBit, dicom.US, 11),
		dicom.NewInts(dicom.PixelRepresentation, dicom.US, 0), &dicom.Element{Tag: dicom.PixelData, VR: dicom.OW, Value: pixels},
	)
	for _, e := range elements {
		d.Set(e)
	}
	b, err := dicom.Write(&dicom.File{Dataset: d})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDICOM(t *testing.T) {
	window := []*dicom.Element{dicom.NewText(dicom.WindowCenter, dicom.DS, "420"), dicom.NewText(dicom.WindowWidth, dicom.DS, "41")}
	inverted := dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME1")
	const middle = "frame frame 5 of 10 stands for all of them; windowed brightness: the window of the file, centre 420 and width 41"
	for name, c := range map[string]struct {
		bytes       []byte
		first, last uint8 // of the row
		notes       string
	}{
		"one frame":       {dicomOf(t, 40, 24, 1), 0, 255, "windowed brightness: from the least value 0 to the greatest 39, for lack of a window"},
		"the middle":      {dicomOf(t, 40, 24, 10, window...), 3, 252, middle},
		"inverted":        {dicomOf(t, 40, 24, 10, append(window, inverted)...), 252, 3, middle + "; inverted dark and light exchanged, as MONOCHROME1 asks"},
		"the named frame": {dicomOf(t, 40, 24, 10, append(window, dicom.NewInts(0x00286010, dicom.US, 10))...), 255, 255, strings.Replace(middle, "frame 5", "frame 10", 1)},
	} {
		h, err := CheckImage(c.bytes)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if h.Format != "dicom" || h.MediaType() != "application/dicom" || h.Width != 40 || h.Height != 24 || h.BitDepth != 12 || h.ColorModel != "grey" {
			t.Errorf("%s: header %+v", name, h)
		}
		var d *Decoded
		spent := allocated(func() { d, err = DecodeImage(c.bytes) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if spent > uint64(h.DecodeBytes()) {
			t.Errorf("%s: decoding allocated %d bytes, the estimate is %d", name, spent, h.DecodeBytes())
		}
		g := d.Image.(*image.Gray)
		if g.Pix[0] != c.first || g.Pix[39] != c.last || g.Bounds().Size() != image.Pt(40, 24) {
			t.Errorf("%s: %d to %d in %v, want %d to %d", name, g.Pix[0], g.Pix[39], g.Bounds(), c.first, c.last)
		}
		if got := noteText(d.Notes); got != c.notes {
			t.Errorf("%s: notes %q, want %q", name, got, c.notes)
		}
		for n := range len(c.bytes) {
			if n%97 > 0 && n > 1000 {
				continue
			}
			if _, err := DecodeImage(c.bytes[:n]); err == nil || analysis.CodeOf(err) == analysis.Internal {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestDICOMRefused(t *testing.T) {
	for name, c := range map[string]struct {
		bytes []byte
		code  analysis.Code
		says  string
	}{
		"too wide":      {dicomOf(t, MaxImageSide+1, 1, 1), analysis.TooLarge, "a side of the picture is too long"},
		"CMYK":          {dicomOf(t, 2, 2, 1, dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "CMYK")), analysis.UnsupportedMedia, "CMYK"},
		"not a picture": {bytes.Replace(dicomOf(t, 2, 2, 1), []byte{0xe0, 0x7f, 0x10, 0}, []byte{0xe0, 0x7f, 0x12, 0}, 1), analysis.UnsupportedMedia, "holds no picture"},
		"bits":          {dicomOf(t, 2, 2, 1, dicom.NewInts(dicom.BitsStored, dicom.US, 17)), analysis.InvalidArgument, "do not exist together"},
	} {
		for kind, check := range map[string]func() error{
			"check":  func() error { _, err := CheckImage(c.bytes); return err },
			"decode": func() error { _, err := DecodeImage(c.bytes); return err },
		} {
			err := check()
			if analysis.CodeOf(err) != c.code || !strings.HasPrefix(err.Error(), "image: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: %v, want %s that says %q", name, kind, err, c.code, c.says)
			}
		}
	}
}

// TestSampleDICOM takes every sample file of DICOM to a tensor, or refuses it.
func TestSampleDICOM(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA is not set: the sample files of DICOM are not here")
	}
	files, err := filepath.Glob(filepath.Join(data, "dicom", "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no sample files")
	}
	read := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := DecodeImage(b)
		if _, checked := CheckImage(b); (checked == nil) != (err == nil) {
			t.Errorf("%s: checked %v, decoded %v", filepath.Base(file), checked, err)
		}
		if err != nil {
			if code := analysis.CodeOf(err); code != analysis.UnsupportedMedia && code != analysis.InvalidArgument {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
			continue
		}
		read++
		if x := ImageTensor(d.Image, 224); len(x) != 3*224*224 {
			t.Errorf("%s: %d values", filepath.Base(file), len(x))
		}
	}
	if read != 12 {
		t.Errorf("%d sample files were read, want 12", read)
	}
}

// BenchmarkDICOM is a radiograph of 2,000 x 2,000 pixels from the bytes of the file to the tensor.
func BenchmarkDICOM(b *testing.B) {
	file := dicomOf(b, 2000, 2000, 1, dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME1"),
		dicom.NewText(dicom.WindowCenter, dicom.DS, "1000"), dicom.NewText(dicom.WindowWidth, dicom.DS, "2000"))
	for b.Loop() {
		d, err := DecodeImage(file)
		if err != nil {
			b.Fatal(err)
		}
		ImageTensor(d.Image, 224)
	}
}
