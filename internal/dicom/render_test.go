package dicom

import (
	"image"
	"math"
	"slices"
	"strings"
	"testing"
)

// shades renders a picture of one row of 16-bit values with these elements besides, and returns the brightness.
func shades(t *testing.T, values []int, elements ...*Element) ([]uint8, string) {
	t.Helper()
	d := picture(1, len(values), 16, 16, "MONOCHROME2", words(values...))
	d.Set(NewInts(PixelRepresentation, US, 1))
	for _, e := range elements {
		d.Set(e)
	}
	p, err := parsePicture(t, encode(t, ExplicitLittle, d)).Render(0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Image.(*image.Gray).Pix, p.Window
}

// TestWindows checks brightness against the formulas of PS3.3 section C.11.2.1.
func TestWindows(t *testing.T) {
	center := func(v ...string) *Element { return NewText(WindowCenter, DS, v...) }
	width := func(v ...string) *Element { return NewText(WindowWidth, DS, v...) }
	rescale := []*Element{NewText(RescaleSlope, DS, "2"), NewText(RescaleIntercept, DS, "-1000")}
	sigmoid := func(x, c, w float64) uint8 { return uint8(255/(1+math.Exp(-4*(x-c)/w)) + 0.5) }
	table := func(tag Tag, first int64, bits int64, values ...int) *Element {
		return NewSequence(tag, NewDataset(NewInts(LUTDescriptor, SS, int64(len(values)), first, bits), &Element{Tag: LUTData, VR: OW, Value: words(values...)}))
	}
	for name, c := range map[string]struct {
		values   []int
		elements []*Element
		want     []uint8
		says     string
	}{
		// The standard's own numbers: centre 0 and width 100 go from -50 to 49, width 1 is a threshold.
		"linear":               {[]int{-51, -50, -1, 0, 49, 50}, []*Element{center("0"), width("100")}, []uint8{0, 0, 126, 129, 255, 255}, "the window of the file, centre 0 and width 100"},
		"width 1":              {[]int{-1, 0, 1}, []*Element{center("0"), width("1")}, []uint8{0, 255, 255}, "width 1"},
		"exact":                {[]int{-50, 0, 25, 50}, []*Element{center("0"), width("100"), NewText(VOILUTFunction, CS, "LINEAR_EXACT")}, []uint8{0, 128, 191, 255}, "centre 0"},
		"exact, narrow":        {[]int{-1, 0, 1}, []*Element{center("0"), width("0.5"), NewText(VOILUTFunction, CS, "LINEAR_EXACT")}, []uint8{0, 128, 255}, "width 0.5"},
		"sigmoid":              {[]int{-80, 0, 80}, []*Element{center("0"), width("100"), NewText(VOILUTFunction, CS, "SIGMOID")}, []uint8{sigmoid(-80, 0, 100), 128, sigmoid(80, 0, 100)}, "as a sigmoid"},
		"first of two":         {[]int{-50, 50}, []*Element{center("0", "7"), width("100", "3")}, []uint8{0, 255}, "the first of 2 windows of the file, centre 0 and width 100"},
		"rescaled":             {[]int{450, 500, 549, 550}, append(rescale, center("0"), width("201")), []uint8{1, 128, 253, 255}, "rescaled by 2 and -1000, then the window"},
		"falling":              {[]int{-10, 10}, []*Element{NewText(RescaleSlope, DS, "-1"), NewText(RescaleIntercept, DS, "0")}, []uint8{255, 0}, "rescaled by -1"},
		"none":                 {[]int{-100, 0, 100}, nil, []uint8{0, 128, 255}, "from the least value -100 to the greatest 100, for lack of a window"},
		"none, constant":       {[]int{7, 7}, nil, []uint8{0, 0}, "from the least value 7 to the greatest 7"},
		"width 0":              {[]int{-100, 100}, []*Element{center("0"), width("0")}, []uint8{0, 255}, "for lack of a window"},
		"no number":            {[]int{-100, 100}, []*Element{center("x"), width("y")}, []uint8{0, 255}, "for lack of a window"},
		"huge":                 {[]int{-100, 100}, []*Element{center("0"), width("1e300")}, []uint8{128, 128}, "width 1e+300"},
		"overflow":             {[]int{-100, 100}, []*Element{NewText(RescaleSlope, DS, "1e308"), NewText(RescaleIntercept, DS, "0")}, []uint8{0, 0}, "rescaled by 1e+308"},
		"padding":              {[]int{-2000, 0, 100}, []*Element{NewInts(PixelPaddingValue, SS, -2000)}, []uint8{0, 0, 255}, "from the least value 0"},
		"padding as US":        {[]int{-2000, 0, 100}, []*Element{NewInts(PixelPaddingValue, US, -2000)}, []uint8{0, 0, 255}, "from the least value 0"},
		"padding range":        {[]int{-2000, -1500, -1000, 0, 100}, []*Element{NewInts(PixelPaddingValue, SS, -2000), NewInts(PixelPaddingRangeLimit, SS, -1000)}, []uint8{0, 0, 0, 0, 255}, "from the least value 0"},
		"padding only":         {[]int{-2000, -2000}, []*Element{NewInts(PixelPaddingValue, SS, -2000)}, []uint8{0, 0}, "from the least value 0"},
		"inverted":             {[]int{0, 100}, []*Element{NewText(PhotometricInterpretation, CS, "MONOCHROME1")}, []uint8{255, 0}, "least value 0"},
		"inverted padding":     {[]int{-5, 0, 100}, []*Element{NewText(PhotometricInterpretation, CS, "MONOCHROME1"), NewInts(PixelPaddingValue, SS, -5)}, []uint8{0, 255, 0}, "least value 0"},
		"VOI table":            {[]int{-9, -2, -1, 0, 5}, []*Element{table(VOILUTSequence, -2, 8, 10, 20, 255), center("0"), width("2")}, []uint8{10, 10, 20, 255, 255}, "the VOI look-up table of the file"},
		"VOI table of 12 bits": {[]int{0, 1}, []*Element{table(VOILUTSequence, 0, 12, 0, 4095)}, []uint8{0, 255}, "the VOI look-up table"},
		"modality table":       {[]int{0, 1, 2}, []*Element{table(ModalityLUTSequence, 0, 16, 0, 300, 100), center("150"), width("301")}, []uint8{0, 255, 85}, "modality look-up table, then the window"},
	} {
		got, says := shades(t, c.values, c.elements...)
		if !slices.Equal(got, c.want) || !strings.Contains(says, c.says) {
			t.Errorf("%s: %v, %q; want %v, %q", name, got, says, c.want, c.says)
		}
	}
}

// TestFewBits shows pictures of up to 8 bits without a window by the range of their bits.
func TestFewBits(t *testing.T) {
	for bits, values := range map[int][3]uint8{8: {0, 100, 255}, 4: {0, 85, 255}, 1: {0, 255, 255}} {
		data := []byte{0, 100, 255, 0}
		if bits == 4 {
			data = []byte{0, 5, 15, 0}
		} else if bits == 1 {
			data = []byte{0, 1, 1, 0}
		}
		p, err := parsePicture(t, encode(t, ExplicitLittle, picture(1, 3, 8, bits, "MONOCHROME2", data))).Render(0)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Image.(*image.Gray).Pix; !slices.Equal(got, values[:]) {
			t.Errorf("%d bits: %v, want %v (%s)", bits, got, values, p.Window)
		}
	}
}

// TestWindowOfAFrame takes windows and slopes from functional groups: of the frame, else of all frames.
func TestWindowOfAFrame(t *testing.T) {
	group := func(center, width string) *Element {
		return NewSequence(FrameVOILUTSeq, NewDataset(NewText(WindowCenter, DS, center), NewText(WindowWidth, DS, width)))
	}
	d := picture(1, 2, 16, 12, "MONOCHROME2", words(0, 100, 0, 100, 0, 100))
	d.Set(NewInts(NumberOfFrames, IS, 3))
	d.Set(NewText(WindowCenter, DS, "9"))
	d.Set(NewText(WindowWidth, DS, "9"))
	d.Set(NewSequence(SharedFunctionalGroupsSequence, NewDataset(group("100", "201"),
		NewSequence(PixelValueTransformationSeq, NewDataset(NewText(RescaleSlope, DS, "2"), NewText(RescaleIntercept, DS, "0"))))))
	d.Set(NewSequence(PerFrameFunctionalGroups, NewDataset(group("200", "401")), &Dataset{}))
	m := parsePicture(t, encode(t, ExplicitLittle, d))
	for i, want := range [][]uint8{{0, 128}, {0, 255}, {0, 255}} { // 0 and 200 after the slope
		p, err := m.Render(i)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Image.(*image.Gray).Pix; !slices.Equal(got, want) && !slices.Equal(got, []uint8{want[0] + 1, want[1]}) {
			t.Errorf("frame %d: %v, want %v (%s)", i, got, want, p.Window)
		}
	}
}

func TestColours(t *testing.T) {
	palette := func(bits int64, first int64, data ...[]byte) []*Element {
		var elements []*Element
		for c, tags := range [3][2]Tag{{RedPaletteDescriptor, RedPaletteData}, {GreenPaletteDescriptor, GreenPaletteData}, {BluePaletteDescriptor, BluePaletteData}} {
			elements = append(elements, NewInts(tags[0], US, 3, first, bits), &Element{Tag: tags[1], VR: OW, Value: data[c]})
		}
		return elements
	}
	for name, c := range map[string]struct {
		d        *Dataset
		elements []*Element
		want     [][3]uint8
		off      int
	}{
		"RGB":        {picture(1, 2, 8, 8, "RGB", []byte{1, 2, 3, 4, 5, 6}), nil, [][3]uint8{{1, 2, 3}, {4, 5, 6}}, 0},
		"RGB 16 bit": {picture(1, 1, 16, 16, "RGB", words(0, 32768, 65535)), nil, [][3]uint8{{0, 128, 255}}, 0},
		"RGB 12 bit": {picture(1, 1, 16, 12, "RGB", words(0, 2048, 4095)), nil, [][3]uint8{{0, 128, 255}}, 0},
		"YBR":        {picture(1, 2, 8, 8, "YBR_FULL", []byte{76, 85, 255, 255, 128, 128}), nil, [][3]uint8{{255, 0, 0}, {255, 255, 255}}, 2},
		"YBR 422":    {picture(1, 2, 8, 8, "YBR_FULL_422", []byte{76, 76, 85, 255}), nil, [][3]uint8{{255, 0, 0}, {255, 0, 0}}, 2},
		"palette of 16 bits": {picture(1, 4, 8, 8, "PALETTE COLOR", []byte{0, 11, 12, 13}), palette(16, 10, words(0, 0x8000, 0xFFFF), words(0, 0, 0x100), words(0xFF00, 0, 1)),
			[][3]uint8{{0, 0, 255}, {128, 0, 0}, {255, 1, 0}, {255, 1, 0}}, 0},
		"palette of bytes": {picture(1, 3, 8, 8, "PALETTE COLOR", []byte{0, 1, 2, 0}), palette(8, 0, []byte{1, 2, 3, 0}, []byte{4, 5, 6, 0}, []byte{7, 8, 9, 0}),
			[][3]uint8{{1, 4, 7}, {2, 5, 8}, {3, 6, 9}}, 0},
		"palette of 16-bit values": {picture(1, 2, 16, 16, "PALETTE COLOR", words(0, 65535)), palette(8, 0, words(1, 2, 3), words(4, 5, 6), words(7, 8, 9)),
			[][3]uint8{{1, 4, 7}, {3, 6, 9}}, 0},
	} {
		for _, e := range c.elements {
			c.d.Set(e)
		}
		p, err := parsePicture(t, encode(t, ExplicitLittle, c.d)).Render(0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for x, want := range c.want {
			r, g, b, a := p.Image.At(x, 0).RGBA()
			for i, v := range []uint32{r, g, b} {
				if d := int(v>>8) - int(want[i]); d > c.off || -d > c.off || a != 0xffff {
					t.Errorf("%s: pixel %d is %d %d %d of %d, want %v", name, x, r>>8, g>>8, b>>8, a, want)
					break
				}
			}
		}
	}
}

// BenchmarkRender is a radiograph of 2,000 x 2,000 pixels and 12 bits, from the bytes of the file.
func BenchmarkRender(b *testing.B) {
	data := make([]byte, 2*2000*2000)
	for i := range 2000 * 2000 {
		v := i * 7 % 4096
		data[2*i], data[2*i+1] = byte(v), byte(v>>8)
	}
	d := picture(2000, 2000, 16, 12, "MONOCHROME1", data)
	for name, syntax := range map[string]TransferSyntax{"little": ExplicitLittle, "big": ExplicitBig} {
		file := encode(b, syntax, d)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f, err := Parse(file)
				if err != nil {
					b.Fatal(err)
				}
				m, err := f.Image()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := m.Render(0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
