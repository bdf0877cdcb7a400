package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"image"
	"image/jpeg"
	"slices"
	"testing"
)

// form writes data sets in every way that Parse reads, where Write knows one.
type form struct {
	explicit, big bool
	lengths       bool // sequences and items say how long they are
}

func (c form) tag(out []byte, t Tag) []byte {
	order := c.order()
	return order.AppendUint16(order.AppendUint16(out, t.Group()), t.Element())
}

func (c form) order() interface {
	binary.AppendByteOrder
	binary.ByteOrder
} {
	if c.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// element returns an element with any value and any length.
func (c form) element(t Tag, vr VR, length uint32, value []byte) []byte {
	out := c.tag(nil, t)
	switch {
	case !c.explicit:
		out = c.order().AppendUint32(out, length)
	case vr.traits().long:
		out = append(out, vr[0], vr[1], 0, 0)
		out = c.order().AppendUint32(out, length)
	default:
		out = append(out, vr[0], vr[1])
		out = c.order().AppendUint16(out, uint16(length))
	}
	return append(out, value...)
}

func (c form) item(t Tag, length uint32, value []byte) []byte {
	return append(c.order().AppendUint32(c.tag(nil, t), length), value...)
}

func (c form) dataset(d *Dataset) []byte {
	var out []byte
	for e := range d.All() {
		value := slices.Clone(e.Value)
		if w := e.VR.traits().width; c.big && w > 1 {
			value = swapped(value, w)
		}
		switch {
		case e.Fragments != nil:
			table := []byte{}
			for _, offset := range e.Offsets {
				table = binary.LittleEndian.AppendUint32(table, offset)
			}
			value = c.item(item, uint32(len(table)), table)
			for _, fragment := range e.Fragments {
				value = append(value, c.item(item, uint32(len(fragment)), fragment)...)
			}
			out = append(out, c.element(e.Tag, OB, undefined, append(value, c.item(sequenceDelimiter, 0, nil)...))...)
			continue
		case e.VR == SQ:
			for _, d := range e.Items {
				body := c.dataset(d)
				if c.lengths {
					value = append(value, c.item(item, uint32(len(body)), body)...)
				} else {
					value = append(value, c.item(item, undefined, append(body, c.item(itemDelimiter, 0, nil)...))...)
				}
			}
			if !c.lengths {
				out = append(out, c.element(e.Tag, SQ, undefined, append(value, c.item(sequenceDelimiter, 0, nil)...))...)
				continue
			}
		case len(value)%2 == 1 && e.VR.Text() && e.VR != UI:
			value = append(value, ' ')
		case len(value)%2 == 1:
			value = append(value, 0)
		}
		out = append(out, c.element(e.Tag, e.VR, uint32(len(value)), value)...)
	}
	return out
}

// whole puts preamble and meta information before a data set.
func whole(syntax TransferSyntax, body []byte) []byte {
	meta := form{explicit: true}.dataset(NewDataset(NewText(TransferSyntaxUID, UI, string(syntax))))
	return slices.Concat(make([]byte, preambleBytes), []byte(prefix), meta, body)
}

// encode returns a file of the transfer syntax.
func encode(t testing.TB, syntax TransferSyntax, d *Dataset) []byte {
	t.Helper()
	c := form{explicit: syntax != ImplicitLittle, big: syntax == ExplicitBig}
	body := c.dataset(d)
	if syntax.deflated() {
		body = deflate(t, body)
	}
	return whole(syntax, body)
}

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// picture describes native pixel data of this many bits, to be changed with Set.
func picture(rows, columns, allocated, stored int, photometric string, data []byte) *Dataset {
	samples := int64(1)
	if photometric == "RGB" || photometric[:3] == "YBR" {
		samples = 3
	}
	vr := OW
	if allocated == 8 {
		vr = OB
	}
	return NewDataset(
		NewText(SOPClassUID, UI, "1.2.840.10008.5.1.4.1.1.7"), NewText(SOPInstanceUID, UI, "2.25.1"),
		NewInts(SamplesPerPixel, US, samples), NewText(PhotometricInterpretation, CS, photometric),
		NewInts(Rows, US, int64(rows)), NewInts(Columns, US, int64(columns)),
		NewInts(BitsAllocated, US, int64(allocated)), NewInts(BitsStored, US, int64(stored)), NewInts(HighBit, US, int64(stored-1)),
		NewInts(PixelRepresentation, US, 0),
		&Element{Tag: PixelData, VR: vr, Value: data},
	)
}

// fragments replaces the pixel data by encapsulated data.
func fragments(d *Dataset, offsets []uint32, fragments ...[]byte) *Dataset {
	d.Set(&Element{Tag: PixelData, VR: OB, Fragments: fragments, Offsets: offsets})
	return d
}

// words returns numbers of 16 bits in little endian.
func words(values ...int) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// rleFrame encodes planes of bytes as one frame of RLE, in literals, runs and do-nothing codes.
func rleFrame(planes ...[]byte) []byte {
	out := make([]byte, rleHeaderBytes)
	binary.LittleEndian.PutUint32(out, uint32(len(planes)))
	for i, plane := range planes {
		binary.LittleEndian.PutUint32(out[4+4*i:], uint32(len(out)))
		out = append(out, 0x80)
		for len(plane) > 0 {
			run := 1
			for run < len(plane) && run < 128 && plane[run] == plane[0] {
				run++
			}
			if run > 1 {
				out = append(out, byte(1-run), plane[0])
				plane = plane[run:]
				continue
			}
			n := 1
			for n < len(plane) && n < 128 && (n+1 == len(plane) || plane[n] != plane[n+1]) {
				n++
			}
			out = append(append(out, byte(n-1)), plane[:n]...)
			plane = plane[n:]
		}
		if len(out)%2 == 1 {
			out = append(out, 0)
		}
	}
	return out
}

func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parsePicture parses a file and returns its description.
func parsePicture(t testing.TB, b []byte) *Image {
	t.Helper()
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Image()
	if err != nil {
		t.Fatal(err)
	}
	return m
}
