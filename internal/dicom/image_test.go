package dicom

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"slices"
	"testing"
)

// TestStoredValues reads pictures of every layout and compares the values.
func TestStoredValues(t *testing.T) {
	with := func(d *Dataset, elements ...*Element) *Dataset {
		for _, e := range elements {
			d.Set(e)
		}
		return d
	}
	signed := NewInts(PixelRepresentation, US, 1)
	planar := NewInts(PlanarConfiguration, US, 1)
	frames := func(n int64) *Element { return NewInts(NumberOfFrames, IS, n) }
	for name, c := range map[string]struct {
		syntax TransferSyntax
		d      *Dataset
		want   [][]int32 // of each frame
	}{
		"8 bit":               {ExplicitLittle, picture(1, 3, 8, 8, "MONOCHROME2", []byte{0, 128, 255, 0}), [][]int32{{0, 128, 255}}},
		"8 bit signed":        {ExplicitLittle, with(picture(1, 3, 8, 8, "MONOCHROME2", []byte{0, 128, 255, 0}), signed), [][]int32{{0, -128, -1}}},
		"16 bit":              {ExplicitLittle, picture(1, 2, 16, 16, "MONOCHROME2", words(1, 65535)), [][]int32{{1, 65535}}},
		"16 bit implicit":     {ImplicitLittle, picture(1, 2, 16, 16, "MONOCHROME2", words(1, 65535)), [][]int32{{1, 65535}}},
		"16 bit big endian":   {ExplicitBig, picture(1, 2, 16, 16, "MONOCHROME2", words(1, 65534)), [][]int32{{1, 65534}}},
		"16 bit deflated":     {DeflatedLittle, picture(1, 2, 16, 16, "MONOCHROME2", words(1, 65535)), [][]int32{{1, 65535}}},
		"16 bit signed":       {ExplicitLittle, with(picture(1, 2, 16, 16, "MONOCHROME2", words(-5, 5)), signed), [][]int32{{-5, 5}}},
		"12 bit, overlay":     {ExplicitLittle, picture(1, 2, 16, 12, "MONOCHROME2", words(0xF001, 0x0FFF)), [][]int32{{1, 4095}}},
		"12 bit signed":       {ExplicitLittle, with(picture(1, 2, 16, 12, "MONOCHROME2", words(0x0FFF, 0x07FF)), signed), [][]int32{{-1, 2047}}},
		"12 bit, high bit 15": {ExplicitLittle, with(picture(1, 2, 16, 12, "MONOCHROME2", words(0xFFF7, 0x0010)), NewInts(HighBit, US, 15)), [][]int32{{4095, 1}}},
		"single bits":         {ExplicitLittle, with(picture(1, 3, 1, 1, "MONOCHROME2", []byte{0b101110, 0}), frames(2)), [][]int32{{0, 1, 1}, {1, 0, 1}}},
		"frames":              {ExplicitLittle, with(picture(1, 2, 8, 8, "MONOCHROME2", []byte{1, 2, 3, 4}), frames(2)), [][]int32{{1, 2}, {3, 4}}},
		"RGB":                 {ExplicitLittle, picture(1, 2, 8, 8, "RGB", []byte{1, 2, 3, 4, 5, 6}), [][]int32{{1, 2, 3, 4, 5, 6}}},
		"RGB planes":          {ExplicitLittle, with(picture(1, 2, 8, 8, "RGB", []byte{1, 4, 2, 5, 3, 6}), planar), [][]int32{{1, 2, 3, 4, 5, 6}}},
		"RGB 16 bit planes":   {ExplicitLittle, with(picture(1, 2, 16, 16, "RGB", words(1, 4, 2, 5, 3, 600)), planar), [][]int32{{1, 2, 3, 4, 5, 600}}},
		"YBR 422":             {ExplicitLittle, picture(1, 2, 8, 8, "YBR_FULL_422", []byte{10, 20, 1, 2}), [][]int32{{10, 1, 2, 20, 1, 2}}},
		"RLE 8 bit": {RLELossless, fragments(picture(2, 4, 8, 8, "MONOCHROME2", nil), nil, rleFrame([]byte{7, 7, 7, 7, 1, 2, 3, 3})),
			[][]int32{{7, 7, 7, 7, 1, 2, 3, 3}}},
		"RLE 16 bit": {RLELossless, fragments(picture(1, 4, 16, 16, "MONOCHROME2", nil), nil, rleFrame([]byte{1, 1, 1, 2}, []byte{0, 5, 5, 5})),
			[][]int32{{256, 261, 261, 517}}},
		"RLE RGB": {RLELossless, fragments(picture(1, 2, 8, 8, "RGB", nil), nil, rleFrame([]byte{1, 4}, []byte{2, 5}, []byte{3, 6})),
			[][]int32{{1, 2, 3, 4, 5, 6}}},
		"RLE RGB 16 bit": {RLELossless, fragments(picture(1, 1, 16, 16, "RGB", nil), nil, rleFrame([]byte{1}, []byte{2}, []byte{3}, []byte{4}, []byte{5}, []byte{6})),
			[][]int32{{0x102, 0x304, 0x506}}},
		"RLE frames": {RLELossless, with(fragments(picture(1, 2, 8, 8, "MONOCHROME2", nil), nil, rleFrame([]byte{1, 2}), rleFrame([]byte{3, 4})), frames(2)),
			[][]int32{{1, 2}, {3, 4}}},
		"RLE in two fragments": {RLELossless, fragments(picture(1, 2, 8, 8, "MONOCHROME2", nil), nil, rleFrame([]byte{1, 2})[:20], rleFrame([]byte{1, 2})[20:]),
			[][]int32{{1, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := parsePicture(t, encode(t, c.syntax, c.d))
			if m.Frames != len(c.want) {
				t.Fatalf("%d frames", m.Frames)
			}
			for i, want := range c.want {
				f, err := m.Frame(i)
				if err != nil {
					t.Fatal(err)
				}
				if got := m.Values(f); !slices.Equal(got, want) {
					t.Errorf("frame %d: %v, want %v", i, got, want)
				}
				p, err := m.Render(i)
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Image.Bounds().Size(); got != image.Pt(m.Columns, m.Rows) {
					t.Errorf("rendered frame %d: %v", i, got)
				}
			}
			for _, i := range []int{-1, len(c.want)} {
				if _, err := m.Frame(i); err == nil {
					t.Errorf("frame %d was read", i)
				}
			}
		})
	}
}

// TestFragmentsOfFrames finds the fragments of each frame in every way that the standard has.
func TestFragmentsOfFrames(t *testing.T) {
	soi := []byte{0xff, 0xd8, 0xff, 0xe0}
	long := func(v ...byte) *Element {
		e := &Element{Tag: extendedOffsetTable, VR: OV}
		for _, v := range v {
			e.Value = append(e.Value, v, 0, 0, 0, 0, 0, 0, 0)
		}
		return e
	}
	for name, c := range map[string]struct {
		offsets  []uint32
		extended *Element
		parts    [][]byte
		want     [][]byte // nil for an error
	}{
		"one a frame":           {parts: [][]byte{{1, 2}, {3, 4}, {5, 6}}, want: [][]byte{{1, 2}, {3, 4}, {5, 6}}},
		"offsets":               {offsets: []uint32{0, 20, 30}, parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, want: [][]byte{{1, 2, 3, 4}, {5, 6}, {7, 8}}},
		"extended offsets":      {extended: long(0, 10, 20), parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, want: [][]byte{{1, 2}, {3, 4}, {5, 6, 7, 8}}},
		"starts of images":      {parts: [][]byte{soi, {1, 2}, soi, soi, {3, 4}}, want: [][]byte{append(soi[:4:4], 1, 2), soi, append(soi[:4:4], 3, 4)}},
		"too few":               {parts: [][]byte{{1, 2}, {3, 4}}},
		"nothing tells":         {parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
		"too few images":        {parts: [][]byte{soi, {1, 2}, soi, {3, 4}}},
		"odd offset":            {offsets: []uint32{0, 11, 30}, parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
		"offset beyond":         {offsets: []uint32{0, 10, 1 << 31}, parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
		"offsets fall":          {offsets: []uint32{20, 10, 0}, parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
		"two of the same start": {offsets: []uint32{0, 0, 0}, parts: [][]byte{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
	} {
		d := fragments(picture(1, 1, 8, 8, "MONOCHROME2", nil), c.offsets, c.parts...)
		d.Set(NewInts(NumberOfFrames, IS, 3))
		if c.extended != nil {
			d.Set(c.extended)
		}
		m := parsePicture(t, encode(t, "1.2.840.10008.1.2.4.70", d))
		failed := false
		for i := range 3 {
			got, err := m.Encoded(i)
			failed = failed || err != nil
			if c.want != nil && !bytes.Equal(got, c.want[i]) {
				t.Errorf("%s: frame %d is %v, %v", name, i, got, err)
			}
		}
		if failed != (c.want == nil) {
			t.Errorf("%s: an error: %v", name, failed)
		}
	}
}

// TestEncodedBits takes frames of single bits that do not begin with a byte.
func TestEncodedBits(t *testing.T) {
	d := picture(1, 3, 1, 1, "MONOCHROME2", []byte{0b10101110, 0b1})
	d.Set(NewInts(NumberOfFrames, IS, 3))
	m := parsePicture(t, encode(t, ExplicitLittle, d))
	for i, want := range []byte{0b110, 0b101, 0b110} {
		if got, err := m.Encoded(i); err != nil || !bytes.Equal(got, []byte{want}) {
			t.Errorf("frame %d: %b, %v", i, got, err)
		}
	}
}

// TestJPEG reads pictures that the standard library wrote. The decoder is the same, so what can differ is colour.
func TestJPEG(t *testing.T) {
	const size = 24
	colour, grey := image.NewRGBA(image.Rect(0, 0, size, size)), image.NewGray(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			colour.SetRGBA(x, y, color.RGBA{uint8(200 - 5*x), uint8(5 * y), uint8(100 + 3*x), 255})
			grey.SetGray(x, y, color.Gray{uint8(5*x + 3*y)})
		}
	}
	jfif := jpegOf(t, colour)
	adobe := func(transform byte) []byte {
		return slices.Concat(jfif[:2], []byte{0xff, 0xee, 0, 14}, []byte("Adobe"), []byte{0, 100, 0, 0, 0, 0, transform}, jfif[2:])
	}
	components := func(b []byte) color.RGBA { // the pixel 3, 5 as it was coded
		img, err := runJPEG(b)
		if err != nil {
			t.Fatal(err)
		}
		c := img.(*image.YCbCr).YCbCrAt(3, 5)
		return color.RGBA{c.Y, c.Cb, c.Cr, 255}
	}
	for name, c := range map[string]struct {
		photometric string
		bytes       []byte
		want        color.RGBA
		off         int
	}{
		"grey":                 {"MONOCHROME2", jpegOf(t, grey), color.RGBA{30, 30, 30, 255}, 3},
		"grey, inverted":       {"MONOCHROME1", jpegOf(t, grey), color.RGBA{225, 225, 225, 255}, 3},
		"YBR_FULL":             {"YBR_FULL", jfif, colour.RGBAAt(3, 5), 10},
		"YBR_FULL_422":         {"YBR_FULL_422", jfif, colour.RGBAAt(3, 5), 10},
		"RGB, marked as YCbCr": {"RGB", adobe(1), colour.RGBAAt(3, 5), 10},
		"RGB without a mark":   {"RGB", jfif, components(jfif), 0},
	} {
		padded := append(slices.Clone(c.bytes), make([]byte, len(c.bytes)%2)...)
		m := parsePicture(t, encode(t, JPEGBaseline, fragments(picture(size, size, 8, 8, c.photometric, nil), nil, padded)))
		p, err := m.Render(0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, g, b, _ := p.Image.At(3, 5).RGBA()
		for i, got := range []uint32{r, g, b} {
			want := []uint8{c.want.R, c.want.G, c.want.B}[i]
			if d := int(got>>8) - int(want); d > c.off || -d > c.off {
				t.Errorf("%s: sample %d is %d, want %d", name, i, got>>8, want)
			}
		}
		f, err := m.Frame(0)
		if err != nil || len(f.Data) != size*size*m.Samples {
			t.Errorf("%s: %v", name, err)
		} else if c.photometric == "RGB" && c.off == 0 {
			if at := (5*size + 3) * 3; fmt.Sprint(f.Data[at:at+3]) != fmt.Sprint([]byte{c.want.R, c.want.G, c.want.B}) {
				t.Errorf("%s: the stored values are %v", name, f.Data[at:at+3])
			}
		}
	}
}

// TestSampleJPEG compares the JPEG among the sample files with the picture that it was made from: like pydicom's, no
// sample is off by more than 6.
func TestSampleJPEG(t *testing.T) {
	original, err := parsePicture(t, read(t, "SC_rgb.dcm")).Frame(0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePicture(t, read(t, "SC_rgb_jpeg_dcmtk.dcm")).Render(0)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0
	for i := range original.Rows * original.Columns {
		r, g, b, _ := p.Image.At(i%original.Columns, i/original.Columns).RGBA()
		for c, v := range []uint32{r, g, b} {
			d := int(v>>8) - int(original.Data[3*i+c])
			worst = max(worst, d, -d)
		}
	}
	if worst > 6 {
		t.Errorf("a sample is off by %d", worst)
	}
}
