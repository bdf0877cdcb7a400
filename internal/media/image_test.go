package media

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/weights"
)

// pngChunk returns one PNG chunk.
func pngChunk(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func ihdr(width, height uint32, depth, model, interlace byte) []byte {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return pngChunk("IHDR", append(b, depth, model, 0, 0, interlace))
}

// pngOf joins chunks into a PNG.
func pngOf(chunks ...[]byte) []byte {
	return append([]byte(pngSignature), slices.Concat(chunks...)...)
}

// idat returns the chunk that holds raw, compressed.
func idat(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return pngChunk("IDAT", b.Bytes())
}

// segment returns one JPEG segment.
func segment(marker byte, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2))
	return append(b, body...)
}

func sof(marker byte, depth byte, width, height uint16, components ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{depth}, height)
	b = append(binary.BigEndian.AppendUint16(b, width), byte(len(components)))
	for _, id := range components {
		b = append(b, id, 0x11, 0)
	}
	return segment(marker, b...)
}

// jpegOf joins segments into a JPEG with a start and an end.
func jpegOf(segments ...[]byte) []byte {
	return append(append([]byte{0xff, 0xd8}, slices.Concat(segments...)...), 0xff, 0xd9)
}

var sos = segment(markerSOS, 1, 1, 0, 0, 63, 0)

// ramp is a colour picture of which no two corners are alike.
func ramp(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 255 / max(1, width-1)), uint8(y * 255 / max(1, height-1)), 60, 255})
		}
	}
	return img
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// allocated returns how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// hostile are inputs that have to be refused, with what the error says.
func hostile(t testing.TB) map[string]struct {
	bytes []byte
	code  analysis.Code
	says  string
} {
	t.Helper()
	grey := sof(markerSOF0, 8, 64, 64, 1)
	zeros := make([]byte, 1<<20)
	scans := [][]byte{sof(markerSOF2, 8, 8, 8, 1)}
	for range MaxImageScans + 1 {
		scans = append(scans, sos)
	}
	type c = struct {
		bytes []byte
		code  analysis.Code
		says  string
	}
	const invalid, unsupported, large = analysis.InvalidArgument, analysis.UnsupportedMedia, analysis.TooLarge
	return map[string]c{
		"empty":                    {nil, invalid, "empty"},
		"too many bytes":           {make([]byte, MaxImageBytes+1), large, "limit 33554432 bytes, found 33554433 bytes"},
		"text":                     {[]byte("no picture at all"), unsupported, "send JPEG, PNG or DICOM"},
		"gif bomb":                 {[]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08"), unsupported, "GIF"},
		"webp":                     {[]byte("RIFF\x10\x00\x00\x00WEBPVP8 "), unsupported, "WebP"},
		"wav":                      {[]byte("RIFF\x10\x00\x00\x00WAVEfmt "), unsupported, "WAV"},
		"bmp":                      {[]byte("BM\x00\x00\x00\x00"), unsupported, "BMP"},
		"tiff":                     {[]byte("II*\x00\x08\x00\x00\x00"), unsupported, "TIFF"},
		"heic":                     {[]byte("\x00\x00\x00\x18ftypheic"), unsupported, "HEIC"},
		"dicom of nothing":         {append(make([]byte, 128), "DICM"...), unsupported, "holds no picture"},
		"pdf":                      {[]byte("%PDF-1.7"), unsupported, "PDF"},
		"png signature alone":      {pngOf(), invalid, "cut off"},
		"png of 900 million px":    {pngOf(ihdr(30000, 30000, 8, 6, 0), pngChunk("IDAT", nil)), large, "limit 16384 pixels, found 30000 x 30000"},
		"png area":                 {pngOf(ihdr(16384, 16384, 1, 0, 0), pngChunk("IDAT", nil), pngChunk("IEND", nil)), large, "limit 33554432 pixels"},
		"png memory":               {pngOf(ihdr(8192, 4096, 16, 6, 1), pngChunk("IDAT", nil), pngChunk("IEND", nil)), large, "memory"},
		"png hardly filled":        {pngOf(ihdr(5000, 5000, 8, 6, 0), idat(t, zeros[:100]), pngChunk("IEND", nil)), invalid, "take at least"},
		"png of width 0":           {pngOf(ihdr(0, 5, 8, 2, 0), pngChunk("IEND", nil)), invalid, "0 x 5"},
		"png of height 0":          {pngOf(ihdr(5, 0, 8, 2, 0), pngChunk("IEND", nil)), invalid, "5 x 0"},
		"png of colour type 5":     {pngOf(ihdr(5, 5, 8, 5, 0), pngChunk("IEND", nil)), invalid, "colour type 5"},
		"png palette of 16 bits":   {pngOf(ihdr(5, 5, 16, 3, 0), pngChunk("IEND", nil)), invalid, "bit depth 16"},
		"png without a header":     {pngOf(pngChunk("IDAT", zeros[:10]), pngChunk("IEND", nil)), invalid, "first chunk"},
		"png with two headers":     {pngOf(ihdr(1, 1, 8, 0, 0), ihdr(9000, 3000, 8, 6, 0), pngChunk("IEND", nil)), invalid, "first chunk"},
		"png without data":         {pngOf(ihdr(1, 1, 8, 0, 0), pngChunk("IEND", nil)), invalid, "cut off"},
		"png chunk beyond the end": {append(pngOf(ihdr(1, 1, 8, 0, 0)), "\xff\xff\xff\xffIDATabcd"...), invalid, "cut off"},
		"png of another format":    {pngOf(pngChunk("CgBI", zeros[:4]), ihdr(1, 1, 8, 0, 0)), invalid, "first chunk"},
		"png data too short":       {pngOf(ihdr(100, 100, 8, 0, 0), idat(t, zeros[:500]), pngChunk("IEND", nil)), invalid, "not enough pixel data"},
		"png data no deflate":      {pngOf(ihdr(10, 10, 8, 0, 0), pngChunk("IDAT", []byte("no deflate here")), pngChunk("IEND", nil)), invalid, "zlib"},
		"png deflate bomb":         {pngOf(ihdr(10, 10, 8, 0, 0), idat(t, make([]byte, 32<<20)), pngChunk("IEND", nil)), invalid, "too much pixel data"},
		"jpeg start alone":         {[]byte{0xff, 0xd8, 0xff}, invalid, "cut off"},
		"jpeg fill bytes":          {append([]byte{0xff, 0xd8}, bytes.Repeat([]byte{0xff}, 1<<20)...), invalid, "cut off"},
		"jpeg of 65535 x 65535":    {jpegOf(sof(markerSOF0, 8, 65535, 65535, 1, 2, 3), sos), large, "16384"},
		"jpeg hardly filled":       {jpegOf(sof(markerSOF2, 8, 8000, 4000, 1), sos), invalid, "take at least 62500 bytes"},
		"jpeg memory":              {jpegOf(segment(markerAPP14, []byte("Adobe\x00\x64\x00\x00\x00\x00\x02")...), sof(markerSOF2, 8, 8000, 4000, 1, 2, 3, 4), sos), large, "memory"},
		"jpeg memory when turned":  {jpegOf(sof(markerSOF2, 8, 8000, 4000, 1, 2, 3), sos, segment(markerAPP1, append([]byte("Exif\x00\x00"), exifData(binary.LittleEndian, 6)...)...)), large, "memory"},
		"jpeg of height 0":         {jpegOf(sof(markerSOF0, 8, 64, 0, 1), sos), invalid, "64 x 0"},
		"jpeg of 12 bits":          {jpegOf(sof(markerSOF1, 12, 64, 64, 1), sos), unsupported, "12 bits"},
		"jpeg lossless":            {jpegOf(sof(0xc3, 8, 64, 64, 1), sos), unsupported, "SOF3"},
		"jpeg arithmetic":          {jpegOf(sof(0xc9, 8, 64, 64, 1), sos), unsupported, "SOF9"},
		"jpeg-ls":                  {jpegOf(segment(markerSOF55, 8, 0, 1, 0, 1, 1, 1, 0x11, 0), sos), unsupported, "JPEG-LS"},
		"jpeg of 2 components":     {jpegOf(sof(markerSOF0, 8, 64, 64, 1, 2), sos), unsupported, "2 components"},
		"jpeg of unknown inks":     {jpegOf(sof(markerSOF0, 8, 64, 64, 1, 2, 3, 4), sos), unsupported, "Adobe"},
		"jpeg with two frames":     {jpegOf(grey, sof(markerSOF0, 8, 9000, 3000, 1), sos), invalid, "two frame headers"},
		"jpeg frame too short":     {jpegOf(segment(markerSOF0, 8, 0, 1), sos), invalid, "frame header"},
		"jpeg scan first":          {jpegOf(sos, grey), invalid, "before the frame header"},
		"jpeg without a scan":      {jpegOf(grey), invalid, "no picture data"},
		"jpeg of many scans":       {jpegOf(scans...), large, "limit 100 scans"},
		"jpeg segment of 1 byte":   {jpegOf([]byte{0xff, 0xe0, 0, 1}, grey, sos), invalid, "declares 1 bytes"},
		"jpeg segment beyond":      {append([]byte{0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff}, "JFIF"...), invalid, "beyond"},
		"jpeg without tables":      {jpegOf(grey, sos, zeros[:64]), invalid, "decode jpeg"},
	}
}

func TestHostilePictures(t *testing.T) {
	for name, c := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			var d *Decoded
			var err error
			const ceiling = 2 << 20
			if n := allocated(func() { d, err = DecodeImage(c.bytes) }); n > ceiling {
				t.Errorf("%d bytes of input allocated %d, want at most %d", len(c.bytes), n, ceiling)
			}
			var e *analysis.Error
			if d != nil || !errors.As(err, &e) || e.Code != c.code || e.Field != "image" || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), want %s that says %q", err, analysis.CodeOf(err), c.code, c.says)
			}
			if n := allocated(func() { _, err = CheckImage(c.bytes) }); n > 1<<16 {
				t.Errorf("the check allocated %d bytes", n)
			}
		})
	}
}

func TestTruncatedPictures(t *testing.T) {
	progressive, err := os.ReadFile(filepath.Join("testdata", "progressive-420.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, whole := range map[string][]byte{
		"png": encodePNG(t, ramp(200, 100)), "jpeg": encodeJPEG(t, ramp(200, 100)), "progressive": progressive,
	} {
		if _, err := DecodeImage(whole); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for tenth := range 10 {
			cut := whole[:len(whole)*tenth/10]
			if _, err := DecodeImage(cut); analysis.CodeOf(err) != analysis.InvalidArgument {
				t.Errorf("%s cut to %d tenths: %v", name, tenth, err)
			}
			// The same with an end, as a careless writer leaves it, reaches the decoder.
			end := map[bool][]byte{true: pngChunk("IEND", nil), false: {0xff, 0xd9}}[name == "png"]
			if _, err := DecodeImage(slices.Concat(cut, end)); err == nil {
				t.Errorf("%s cut to %d tenths, with an end, was read", name, tenth)
			}
		}
		if _, err := DecodeImage(whole[:len(whole)-1]); analysis.CodeOf(err) != analysis.InvalidArgument {
			t.Errorf("%s without its last byte: %v", name, err)
		}
	}
}

// TestVarieties decodes one file of each variety, all of the same picture; see testdata/make_images.py.
func TestVarieties(t *testing.T) {
	type want struct {
		model       string
		depth       int
		progressive bool
		off         int // the most that a sample may be off
		notes       string
	}
	cases := map[string]want{
		"baseline-444.jpg":    {"ycbcr", 8, false, 3, ""},
		"baseline-420.jpg":    {"ycbcr", 8, false, 10, ""},
		"progressive-420.jpg": {"ycbcr", 8, true, 10, ""},
		"grey.jpg":            {"grey", 8, false, 3, ""},
		"cmyk.jpg":            {"cmyk", 8, false, 3, "converted cmyk to RGB, without a colour profile"},
		"rgb.jpg":             {"rgb", 8, false, 3, ""},
		"rgb.png":             {"rgb", 8, false, 0, ""},
		"rgba.png":            {"rgba", 8, false, 1, "converted transparency laid over black"},
		"opaque-rgba.png":     {"rgba", 8, false, 0, ""},
		"grey-alpha.png":      {"grey+alpha", 8, false, 1, "converted transparency laid over black"},
		"palette-8.png":       {"palette", 8, false, 0, ""},
		"palette-4.png":       {"palette", 4, false, 0, ""},
		"palette-alpha.png":   {"palette", 8, false, 1, "converted transparency laid over black"},
		"grey-1.png":          {"grey", 1, false, 0, ""},
		"grey-8.png":          {"grey", 8, false, 0, ""},
		"grey-16.png":         {"grey", 16, false, 0, "converted 16-bit grey: the values 0 to 65535 mapped to 8 bits"},
		"grey-12-in-16.png":   {"grey", 16, false, 0, "converted 16-bit grey: the values 0 to 4095 mapped to 8 bits"},
		"grey-8-in-16.png":    {"grey", 16, false, 0, "converted 16-bit grey: the values 0 to 255 mapped to 8 bits"},
		"rgb-16.png":          {"rgb", 16, false, 0, "converted 16-bit colour to its upper 8 bits"},
		"interlaced.png":      {"rgb", 8, true, 0, ""},
	}
	names := slices.Sorted(maps.Keys(cases))
	refs, err := os.ReadFile(filepath.Join("testdata", "references.rgb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(refs) != len(names)*40*24*3 {
		t.Fatalf("the references hold %d bytes, want %d pictures", len(refs), len(names))
	}
	for name, w := range cases {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			var d *Decoded
			spent := allocated(func() { d, err = DecodeImage(b) })
			if err != nil {
				t.Fatal(err)
			}
			h := d.Header
			if h.Width != 40 || h.Height != 24 || h.ColorModel != w.model || h.BitDepth != w.depth || h.Progressive != w.progressive || h.Orientation != 1 {
				t.Errorf("header %+v", h)
			}
			if h.MediaType() != "image/"+map[bool]string{true: "png", false: "jpeg"}[strings.HasSuffix(name, "png")] {
				t.Errorf("media type %s", h.MediaType())
			}
			if got := noteText(d.Notes); got != w.notes {
				t.Errorf("notes %q, want %q", got, w.notes)
			}
			// The decoders' own state, above all their tables and the inflater's window, comes on top.
			if most := uint64(h.DecodeBytes()) + 128<<10; spent > most {
				t.Errorf("decoding allocated %d bytes, the estimate is %d", spent, most)
			}
			ref := refs[slices.Index(names, name)*40*24*3:]
			worst := 0
			for y := range 24 {
				for x := range 40 {
					r, g, b, a := d.Image.At(x, y).RGBA()
					if a != 0xffff {
						t.Fatalf("pixel %d, %d is transparent", x, y)
					}
					for c, v := range []uint32{r, g, b} {
						worst = max(worst, abs(int(v>>8)-int(ref[(y*40+x)*3+c])))
					}
				}
			}
			if worst > w.off {
				t.Errorf("a sample is off by %d, want at most %d", worst, w.off)
			}
		})
	}
}

func abs(x int) int { return max(x, -x) }

func noteText(notes []analysis.Note) string {
	var s []string
	for _, n := range notes {
		s = append(s, n.Kind+" "+n.Detail)
	}
	return strings.Join(s, "; ")
}

// TestDecodeBytesBoundsLargePictures compares the estimate with what large pictures really take.
func TestDecodeBytesBoundsLargePictures(t *testing.T) {
	const width, height = 1500, 1100
	grey, grey16 := image.NewGray(image.Rect(0, 0, width, height)), image.NewGray16(image.Rect(0, 0, width, height))
	nrgba64 := image.NewNRGBA64(grey.Bounds())
	for i := range grey.Pix {
		grey.Pix[i], grey16.Pix[2*i], nrgba64.Pix[8*i+6] = byte(i*i>>7), byte(i*i>>7), byte(i)
	}
	paletted := image.NewPaletted(grey.Bounds(), color.Palette{color.Black, color.Transparent})
	for name, b := range map[string][]byte{
		"jpeg colour": encodeJPEG(t, ramp(width, height)), "jpeg grey": encodeJPEG(t, grey), "png colour": encodePNG(t, ramp(width, height)),
		"png grey": encodePNG(t, grey), "png 16-bit grey": encodePNG(t, grey16), "png 16-bit with alpha": encodePNG(t, nrgba64),
		"png palette": encodePNG(t, paletted), "jpeg turned": withEXIF(encodeJPEG(t, ramp(width, height)), exifData(binary.BigEndian, 6)),
	} {
		h, err := CheckImage(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		spent := allocated(func() { _, err = DecodeImage(b) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if most := uint64(h.DecodeBytes()) + 1<<20; spent > most {
			t.Errorf("%s: decoding allocated %d bytes, the estimate is %d", name, spent, h.DecodeBytes())
		}
	}
}

func TestOnePixel(t *testing.T) {
	for name, b := range map[string][]byte{"png": encodePNG(t, ramp(1, 1)), "jpeg": encodeJPEG(t, ramp(1, 1)), "tall": encodePNG(t, ramp(1, MaxImageSide))} {
		d, err := DecodeImage(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if x := ImageTensor(d.Image, 224); len(x) != 3*224*224 {
			t.Errorf("%s: %d values", name, len(x))
		}
	}
}

func TestImageTensor(t *testing.T) {
	x := ImageTensor(ramp(224, 224), 224)
	for _, c := range []struct {
		channel, y, x int
		want          float32
	}{{0, 0, 0, -127. / 128}, {0, 5, 223, 1}, {1, 223, 7, 1}, {2, 100, 100, (60 - 127) / 128.}} {
		if got := x[(c.channel*224+c.y)*224+c.x]; got != c.want {
			t.Errorf("channel %d at row %d, column %d: %v, want %v", c.channel, c.y, c.x, got, c.want)
		}
	}
	// An oblong picture fills the square: its corners stay in the corners.
	x = ImageTensor(ramp(600, 100), 224)
	n := 224 * 224
	for i, want := range map[int]float32{0: -1, 223: 1, n: -1, n + 223*224: 1} {
		if got := x[i]; got-want > 0.02 || want-got > 0.02 {
			t.Errorf("value %d: %v, want about %v", i, got, want)
		}
	}
	if notes := ResizeNotes(ramp(224, 224), 224); notes != nil {
		t.Errorf("a picture of the right size has the notes %v", notes)
	}
	if got := noteText(ResizeNotes(ramp(64, 64), 224)); got != "resized from 64 x 64 to 224 x 224 pixels" {
		t.Errorf("note %q", got)
	}
}

func TestPackagedPictures(t *testing.T) {
	for name, pattern := range map[string]string{"pneumonia-val": "*.jpeg", "easy-vqa": "data/test/images/1*.png"} {
		folder, err := weights.Path(name)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(folder, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", folder, err)
		}
		for _, file := range files[:16] {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := DecodeImage(b); err != nil || d.Notes != nil {
				t.Errorf("%s: %v %v", filepath.Base(file), d, err)
			}
		}
	}
}

func FuzzDecodeImage(f *testing.F) {
	for _, c := range hostile(f) {
		if len(c.bytes) < 1<<12 {
			f.Add(c.bytes)
		}
	}
	f.Add(encodePNG(f, ramp(9, 7)))
	f.Add(encodeJPEG(f, ramp(9, 7)))
	f.Add(withEXIF(encodeJPEG(f, ramp(9, 7)), exifData(binary.LittleEndian, 8)))
	for _, name := range []string{"cmyk.jpg", "progressive-420.jpg", "interlaced.png", "palette-alpha.png", "grey-12-in-16.png"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := CheckImage(b)
		if err != nil {
			if code := analysis.CodeOf(err); code == analysis.Internal {
				t.Fatalf("the check failed with %v", err)
			}
			return
		}
		if h.Width*h.Height > 1<<20 {
			return // keeps the fuzzer quick
		}
		d, err := DecodeImage(b)
		if err != nil {
			if code := analysis.CodeOf(err); code == analysis.Internal {
				t.Fatalf("decoding failed with %v", err)
			}
			return
		}
		if s := d.Image.Bounds().Size(); s.X*s.Y != h.Width*h.Height {
			t.Fatalf("%+v gave a picture of %v", h, s)
		}
		if x := ImageTensor(d.Image, 8); len(x) != 3*8*8 {
			t.Fatal(fmt.Sprint(len(x)))
		}
	})
}
