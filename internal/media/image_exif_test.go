package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"slices"
	"testing"
)

// exifData returns EXIF data that says nothing but the orientation.
func exifData(order binary.ByteOrder, orientation uint16) []byte {
	b := make([]byte, 26)
	copy(b, "II*\x00")
	if order == binary.ByteOrder(binary.BigEndian) {
		copy(b, "MM\x00*")
	}
	order.PutUint32(b[4:], 8)
	order.PutUint16(b[8:], 1)
	order.PutUint16(b[10:], tagOrientation)
	order.PutUint16(b[12:], 3)
	order.PutUint32(b[14:], 1)
	order.PutUint16(b[18:], orientation)
	return b
}

// withEXIF puts EXIF data into a JPEG, after its start.
func withEXIF(b, exif []byte) []byte {
	return slices.Concat(b[:2], segment(markerAPP1, append([]byte("Exif\x00\x00"), exif...)...), b[2:])
}

// TestOrientation stores one scene as a camera held in each of the eight ways would, and expects it upright.
func TestOrientation(t *testing.T) {
	const width, height = 64, 32
	upright := ramp(width, height)
	// stored returns where the upright pixel lies in the file: EXIF says where row 0 and column 0 of the file are.
	stored := []func(x, y int) (int, int){
		1: func(x, y int) (int, int) { return x, y },
		2: func(x, y int) (int, int) { return width - 1 - x, y },              // top, right
		3: func(x, y int) (int, int) { return width - 1 - x, height - 1 - y }, // bottom, right
		4: func(x, y int) (int, int) { return x, height - 1 - y },             // bottom, left
		5: func(x, y int) (int, int) { return y, x },                          // left, top
		6: func(x, y int) (int, int) { return y, width - 1 - x },              // right, top
		7: func(x, y int) (int, int) { return height - 1 - y, width - 1 - x }, // right, bottom
		8: func(x, y int) (int, int) { return height - 1 - y, x },             // left, bottom
	}
	for orientation := 1; orientation <= 8; orientation++ {
		size := image.Pt(width, height)
		if orientation > 4 {
			size = image.Pt(height, width)
		}
		file := image.NewRGBA(image.Rectangle{Max: size})
		for y := range height {
			for x := range width {
				u, v := stored[orientation](x, y)
				file.SetRGBA(u, v, upright.RGBAAt(x, y))
			}
		}
		b := encodePNG(t, file)
		const header = 8 + 25 // the signature and the IHDR chunk
		b = slices.Concat(b[:header], pngChunk("eXIf", exifData(binary.LittleEndian, uint16(orientation))), b[header:])
		for kind, b := range map[string][]byte{"png": b, "jpeg": withEXIF(encodeJPEG(t, file), exifData(binary.BigEndian, uint16(orientation)))} {
			d, err := DecodeImage(b)
			if err != nil {
				t.Fatal(err)
			}
			if d.Header.Orientation != orientation || d.Image.Bounds().Size() != image.Pt(width, height) {
				t.Errorf("%s %d: orientation %d, size %v", kind, orientation, d.Header.Orientation, d.Image.Bounds().Size())
				continue
			}
			if (orientation == 1) != (len(d.Notes) == 0) || (orientation != 1 && d.Notes[0].Kind != "rotated") {
				t.Errorf("%s %d: notes %v", kind, orientation, d.Notes)
			}
			for _, p := range []image.Point{{2, 2}, {61, 3}, {4, 29}, {60, 28}} {
				r, g, _, _ := d.Image.At(p.X, p.Y).RGBA()
				want := upright.RGBAAt(p.X, p.Y)
				if abs(int(r>>8)-int(want.R)) > 12 || abs(int(g>>8)-int(want.G)) > 12 {
					t.Errorf("%s %d: pixel %v is red %d and green %d, want %d and %d", kind, orientation, p, r>>8, g>>8, want.R, want.G)
				}
			}
		}
	}
}

func TestBrokenEXIFIsUpright(t *testing.T) {
	change := func(at int, v ...byte) []byte {
		b := exifData(binary.LittleEndian, 6)
		copy(b[at:], v)
		return b
	}
	if got := exifOrientation(change(0)); got != 6 {
		t.Fatalf("unchanged: %d", got)
	}
	loop := bytes.Repeat([]byte{0}, 8+2+65535*12)
	copy(loop, "II*\x00\x08\x00\x00\x00\xff\xff")
	for name, b := range map[string][]byte{
		"empty": nil, "short": change(0)[:7], "no TIFF": change(0, 'X'), "no directory": change(0)[:9], "cut entry": change(0)[:20],
		"pointer beyond": change(4, 0xff, 0xff, 0xff, 0xff), "pointer to itself": change(4, 0, 0, 0, 0), "65535 entries": loop,
		"more entries than there are": change(8, 0xff, 0xff, 0, 0), "another type": change(12, 4), "two values": change(14, 2),
		"orientation 0": change(18, 0), "orientation 9": change(18, 9),
	} {
		if got := exifOrientation(b); got != 1 {
			t.Errorf("%s: orientation %d, want 1", name, got)
		}
	}
	// A file is read whatever its EXIF data is like, and the largest that fits costs nothing.
	huge := append(change(0, 'X'), make([]byte, 65000)...)
	for name, exif := range map[string][]byte{"huge": huge, "broken": change(4, 0xff, 0xff, 0xff, 0xff), "empty": nil} {
		b := withEXIF(encodeJPEG(t, ramp(16, 16)), exif)
		for range 20 { // one such segment after the other
			b = withEXIF(b, exif)
		}
		d, err := DecodeImage(b)
		if err != nil || d.Header.Orientation != 1 {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}
