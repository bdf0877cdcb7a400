package deid

import (
	"bytes"
	stdimage "image"
	"image/color"
	"image/jpeg"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

func TestNativePixelsOnly(t *testing.T) {
	d, _ := clean(t, image())
	if got := d.Get(dicom.PixelData).Value; string(got) != "\x01\x10\x02\x00\x03\x10" {
		t.Errorf("pixels %q", got)
	}
	long := image()
	long.Dataset.Set(&dicom.Element{Tag: dicom.PixelData, VR: dicom.OW, Value: []byte("\x01\x10\x02\x00\x03\x10MILLER")})
	if d, _ = clean(t, long); string(d.Get(dicom.PixelData).Value) != "\x01\x10\x02\x00\x03\x10" {
		t.Errorf("after the last frame: %q", d.Get(dicom.PixelData).Value)
	}
	overlaid := image(dicom.NewInts(0x60000100, dicom.US, 16), dicom.NewInts(0x60000102, dicom.US, 12))
	before := bytes.Clone(overlaid.Dataset.Get(dicom.PixelData).Value)
	if d, _ = clean(t, overlaid); string(d.Get(dicom.PixelData).Value) != "\x01\x00\x02\x00\x03\x00" {
		t.Errorf("an overlay in bit 12: %q", d.Get(dicom.PixelData).Value)
	}
	if !bytes.Equal(before, overlaid.Dataset.Get(dicom.PixelData).Value) {
		t.Error("the original was changed")
	}
}

// jpegWith returns a JPEG with a comment and application data after its first marker and bytes after its last.
func jpegWith(t *testing.T, comment string) []byte {
	t.Helper()
	picture := stdimage.NewGray(stdimage.Rect(0, 0, 20, 10))
	for i := range picture.Pix {
		picture.Pix[i] = color.Gray{Y: uint8(i)}.Y
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, nil); err != nil {
		t.Fatal(err)
	}
	segment := func(marker byte, content string) string {
		return string([]byte{0xFF, marker, byte((len(content) + 2) >> 8), byte(len(content) + 2)}) + content
	}
	raw := b.String()
	jfif := "JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x01\x01" + comment[:3]
	return []byte(raw[:2] + segment(0xE0, jfif) + segment(0xE1, "Exif\x00\x00"+comment) + segment(0xFE, comment) +
		segment(0xEE, "Adobe\x00\x64\x00\x00\x00\x00\x00"+comment) + raw[2:] + comment)
}

func TestJPEGHoldsThePictureOnly(t *testing.T) {
	const name = "MILLER^ANNA"
	dirty := jpegWith(t, name)
	want, err := jpeg.Decode(bytes.NewReader(dirty))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		frames    int64
		fragments [][]byte
		offsets   []uint32
	}{
		{"one frame", 1, [][]byte{dirty}, nil},
		{"one frame in pieces", 1, [][]byte{dirty[:40], dirty[40:80], dirty[80:]}, nil},
		{"two frames", 2, [][]byte{dirty, dirty}, nil},
		{"two frames in pieces", 2, [][]byte{dirty[:40], dirty[40:], dirty}, []uint32{0, uint32(8 + 40 + 8 + (len(dirty) - 40) + (len(dirty)-40)&1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := image(dicom.NewInts(dicom.NumberOfFrames, dicom.IS, test.frames))
			f.TransferSyntax = dicom.JPEGBaseline
			f.Dataset.Set(&dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Fragments: test.fragments, Offsets: test.offsets})
			d, _ := clean(t, f)
			e := d.Get(dicom.PixelData)
			if int64(len(e.Fragments)) != test.frames || int64(len(e.Offsets)) != test.frames {
				t.Fatalf("%d fragments, offsets %v", len(e.Fragments), e.Offsets)
			}
			for _, fragment := range e.Fragments {
				if bytes.Contains(fragment, []byte(name)) || bytes.Contains(fragment, []byte("MIL")) || bytes.Contains(fragment, []byte("Exif")) {
					t.Error("the comment is still there")
				}
				if got, err := jpeg.Decode(bytes.NewReader(fragment)); err != nil || !bytes.Equal(got.(*stdimage.Gray).Pix, want.(*stdimage.Gray).Pix) {
					t.Errorf("the picture changed: %v", err)
				}
			}
		})
	}
}

func TestPixelsThatCannotBeSearched(t *testing.T) {
	good := jpegWith(t, "MILLER^ANNA")
	for _, test := range []struct {
		name      string
		syntax    dicom.TransferSyntax
		frames    int64
		fragments [][]byte
		offsets   []uint32
		code      analysis.Code
	}{
		{"JPEG 2000", "1.2.840.10008.1.2.4.90", 1, [][]byte{good}, nil, analysis.UnsupportedMedia},
		{"no JPEG", dicom.JPEGBaseline, 1, [][]byte{[]byte("GIF89a")}, nil, analysis.InvalidArgument},
		{"nothing", dicom.JPEGBaseline, 1, [][]byte{}, nil, analysis.InvalidArgument},
		{"cut in a segment", dicom.JPEGBaseline, 1, [][]byte{good[:30]}, nil, analysis.InvalidArgument},
		{"cut in the scan", dicom.JPEGBaseline, 1, [][]byte{good[:len(good)-40]}, nil, analysis.InvalidArgument},
		{"a segment without length", dicom.JPEGBaseline, 1, [][]byte{[]byte("\xff\xd8\xff\xe1\x00\x00")}, nil, analysis.InvalidArgument},
		{"frames without a table", dicom.JPEGBaseline, 3, [][]byte{good, good}, nil, analysis.InvalidArgument},
		{"a table that points elsewhere", dicom.JPEGBaseline, 2, [][]byte{good[:9], good[9:], good}, []uint32{0, 5}, analysis.InvalidArgument},
		{"a table that begins elsewhere", dicom.JPEGBaseline, 2, [][]byte{good, good, good}, []uint32{3, 5}, analysis.InvalidArgument},
		{"more frames than can be", dicom.JPEGBaseline, 1 << 40, [][]byte{good, good, good}, []uint32{3, 5}, analysis.InvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := image(dicom.NewInts(dicom.NumberOfFrames, dicom.IS, test.frames))
			f.TransferSyntax = test.syntax
			f.Dataset.Set(&dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Fragments: test.fragments, Offsets: test.offsets})
			if _, _, err := New(testSecret, "t").Clean(f); analysis.CodeOf(err) != test.code {
				t.Errorf("error %v, want the code %s", err, test.code)
			}
		})
	}
}
