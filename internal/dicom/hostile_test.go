package dicom

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"runtime"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// allocated returns how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// open parses a file and renders its first frame.
func open(b []byte) error {
	f, err := Parse(b)
	if err != nil {
		return err
	}
	m, err := f.Image()
	if err != nil {
		return err
	}
	_, err = m.Render(0)
	return err
}

// nested returns n sequences within each other.
func nested(c form, n int) []byte {
	var head, tail []byte
	for range n {
		head = append(head, c.element(0x0040A730, SQ, undefined, c.item(item, undefined, nil))...)
		tail = append(tail, slices.Concat(c.item(itemDelimiter, 0, nil), c.item(sequenceDelimiter, 0, nil))...)
	}
	return append(head, tail...)
}

type hostileCase struct {
	bytes []byte
	code  analysis.Code
	says  string
	most  int // bytes that may be allocated, 256 KiB if 0
}

func hostile(t testing.TB) map[string]hostileCase {
	le, implicit := form{explicit: true}, form{}
	file := func(parts ...[]byte) []byte { return whole(ExplicitLittle, slices.Concat(parts...)) }
	with := func(d *Dataset, elements ...*Element) *Dataset {
		for _, e := range elements {
			d.Set(e)
		}
		return d
	}
	us := func(tag Tag, v int64) *Element { return NewInts(tag, US, v) }
	grey := func(rows, columns int64) *Dataset {
		return with(picture(1, 1, 8, 8, "MONOCHROME2", []byte{1, 0}), us(Rows, rows), us(Columns, columns))
	}
	rle := func(rows, columns int64, frame []byte) []byte {
		return encode(t, RLELossless, fragments(grey(rows, columns), nil, frame))
	}
	small := jpegOf(t, image.NewGray(image.Rect(0, 0, 16, 16)))
	jpeg := func(rows, columns int64, frame []byte) []byte {
		return encode(t, JPEGBaseline, fragments(grey(rows, columns), nil, frame))
	}
	sof := func(change func(b []byte)) []byte { // small with another frame header
		b := slices.Clone(small)
		change(b[bytes.Index(b, []byte{0xff, 0xc0}):])
		return b
	}
	header := func(values ...byte) []byte { // of an RLE frame
		b := make([]byte, rleHeaderBytes)
		for i, v := range values {
			b[4*i] = v
		}
		return b
	}
	var falling, empty []byte
	for i := range MaxElements {
		falling = append(falling, implicit.element(Tag(0x00FF0000+MaxElements-i)<<3|1, "", 0, nil)...)
	}
	for range MaxItems + 1 {
		empty = append(empty, le.item(item, 0, nil)...)
	}
	return map[string]hostileCase{
		"4 GB of bytes":             {file(le.element(0x00091001, OB, 0xFFFFFFFE, []byte{1})), analysis.InvalidArgument, "declares 4294967294 bytes, and 1 are left", 0},
		"1 GB of pixels":            {file(le.element(PixelData, OW, 1<<30, make([]byte, 40))), analysis.InvalidArgument, "cut off", 0},
		"4 GB, implicit":            {whole(ImplicitLittle, implicit.element(PatientName, PN, 0xFFFFFFFE, []byte{1})), analysis.InvalidArgument, "cut off", 0},
		"4 GB sequence":             {file(le.element(0x00081140, SQ, 0xFFFFFFFE, []byte{1})), analysis.InvalidArgument, "declares 4294967294 bytes", 0},
		"4 GB item":                 {file(le.element(0x00081140, SQ, undefined, le.item(item, 0xFFFFFFFE, nil))), analysis.InvalidArgument, "an item of sequence (0008,1140) declares 4294967294 bytes", 0},
		"4 GB fragment":             {whole(RLELossless, le.element(PixelData, OB, undefined, le.item(item, 0xFFFFFFFE, nil))), analysis.InvalidArgument, "a fragment of the pixel data declares", 0},
		"item beyond its sequence":  {file(le.element(0x00081140, SQ, 8, le.item(item, 8, make([]byte, 8)))), analysis.InvalidArgument, "declares 8 bytes, and 0 are left", 0},
		"element beyond its item":   {file(le.element(0x00081140, SQ, undefined, le.item(item, 10, le.element(PatientID, LO, 8, make([]byte, 40))))), analysis.InvalidArgument, "declares 8 bytes, and 2 are left", 0},
		"1,000 nested sequences":    {file(nested(le, 1000)), analysis.TooLarge, "too deep", 0},
		"100,000 nested, implicit":  {whole(ImplicitLittle, nested(implicit, 100000)), analysis.TooLarge, "too deep", 0},
		"nested in unknown VR":      {file(le.element(0x00091001, UN, undefined, slices.Concat(implicit.item(item, undefined, nil), nested(implicit, 1000)))), analysis.TooLarge, "too deep", 0},
		"no end of a sequence":      {file(le.element(0x00081140, SQ, undefined, nil)), analysis.InvalidArgument, "has no end", 0},
		"no end of an item":         {file(le.element(0x00081140, SQ, undefined, le.item(item, undefined, nil))), analysis.InvalidArgument, "cut off", 0},
		"meta after the start":      {file(le.element(PatientID, LO, 0, nil), le.element(TransferSyntaxUID, UI, 0, nil)), analysis.InvalidArgument, "belongs before the data set", 0},
		"text in what follows":      {file(le.dataset(grey(1, 1)), le.element(PatientName, PN, 2, []byte("\xe9 ")), le.element(SpecificCharacterSet, CS, 10, []byte("ISO_IR 100"))), analysis.InvalidArgument, "Specific Character Set comes after text", 0},
		"numbers for characters":    {file(le.element(SpecificCharacterSet, US, 2, []byte{1, 2})), analysis.InvalidArgument, "Specific Character Set has the VR US", 0},
		"end of an item alone":      {file(le.item(itemDelimiter, 0, nil)), analysis.InvalidArgument, "cannot stand there", 0},
		"no item in a sequence":     {file(le.element(0x00081140, SQ, undefined, le.element(PatientID, LO, 2, []byte("ab")))), analysis.InvalidArgument, "holds (0010,0020) instead of an item", 0},
		"text without a length":     {whole(ImplicitLittle, implicit.element(PatientName, PN, undefined, nil)), analysis.InvalidArgument, "declares no length", 0},
		"a VR that is none":         {file([]byte{0x10, 0, 0x10, 0, 'P', 'N', 0, 0, 0x10, 0, 0x20, 0, 'Z', 'Z', 0, 0}), analysis.InvalidArgument, `the VR "ZZ", which does not exist`, 0},
		"half a number":             {file(le.element(Rows, US, 3, make([]byte, 3))), analysis.InvalidArgument, "of VR US has 3 bytes", 0},
		"a tag twice":               {file(le.dataset(grey(1, 1)), le.element(Rows, US, 2, make([]byte, 2))), analysis.InvalidArgument, "(0028,0010) stands twice", 0},
		"meta element twice":        {whole(ExplicitLittle, le.element(TransferSyntaxUID, UI, 2, []byte("1."))), analysis.InvalidArgument, "stands twice", 0},
		"unknown transfer syntax":   {whole("1.2.840.113619.5.2", le.dataset(grey(1, 1))), analysis.UnsupportedMedia, `unknown transfer syntax "1.2.840.113619.5.2"`, 0},
		"too many elements":         {whole(ImplicitLittle, append(implicit.element(ImageType, CS, 0, nil), falling...)), analysis.TooLarge, "too many elements", 64 << 20},
		"many elements, falling":    {whole(ImplicitLittle, falling[:len(falling)/2]), analysis.UnsupportedMedia, "holds no picture", 40 << 20},
		"too many items":            {file(le.element(0x00081140, SQ, uint32(len(empty)), empty)), analysis.TooLarge, "too many items", 8 << 20},
		"too many fragments":        {whole(RLELossless, le.element(PixelData, OB, undefined, slices.Concat(empty, empty[:16]))), analysis.TooLarge, "too many fragments", 8 << 20},
		"too much text":             {file(le.element(0x00104000, UT, MaxTextBytes+2, make([]byte, MaxTextBytes+2))), analysis.TooLarge, "text of DICOM element (0010,4000) is too long", 0},
		"deflate bomb":              {whole(DeflatedLittle, deflate(t, make([]byte, InflatedFloor+1))), analysis.TooLarge, "inflates to too much (limit 4194304 bytes", 5 * InflatedFloor},
		"deflated, cut off":         {whole(DeflatedLittle, deflate(t, le.dataset(grey(1, 1)))[:20]), analysis.InvalidArgument, "has no end", 0},
		"deflated nonsense":         {whole(DeflatedLittle, []byte{0xff, 0xff, 0xff}), analysis.InvalidArgument, "inflate the data set", 0},
		"no pixels":                 {file(le.dataset(NewDataset(NewText(0x00080060, CS, "SR")))), analysis.UnsupportedMedia, `holds no picture; its modality is "SR"`, 0},
		"float pixels":              {file(le.dataset(NewDataset(&Element{Tag: FloatPixelData, VR: OF, Value: make([]byte, 4)}))), analysis.UnsupportedMedia, "floating point", 0},
		"no rows":                   {file(le.dataset(with(grey(1, 1), &Element{Tag: Rows, VR: US}))), analysis.InvalidArgument, "has no Rows", 0},
		"zero rows":                 {file(le.dataset(grey(0, 1))), analysis.InvalidArgument, "has Rows 0", 0},
		"65535 x 65535":             {file(le.dataset(grey(65535, 65535))), analysis.TooLarge, "too many pixels", 0},
		"8000 x 8000 of nothing":    {file(le.dataset(grey(8000, 8000))), analysis.InvalidArgument, "take 64000000 bytes, and there are 2", 0},
		"2^31-1 frames":             {file(le.dataset(with(grey(1, 1), NewInts(NumberOfFrames, IS, 1<<31-1)))), analysis.TooLarge, "too many frames", 0},
		"minus one frame":           {file(le.dataset(with(grey(1, 1), NewInts(NumberOfFrames, IS, -1)))), analysis.InvalidArgument, "NumberOfFrames -1", 0},
		"60,000 frames of nothing":  {file(le.dataset(with(grey(8000, 8000), NewInts(NumberOfFrames, IS, 60000)))), analysis.InvalidArgument, "take 3840000000000 bytes", 0},
		"bits that do not fit":      {file(le.dataset(with(grey(1, 1), us(BitsStored, 12)))), analysis.InvalidArgument, "do not exist together", 0},
		"high bit too low":          {file(le.dataset(with(grey(1, 1), us(HighBit, 3)))), analysis.InvalidArgument, "do not exist together", 0},
		"32 bits":                   {file(le.dataset(with(picture(1, 1, 16, 16, "MONOCHROME2", make([]byte, 4)), us(BitsAllocated, 32)))), analysis.UnsupportedMedia, "32 bits allocated", 0},
		"CMYK":                      {file(le.dataset(with(grey(1, 1), NewText(PhotometricInterpretation, CS, "CMYK")))), analysis.UnsupportedMedia, `"CMYK"`, 0},
		"grey of three samples":     {file(le.dataset(with(picture(1, 1, 8, 8, "RGB", make([]byte, 4)), NewText(PhotometricInterpretation, CS, "MONOCHROME2")))), analysis.InvalidArgument, "cannot have 3 samples", 0},
		"422 of odd columns":        {file(le.dataset(picture(1, 3, 8, 8, "YBR_FULL_422", make([]byte, 10)))), analysis.InvalidArgument, "even number of columns", 0},
		"palette without data":      {file(le.dataset(with(grey(1, 1), NewText(PhotometricInterpretation, CS, "PALETTE COLOR")))), analysis.InvalidArgument, "no descriptor or no data", 0},
		"table longer than data":    {file(le.dataset(with(grey(1, 1), NewSequence(VOILUTSequence, NewDataset(NewInts(LUTDescriptor, US, 0, 0, 16), &Element{Tag: LUTData, VR: OW, Value: words(1)}))))), analysis.InvalidArgument, "declares 65536 entries of 16 bits and has 2 bytes", 0},
		"table of 99 bits":          {file(le.dataset(with(grey(1, 1), NewSequence(ModalityLUTSequence, NewDataset(NewInts(LUTDescriptor, US, 1, 0, 99), &Element{Tag: LUTData, VR: OW, Value: words(1)}))))), analysis.InvalidArgument, "has 99 bits an entry", 0},
		"slope 0":                   {file(le.dataset(with(grey(1, 1), NewText(RescaleSlope, DS, "0"), NewText(RescaleIntercept, DS, "0")))), analysis.InvalidArgument, "Rescale Slope is 0", 0},
		"native with fragments":     {whole(ExplicitLittle, le.dataset(fragments(grey(1, 1), nil, []byte{1, 2}))), analysis.InvalidArgument, "has fragments", 0},
		"RLE without fragments":     {whole(RLELossless, le.dataset(grey(1, 1))), analysis.InvalidArgument, "needs fragments", 0},
		"RLE of no fragment":        {whole(RLELossless, le.dataset(fragments(grey(1, 1), nil, [][]byte{}...))), analysis.InvalidArgument, "no fragment", 0},
		"RLE too short":             {rle(1, 1, make([]byte, 10)), analysis.InvalidArgument, "its header takes 64", 0},
		"RLE of 15 segments":        {rle(1, 1, header(15)), analysis.InvalidArgument, "declares 15 segments", 0},
		"RLE offset in the header":  {rle(1, 1, append(header(1, 3), 0, 1)), analysis.InvalidArgument, "begins at byte 3", 0},
		"RLE offset beyond":         {rle(1, 1, append(header(1, 200), 0, 1)), analysis.InvalidArgument, "begins at byte 200", 0},
		"RLE bomb":                  {rle(8000, 8000, append(header(1, 64), 0x81, 1)), analysis.InvalidArgument, "segment 1 has 2 bytes for 64000000 pixels", 0},
		"RLE cut off":               {rle(100, 1, append(header(1, 64), 0x81, 1)[:65]), analysis.InvalidArgument, "cut off", 0},
		"RLE does nothing":          {rle(100, 1, append(header(1, 64), bytes.Repeat([]byte{0x80}, 50)...)), analysis.InvalidArgument, "holds 0 of 100 pixels", 0},
		"RLE run without a value":   {rle(100, 1, append(header(1, 64), 0xff, 1, 0x81)), analysis.InvalidArgument, "holds 2 of 100 pixels", 0},
		"RLE literal without end":   {rle(100, 1, append(header(1, 64), 0x7f, 1, 2, 3)), analysis.InvalidArgument, "holds 3 of 100 pixels", 0},
		"JPEG of another size":      {jpeg(17, 16, small), analysis.InvalidArgument, "16 x 17 pixels of 1 samples, its JPEG 16 x 16 of 1", 0},
		"JPEG bomb":                 {jpeg(8000, 8000, sof(func(b []byte) { copy(b[5:], []byte{0x1f, 0x40, 0x1f, 0x40}) })), analysis.InvalidArgument, "take at least 125000 bytes", 0},
		"JPEG of 12 bits":           {jpeg(16, 16, sof(func(b []byte) { b[4] = 12 })), analysis.UnsupportedMedia, "of 12 bits a sample", 0},
		"progressive JPEG":          {jpeg(16, 16, sof(func(b []byte) { b[1] = 0xc2 })), analysis.UnsupportedMedia, "SOF2", 0},
		"lossless JPEG as baseline": {jpeg(16, 16, sof(func(b []byte) { b[1] = 0xc3 })), analysis.UnsupportedMedia, "SOF3", 0},
		"JPEG cut off":              {jpeg(16, 16, small[:len(small)-8]), analysis.InvalidArgument, "cut off", 0},
		"JPEG without a scan":       {jpeg(16, 16, small[:bytes.Index(small, []byte{0xff, 0xda})]), analysis.InvalidArgument, "no picture data", 0},
		"JPEG of scans":             {jpeg(16, 16, slices.Concat(small[:len(small)-2], small[bytes.Index(small, []byte{0xff, 0xda}):])), analysis.InvalidArgument, "more scans than components", 0},
		"no JPEG at all":            {jpeg(16, 16, []byte("what is this")), analysis.InvalidArgument, "does not begin like one", 0},
		"JPEG 2000":                 {encode(t, "1.2.840.10008.1.2.4.90", fragments(grey(1, 1), nil, []byte{1, 2})), analysis.UnsupportedMedia, "JPEG 2000 Lossless (1.2.840.10008.1.2.4.90)", 0},
		"JPEG of 12 bits by syntax": {encode(t, "1.2.840.10008.1.2.4.51", fragments(grey(1, 1), nil, []byte{1, 2})), analysis.UnsupportedMedia, "JPEG Extended (Process 2 & 4) (1.2.840.10008.1.2.4.51)", 0},
		"HTJ2K":                     {encode(t, "1.2.840.10008.1.2.4.201", fragments(grey(1, 1), nil, []byte{1, 2})), analysis.UnsupportedMedia, "High-Throughput JPEG 2000 Lossless (1.2.840.10008.1.2.4.201)", 0},
	}
}

func TestHostileFiles(t *testing.T) {
	dictionary() // is not part of what a file costs
	for name, c := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			var err error
			spent := allocated(func() { err = open(c.bytes) })
			var e *analysis.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Field != "dicom" || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), want %s that says %q", err, analysis.CodeOf(err), c.code, c.says)
			}
			most := uint64(256 << 10)
			if c.most > 0 {
				most = uint64(c.most)
			}
			if spent > most {
				t.Errorf("%d bytes of input allocated %d, want at most %d", len(c.bytes), spent, most)
			}
		})
	}
	if _, err := Parse(make([]byte, MaxBytes+1)); analysis.CodeOf(err) != analysis.TooLarge {
		t.Errorf("a file over the limit: %v", err)
	}
}

// TestNestedWithinTheLimit reads sequences as deep as is allowed.
func TestNestedWithinTheLimit(t *testing.T) {
	if _, err := Parse(whole(ExplicitLittle, nested(form{explicit: true}, MaxDepth))); err != nil {
		t.Error(err)
	}
	if _, err := Parse(whole(ExplicitLittle, nested(form{explicit: true}, MaxDepth+1))); analysis.CodeOf(err) != analysis.TooLarge {
		t.Error(err)
	}
}

// TestTruncatedFiles cuts files at every byte: each is refused by name, unless it ends between two elements.
func TestTruncatedFiles(t *testing.T) {
	d := everyKind()
	d.Delete(0x0008030E) // its long text
	for _, syntax := range []TransferSyntax{ImplicitLittle, ExplicitLittle, ExplicitBig} {
		b := encode(t, syntax, d)
		read := 0
		for n := range len(b) {
			_, err := Parse(b[:n])
			switch code := analysis.CodeOf(err); code {
			case "":
				read++
			case analysis.InvalidArgument, analysis.UnsupportedMedia:
			default:
				t.Fatalf("%v cut to %d bytes: %v", syntax, n, err)
			}
		}
		if read > d.Len()+2 {
			t.Errorf("%v: %d cut files were read, there are %d elements", syntax, read, d.Len())
		}
	}
	for name, b := range map[string][]byte{
		"RLE":  encode(t, RLELossless, fragments(picture(4, 4, 8, 8, "MONOCHROME2", nil), nil, rleFrame(bytes.Repeat([]byte{1, 2, 3, 3}, 4)))),
		"JPEG": encode(t, JPEGBaseline, fragments(picture(16, 16, 8, 8, "MONOCHROME2", nil), nil, jpegOf(t, image.NewGray(image.Rect(0, 0, 16, 16))))),
	} {
		if err := open(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := range len(b) {
			if err := open(b[:n]); err == nil || analysis.CodeOf(err) == analysis.Internal {
				t.Errorf("%s cut to %d of %d bytes: %v", name, n, len(b), err)
			}
		}
	}
}

// TestDecodeBytes compares the estimate with what rendering takes.
func TestDecodeBytes(t *testing.T) {
	const size = 336
	plane := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, size*size/7)
	rgb := image.NewRGBA(image.Rect(0, 0, size, size))
	for i := range rgb.Pix {
		rgb.Pix[i] = byte(i * i >> 5)
	}
	half := len(jpegOf(t, rgb)) / 2
	for name, b := range map[string][]byte{
		"8 bit":       encode(t, ExplicitLittle, picture(size, size, 8, 8, "MONOCHROME2", plane)),
		"16 bit":      encode(t, ExplicitLittle, picture(size, size, 16, 16, "MONOCHROME2", append(plane, plane...))),
		"big endian":  encode(t, ExplicitBig, picture(size, size, 16, 16, "MONOCHROME2", append(plane, plane...))),
		"deflated":    encode(t, DeflatedLittle, picture(size, size, 16, 16, "MONOCHROME2", append(plane, plane...))),
		"single bits": encode(t, ExplicitLittle, picture(size, size, 1, 1, "MONOCHROME2", plane[:size*size/8])),
		"RGB planes": encode(t, ExplicitLittle, NewDataset(append(picture(size, size, 8, 8, "RGB", slices.Concat(plane, plane, plane)).elements,
			NewInts(PlanarConfiguration, US, 1))...)),
		"RLE 16 bit":            encode(t, RLELossless, fragments(picture(size, size, 16, 16, "MONOCHROME2", nil), nil, rleFrame(plane, plane))),
		"JPEG":                  encode(t, JPEGBaseline, fragments(picture(size, size, 8, 8, "YBR_FULL", nil), nil, jpegOf(t, rgb))),
		"JPEG as RGB":           encode(t, JPEGBaseline, fragments(picture(size, size, 8, 8, "RGB", nil), nil, jpegOf(t, rgb))),
		"JPEG in two fragments": encode(t, JPEGBaseline, fragments(picture(size, size, 8, 8, "YBR_FULL", nil), nil, jpegOf(t, rgb)[:half], jpegOf(t, rgb)[half:])),
	} {
		m := parsePicture(t, b)
		var err error
		spent := allocated(func() { err = open(b) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if most := m.DecodeBytes(); spent > uint64(most) {
			t.Errorf("%s: rendering allocated %d bytes, the estimate is %d", name, spent, most)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range hostile(f) {
		if len(c.bytes) < 1<<12 {
			f.Add(c.bytes)
		}
	}
	d := everyKind()
	d.Delete(0x0008030E)
	for _, syntax := range []TransferSyntax{ImplicitLittle, ExplicitLittle, ExplicitBig, DeflatedLittle} {
		f.Add(encode(f, syntax, d))
	}
	japanese := NewDataset(NewText(SpecificCharacterSet, CS, "ISO 2022 IR 13\\ISO 2022 IR 87"), NewText(PatientName, PN, "\xd4\xcf=\x1b$B;3ED\x1b(J"))
	f.Add(encode(f, ExplicitLittle, japanese))
	f.Add(encode(f, ExplicitLittle, picture(2, 2, 16, 12, "MONOCHROME1", words(1, 2, 3, 4))))
	f.Add(encode(f, RLELossless, fragments(picture(1, 2, 8, 8, "RGB", nil), []uint32{0}, rleFrame([]byte{1, 4}, []byte{2, 5}, []byte{3, 6}))))
	f.Add(encode(f, JPEGBaseline, fragments(picture(8, 8, 8, 8, "YBR_FULL_422", nil), nil, jpegOf(f, image.NewRGBA(image.Rect(0, 0, 8, 8))))))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse(b)
		if err != nil {
			if analysis.CodeOf(err) == analysis.Internal {
				t.Fatal(err)
			}
			return
		}
		m, err := file.Image()
		if err == nil && m.Rows*m.Columns < 1<<16 {
			for _, i := range []int{0, m.Frames - 1} {
				if _, err = m.Render(i); analysis.CodeOf(err) == analysis.Internal {
					t.Fatal(err)
				}
				_, _ = m.Encoded(i)
			}
		}
		file.Dataset.Set(NewText(SOPClassUID, UI, "1.2"))
		file.Dataset.Set(NewText(SOPInstanceUID, UI, "1.3"))
		err = file.Dataset.Walk(func(_ *Dataset, e *Element) error {
			if len(e.Value)%2 == 1 && !e.VR.Text() {
				e.Value = append(slices.Clone(e.Value), 0) // as it is written
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := string(JSON(file.Dataset, nil))
		written, err := Write(file)
		if err != nil {
			if analysis.CodeOf(err) != analysis.InvalidArgument && analysis.CodeOf(err) != analysis.UnsupportedMedia {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse(written)
		if err != nil {
			t.Fatal(fmt.Errorf("what was written is not read: %w", err))
		}
		if got := string(JSON(again.Dataset, nil)); got != want {
			t.Fatalf("written and read again:\n%s\nwant\n%s", got, want)
		}
	})
}

// FuzzFrame decodes encapsulated frames of pictures that are well described.
func FuzzFrame(f *testing.F) {
	f.Add(rleFrame([]byte{1, 1, 2, 3}), uint8(2), uint8(2), false, false)
	f.Add(rleFrame([]byte{1}, []byte{2}, []byte{3}), uint8(1), uint8(1), true, false)
	f.Add(jpegOf(f, image.NewGray(image.Rect(0, 0, 9, 9))), uint8(9), uint8(9), false, true)
	f.Add(jpegOf(f, image.NewRGBA(image.Rect(0, 0, 9, 9))), uint8(9), uint8(9), true, true)
	f.Fuzz(func(t *testing.T, frame []byte, rows, columns uint8, colour, jpeg bool) {
		photometric, syntax := "MONOCHROME2", RLELossless
		if colour {
			photometric = "RGB"
		}
		if jpeg {
			syntax = JPEGBaseline
		}
		d := fragments(picture(int(rows), int(columns), 8, 8, photometric, nil), nil, frame)
		m, err := (&File{Dataset: d, TransferSyntax: syntax}).Image()
		if err != nil {
			return
		}
		got, err := m.Frame(0)
		if analysis.CodeOf(err) == analysis.Internal {
			t.Fatal(err)
		}
		if err == nil && len(got.Data) != m.Rows*m.Columns*m.Samples {
			t.Fatalf("%d bytes for %d x %d x %d", len(got.Data), m.Rows, m.Columns, m.Samples)
		}
		if _, renderErr := m.Render(0); (renderErr == nil) != (err == nil) {
			t.Fatalf("decoded with %v, rendered with %v", err, renderErr)
		}
	})
}
