package dicom

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
)

// Picture is a frame made ready for the eye.
type Picture struct {
	// Image is opaque and of 8 bits a sample: *image.Gray, *image.RGBA, or *image.YCbCr.
	Image image.Image
	// Window says in words how stored values became brightness; "" for colour of 8 bits, which is taken as it is.
	Window string
}

// Render decodes frame i, counted from 0, and shows it as its file says: grey values rescaled and windowed (PS3.3
// sections C.11.1 and C.11.2), MONOCHROME1 inverted so that more is always brighter, palettes looked up.
//
// Grey values of at most 8 bits without a window keep the whole range of their bits; of more bits, the least and
// the greatest value of the frame become black and white. Padding (PS3.3 section C.7.5.1.1.2) is black. Overlays are
// not drawn and presentation states and the aspect ratio of pixels are not applied. The error is as Frame's.
func (m *Image) Render(i int) (*Picture, error) {
	if err := m.Decodable(); err != nil {
		return nil, err
	}
	if m.Samples == 3 && m.file.TransferSyntax == JPEGBaseline {
		data, err := m.Encoded(i)
		if err != nil {
			return nil, err
		}
		p, err := m.decodeJPEG(data)
		if err != nil {
			return nil, err
		}
		return p.picture(m.Photometric), nil
	}
	f, err := m.Frame(i)
	if err != nil {
		return nil, err
	}
	switch m.Photometric {
	case "MONOCHROME1", "MONOCHROME2":
		return m.grey(f, i)
	case "PALETTE COLOR":
		return m.palette(f)
	case "RGB":
		return m.rgb(f), nil
	}
	return f.ybr(), nil
}

// grey maps stored values to brightness through one table.
func (m *Image) grey(f *Frame, i int) (*Picture, error) {
	table, name, err := m.table(f, i)
	if err != nil {
		return nil, err
	}
	dst := image.NewGray(image.Rect(0, 0, f.Columns, f.Rows))
	out := dst.Pix
	if f.Bits == 8 {
		short := (*[256]uint8)(table)
		for k, v := range f.Data[:len(out)] {
			out[k] = short[v]
		}
	} else {
		long := (*[1 << 16]uint8)(table)
		src := f.Data
		for len(out) >= 4 && len(src) >= 8 {
			v := binary.LittleEndian.Uint64(src)
			out[0], out[1], out[2], out[3] = long[uint16(v)], long[uint16(v>>16)], long[uint16(v>>32)], long[uint16(v>>48)]
			out, src = out[4:], src[8:]
		}
		for k := range out {
			out[k] = long[binary.LittleEndian.Uint16(src[2*k:])]
		}
	}
	return &Picture{Image: dst, Window: name}, nil
}

// table returns the brightness of every value that a sample of the frame can have in its 8 or 16 bits, and how it was
// found.
func (m *Image) table(f *Frame, i int) ([]uint8, string, error) {
	modality, rescaled, err := m.modality(i)
	if err != nil {
		return nil, "", err
	}
	window, name, err := m.window(i)
	if err != nil {
		return nil, "", err
	}
	padded := m.padding()
	if window == nil {
		window, name = m.fullRange(f, modality, padded)
	}
	if rescaled != "" {
		name = rescaled + ", then " + name
	}
	// First for the bits that are stored, then for all that stand in the file.
	stored := make([]uint8, 1<<m.BitsStored)
	for raw := range stored {
		v := m.value(uint16(raw))
		if padded(v) {
			continue
		}
		y := window(modality(float64(v)))
		if y > 1 {
			y = 1
		} else if !(y > 0) { // so that no number, of an overflow, is black
			y = 0
		}
		if m.Photometric == "MONOCHROME1" {
			y = 1 - y
		}
		stored[raw] = uint8(y*255 + 0.5)
	}
	if m.BitsStored == f.Bits {
		return stored, name, nil
	}
	low, mask := m.HighBit+1-m.BitsStored, 1<<m.BitsStored-1
	table := make([]uint8, 1<<f.Bits)
	for raw := range table {
		table[raw] = stored[raw>>low&mask]
	}
	return table, name, nil
}

// padding returns whether a stored value stands for no measurement.
func (m *Image) padding() func(int32) bool {
	e := m.file.Dataset.Get(PixelPaddingValue)
	if e == nil || len(e.Ints()) == 0 {
		return func(int32) bool { return false }
	}
	// Its VR may contradict Pixel Representation; the bits count.
	low := m.value(uint16(e.Ints()[0]))
	high := low
	if limit, ok := m.file.Dataset.Int(PixelPaddingRangeLimit); ok {
		high = m.value(uint16(limit))
	}
	low, high = min(low, high), max(low, high)
	return func(v int32) bool { return low <= v && v <= high }
}

// fullRange returns the window of a picture that has none.
func (m *Image) fullRange(f *Frame, modality func(float64) float64, padded func(int32) bool) (func(float64) float64, string) {
	least, most := m.value(0), m.value(1<<m.BitsStored-1)
	name := fmt.Sprintf("the whole range of %d bits, for lack of a window", m.BitsStored)
	if m.Signed {
		least, most = -1<<(m.BitsStored-1), 1<<(m.BitsStored-1)-1
	}
	if m.BitsStored > 8 {
		least, most = m.span(f, padded)
		name = fmt.Sprintf("from the least value %d to the greatest %d, for lack of a window", least, most)
	}
	a, b := modality(float64(least)), modality(float64(most))
	a, b = min(a, b), max(a, b)
	return func(x float64) float64 {
		if a == b {
			return 0
		}
		return (x - a) / (b - a)
	}, name
}

// span returns the least and the greatest stored value of a frame of 16 bits, without padding; 0 and 0 if nothing else
// is there.
func (m *Image) span(f *Frame, padded func(int32) bool) (least, most int32) {
	var seen [1 << 16]bool
	b := f.Data
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		seen[uint16(v)], seen[uint16(v>>16)], seen[uint16(v>>32)], seen[uint16(v>>48)] = true, true, true, true
	}
	for ; len(b) >= 2; b = b[2:] {
		seen[binary.LittleEndian.Uint16(b)] = true
	}
	low, mask := m.HighBit+1-m.BitsStored, 1<<m.BitsStored-1
	least, most = math.MaxInt32, math.MinInt32
	for raw, ok := range seen {
		if !ok {
			continue
		}
		if v := m.value(uint16(raw >> low & mask)); !padded(v) {
			least, most = min(least, v), max(most, v)
		}
	}
	if least > most {
		return 0, 0
	}
	return least, most
}
