package dicom

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Frame is one decoded frame: its stored values, before rescaling, windows and palettes.
type Frame struct {
	Rows, Columns, Samples int
	// Bits are the bits of a sample in Data: 8 or 16.
	Bits int
	// Data holds the samples row by row, those of a pixel side by side, in little endian. Samples of one bit take a
	// byte each; the colour that two pixels share is repeated. Data may be a part of the file's bytes.
	Data []byte
}

// Encoded returns the bytes of frame i, counted from 0, as they stand in the file: of native pixel data in little
// endian, else the fragments of the frame joined. They may be a part of the file's bytes.
func (m *Image) Encoded(i int) ([]byte, error) {
	if err := m.checkFrame(i); err != nil {
		return nil, err
	}
	if m.data.Fragments == nil {
		bits := m.frameBits()
		if bits%8 == 0 {
			n := bits / 8
			return m.data.Value[int64(i)*n : int64(i+1)*n : int64(i+1)*n], nil
		}
		return packBits(unpackBits(m.data.Value, int64(i)*bits, int(bits))), nil
	}
	fragments, err := m.fragments(i)
	if err != nil {
		return nil, err
	}
	if len(fragments) == 1 {
		return fragments[0], nil
	}
	return slices.Concat(fragments...), nil
}

// Frame decodes frame i, counted from 0. The error is Decodable's, or InvalidArgument for data that is broken or cut
// off.
func (m *Image) Frame(i int) (*Frame, error) {
	if err := m.Decodable(); err != nil {
		return nil, err
	}
	if err := m.checkFrame(i); err != nil {
		return nil, err
	}
	f := &Frame{Rows: m.Rows, Columns: m.Columns, Samples: m.Samples, Bits: max(8, m.BitsAllocated)}
	if m.BitsAllocated == 1 {
		bits := m.frameBits()
		f.Data = unpackBits(m.data.Value, int64(i)*bits, int(bits))
		return f, nil
	}
	data, err := m.Encoded(i)
	if err != nil {
		return nil, err
	}
	switch {
	case m.file.TransferSyntax == RLELossless:
		f.Data, err = decodeRLE(data, m.Rows*m.Columns, m.Samples, m.BitsAllocated/8)
	case m.file.TransferSyntax == JPEGBaseline:
		var p *planes
		if p, err = m.decodeJPEG(data); err == nil {
			f.Data = p.interleave()
		}
	case m.subsampled():
		f.Data = repeatColour(data)
	case m.Planar:
		f.Data = interleave(data, m.Rows*m.Columns, m.Samples, m.BitsAllocated/8)
	default:
		f.Data = data
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Values returns the stored values of a frame as numbers, in the order of f.Data: the stored bits without what lies
// beside them, with their sign.
func (m *Image) Values(f *Frame) []int32 {
	out := make([]int32, len(f.Data)*8/f.Bits)
	low := m.HighBit + 1 - m.BitsStored
	for i := range out {
		raw := uint16(0)
		if f.Bits == 8 {
			raw = uint16(f.Data[i])
		} else {
			raw = binary.LittleEndian.Uint16(f.Data[2*i:])
		}
		out[i] = m.value(raw >> low)
	}
	return out
}

// value returns the number that the lower BitsStored bits of raw stand for.
func (m *Image) value(raw uint16) int32 {
	shift := 32 - m.BitsStored
	if m.Signed {
		return int32(raw) << shift >> shift
	}
	return int32(uint32(raw) << shift >> shift)
}

// fragments returns those of frame i: by the offset tables if there are any, else one fragment a frame, else, for
// JPEG, those from one start of an image to the next (PS3.5 section A.4).
func (m *Image) fragments(i int) ([][]byte, error) {
	all := m.data.Fragments
	switch {
	case m.Frames == 1:
		return all, nil
	case len(all) == m.Frames:
		return all[i : i+1], nil
	case len(all) < m.Frames:
		return nil, invalid("the DICOM picture is cut off: it declares %d frames, and its pixel data has %d fragments", m.Frames, len(all))
	}
	starts := make([]uint64, 0, m.Frames)
	if extended := m.file.Dataset.Get(extendedOffsetTable); extended != nil && len(extended.Value) == 8*m.Frames {
		for b := extended.Value; len(b) >= 8; b = b[8:] {
			starts = append(starts, binary.LittleEndian.Uint64(b))
		}
	} else if len(m.data.Offsets) == m.Frames {
		for _, offset := range m.data.Offsets {
			starts = append(starts, uint64(offset))
		}
	} else {
		return m.fragmentsByStart(i)
	}
	from, to, at := -1, len(all), uint64(0)
	for k, fragment := range all {
		if at == starts[i] {
			from = k
		}
		if i+1 < m.Frames && at == starts[i+1] {
			to = k
		}
		at += 8 + uint64(len(fragment))
	}
	if from < 0 || to <= from || i+1 < m.Frames && to == len(all) {
		return nil, invalid("the DICOM pixel data is broken: the offset of frame %d is not that of a fragment", i+1)
	}
	return all[from:to], nil
}

// fragmentsByStart returns the fragments of frame i where only the data tells where a frame begins.
func (m *Image) fragmentsByStart(i int) ([][]byte, error) {
	all := m.data.Fragments
	startOfImage := []byte{0xff, 0xd8, 0xff}
	from, to, seen := -1, len(all), 0
	for k, fragment := range all {
		if !bytes.HasPrefix(fragment, startOfImage) {
			continue
		}
		switch seen {
		case i:
			from = k
		case i + 1:
			to = k
		}
		seen++
	}
	if seen != m.Frames || from < 0 {
		return nil, invalid("the DICOM pixel data is broken: %d fragments without an offset table cannot be told apart into %d frames", len(all), m.Frames)
	}
	return all[from:to], nil
}

// unpackBits returns n single bits from bit start on, the lowest of a byte first (PS3.5 section 8.1.1), a byte each.
func unpackBits(b []byte, start int64, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		at := start + int64(i)
		out[i] = b[at>>3] >> (at & 7) & 1
	}
	return out
}

// packBits undoes unpackBits.
func packBits(bits []byte) []byte {
	out := make([]byte, (len(bits)+7)/8)
	for i, bit := range bits {
		out[i>>3] |= bit << (i & 7)
	}
	return out
}

// interleave puts the samples of a pixel side by side. data has one plane of width-byte samples after the other.
func interleave(data []byte, pixels, samples, width int) []byte {
	out := make([]byte, len(data))
	for s := range samples {
		plane := data[s*pixels*width:][:pixels*width]
		to := out[s*width:]
		for i := 0; i < len(plane); i += width {
			copy(to[i*samples:], plane[i:i+width])
		}
	}
	return out
}

// repeatColour turns native YBR_FULL_422, two luminances with their one colour, into three samples a pixel.
func repeatColour(data []byte) []byte {
	out := make([]byte, 0, len(data)/2*3)
	for ; len(data) >= 4; data = data[4:] {
		out = append(out, data[0], data[2], data[3], data[1], data[2], data[3])
	}
	return out
}
