package dicom

import (
	"encoding/binary"
	"fmt"
	"image"
)

// palette looks the stored values up in the three tables of the file (PS3.3 section C.7.6.3.1.5 and .6).
func (m *Image) palette(f *Frame) (*Picture, error) {
	d := m.file.Dataset
	if d.Get(RedPaletteData) == nil && d.Get(segmentedRedPaletteData) != nil {
		return nil, unsupported("DICOM pixel data with a segmented palette is not read")
	}
	table := make([][4]uint8, 1<<f.Bits)
	low, mask := m.HighBit+1-m.BitsStored, 1<<m.BitsStored-1
	for c, tags := range [3][2]Tag{
		{RedPaletteDescriptor, RedPaletteData}, {GreenPaletteDescriptor, GreenPaletteData}, {BluePaletteDescriptor, BluePaletteData},
	} {
		l, err := readLUT("palette", d.Get(tags[0]), d.Get(tags[1]))
		if err != nil {
			return nil, err
		}
		for raw := range table {
			v := l.at(float64(m.value(uint16(raw >> low & mask))))
			table[raw][c] = uint8(uint16(v) >> (l.bits - 8))
			table[raw][3] = 255
		}
	}
	dst := image.NewRGBA(image.Rect(0, 0, f.Columns, f.Rows))
	if f.Bits == 8 {
		for k, v := range f.Data {
			copy(dst.Pix[4*k:4*k+4], table[v][:])
		}
	} else {
		for k := range f.Rows * f.Columns {
			copy(dst.Pix[4*k:4*k+4], table[binary.LittleEndian.Uint16(f.Data[2*k:])][:])
		}
	}
	return &Picture{Image: dst}, nil
}

// rgb returns the picture of red, green and blue samples; of more than 8 bits the upper 8 count.
func (m *Image) rgb(f *Frame) *Picture {
	dst := image.NewRGBA(image.Rect(0, 0, f.Columns, f.Rows))
	out, src := dst.Pix, f.Data
	if f.Bits == 8 && m.BitsStored == 8 {
		for len(out) >= 4 && len(src) >= 3 {
			out[0], out[1], out[2], out[3] = src[0], src[1], src[2], 255
			out, src = out[4:], src[3:]
		}
		return &Picture{Image: dst}
	}
	top := uint32(1)<<m.BitsStored - 1
	for k, v := range m.Values(f) {
		out[k/3*4+k%3] = uint8((uint32(v)*255 + top/2) / top)
		out[k/3*4+3] = 255
	}
	return &Picture{Image: dst, Window: fmt.Sprintf("the whole range of %d bits", m.BitsStored)}
}

// ybr returns the picture of samples of luminance and two colour differences (PS3.3 section C.7.6.3.1.2), which are
// those of JPEG.
func (f *Frame) ybr() *Picture {
	dst := image.NewYCbCr(image.Rect(0, 0, f.Columns, f.Rows), image.YCbCrSubsampleRatio444)
	for k := range dst.Y {
		dst.Y[k], dst.Cb[k], dst.Cr[k] = f.Data[3*k], f.Data[3*k+1], f.Data[3*k+2]
	}
	return &Picture{Image: dst}
}

// picture returns the picture of a colour JPEG. A JPEG without a mark of its own is coded in the colours that
// photometric names.
func (p *planes) picture(photometric string) *Picture {
	switch {
	case p.rgb != nil:
		return &Picture{Image: p.rgb}
	case p.colour != nil && (photometric != "RGB" || p.adobe == 1):
		return &Picture{Image: p.colour}
	}
	dst := image.NewRGBA(image.Rect(0, 0, p.columns, p.rows))
	src := p.interleave()
	for k := range p.rows * p.columns {
		copy(dst.Pix[4*k:4*k+4], src[3*k:3*k+3])
		dst.Pix[4*k+3] = 255
	}
	return &Picture{Image: dst}
}
