package dicom

import (
	"fmt"
	"math"

	"consilium/internal/analysis"
)

// The limits of a picture.
const (
	// MaxFramePixels bounds the area of a frame.
	MaxFramePixels = 64 << 20
	// MaxFrames bounds the frames of a file.
	MaxFrames = 1 << 16
)

// Image is the pixel data of a file with what describes it (PS3.3 section C.7.6.3).
type Image struct {
	Rows, Columns int
	Frames        int
	Samples       int    // of a pixel: 1, or 3 for colour
	Photometric   string // Photometric Interpretation: MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL, …
	// BitsAllocated are the bits that a sample takes in the file, BitsStored those that it uses, HighBit the number of
	// the highest of them.
	BitsAllocated, BitsStored, HighBit int
	Signed                             bool
	// Planar says that each frame has all its samples of one colour before those of the next.
	Planar bool

	file *File
	data *Element
}

// Image reads the description of the file's pixel data and checks it against the data that is there. Nothing of the
// picture's size is allocated. The error is UnsupportedMedia for a file without pixel data, TooLarge for one over a
// limit, InvalidArgument for one whose description is broken or whose pixel data is too short.
//
// A file whose pixel data is not decoded has an Image too; see Decodable.
func (f *File) Image() (*Image, error) {
	d := f.Dataset
	m := &Image{file: f, data: d.Get(PixelData), Frames: 1, Samples: 1, Photometric: d.String(PhotometricInterpretation)}
	if m.data == nil {
		if d.Get(FloatPixelData) != nil || d.Get(DoubleFloatPixelData) != nil {
			return nil, unsupported("DICOM pixel data of floating point numbers is not read")
		}
		return nil, unsupported("the DICOM file holds no picture; its modality is %s", clip(d.String(Modality)))
	}
	signed, planar := 0, 0
	for _, a := range []struct {
		tag      Tag
		to       *int
		low, top int
		optional bool
	}{
		{Rows, &m.Rows, 1, 65535, false},
		{Columns, &m.Columns, 1, 65535, false},
		{SamplesPerPixel, &m.Samples, 1, 4, true},
		{NumberOfFrames, &m.Frames, 1, math.MaxInt32, true},
		{BitsAllocated, &m.BitsAllocated, 1, 64, false},
		{BitsStored, &m.BitsStored, 1, 64, false},
		{HighBit, &m.HighBit, 0, 63, true},
		{PixelRepresentation, &signed, 0, 1, true},
		{PlanarConfiguration, &planar, 0, 1, true},
	} {
		if a.tag == HighBit {
			m.HighBit = m.BitsStored - 1
		}
		e := d.Get(a.tag)
		if (e == nil || e.Empty()) && a.optional {
			continue
		}
		v, ok := d.Int(a.tag)
		if !ok {
			return nil, invalid("the DICOM picture has no %s", a.tag.Keyword())
		}
		if v < int64(a.low) || v > int64(a.top) {
			return nil, invalid("the DICOM picture has %s %d, want %d to %d", a.tag.Keyword(), v, a.low, a.top)
		}
		*a.to = int(v)
	}
	m.Signed, m.Planar = signed == 1, planar == 1 && m.Samples > 1
	return m, m.check()
}

// check holds the description against the limits and against the bytes of native pixel data.
func (m *Image) check() error {
	switch {
	case m.Photometric == "":
		return invalid("the DICOM picture has no %s", PhotometricInterpretation.Keyword())
	case m.BitsStored > m.BitsAllocated || m.HighBit >= m.BitsAllocated || m.HighBit < m.BitsStored-1:
		return invalid("the DICOM picture is broken: %d bits allocated, %d stored and high bit %d do not exist together", m.BitsAllocated, m.BitsStored, m.HighBit)
	case m.Rows*m.Columns > MaxFramePixels:
		return overLimit("a frame of the DICOM picture has too many pixels", fmt.Sprintf("%d pixels", MaxFramePixels), fmt.Sprintf("%d x %d pixels", m.Columns, m.Rows))
	case m.Frames > MaxFrames:
		return overLimit("the DICOM picture has too many frames", fmt.Sprintf("%d frames", MaxFrames), fmt.Sprintf("%d frames", m.Frames))
	case m.subsampled() && (m.Samples != 3 || m.Columns%2 != 0):
		return invalid("the DICOM picture is broken: %s needs three samples and an even number of columns, not %d and %d", m.Photometric, m.Samples, m.Columns)
	}
	if !m.file.TransferSyntax.Native() {
		if m.data.Fragments == nil {
			return invalid("the DICOM pixel data is broken: %v needs fragments", m.file.TransferSyntax)
		}
		if len(m.data.Fragments) == 0 {
			return invalid("the DICOM pixel data holds no fragment")
		}
		return nil
	}
	if m.data.Fragments != nil {
		return invalid("the DICOM pixel data is broken: it has fragments, which %v does not allow", m.file.TransferSyntax)
	}
	if need := (m.frameBits()*int64(m.Frames) + 7) / 8; int64(len(m.data.Value)) < need {
		return invalid("the DICOM picture is cut off: %d frames of %d x %d pixels take %d bytes, and there are %d", m.Frames, m.Columns, m.Rows, need, len(m.data.Value))
	}
	return nil
}

// subsampled says that two pixels share their colour in native pixel data (PS3.3 section C.7.6.3.1.2).
func (m *Image) subsampled() bool {
	return m.Photometric == "YBR_FULL_422" && m.file.TransferSyntax.Native()
}

// frameBits returns the size of a native frame in bits. A frame of single bits need not end with a byte.
func (m *Image) frameBits() int64 {
	samples := int64(m.Rows) * int64(m.Columns) * int64(m.Samples)
	if m.subsampled() {
		samples = samples / 3 * 2
	}
	return samples * int64(m.BitsAllocated)
}

// Decodable returns nil if Frame and Render read this kind of pixel data, else an UnsupportedMedia error that names the
// transfer syntax or what else is not read.
func (m *Image) Decodable() error {
	syntax := m.file.TransferSyntax
	colour := false
	switch m.Photometric {
	case "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR":
	case "RGB", "YBR_FULL", "YBR_FULL_422":
		colour = true
	default:
		if syntax.Decodable() {
			return unsupported("DICOM pixel data of Photometric Interpretation %s is not read; MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL and YBR_FULL_422 are", clip(m.Photometric))
		}
	}
	switch {
	case !syntax.Decodable():
		return unsupported("DICOM pixel data of the transfer syntax %v is not read; uncompressed, RLE Lossless and JPEG Baseline are", syntax)
	case m.BitsAllocated != 8 && m.BitsAllocated != 16 && (m.BitsAllocated != 1 || m.Samples != 1):
		return unsupported("DICOM pixel data of %d bits allocated a sample is not read; 8 and 16 are, and 1 for one sample", m.BitsAllocated)
	case m.BitsAllocated == 1 && !syntax.Native():
		return unsupported("DICOM pixel data of single bits is not read in the transfer syntax %v", syntax)
	case syntax == JPEGBaseline && m.BitsAllocated != 8:
		return invalid("the DICOM picture is broken: %v has 8 bits a sample, not %d", syntax, m.BitsAllocated)
	case colour && m.Samples != 3, !colour && m.Samples != 1:
		return invalid("the DICOM picture is broken: %s cannot have %d samples a pixel", m.Photometric, m.Samples)
	case m.Photometric == "YBR_FULL" && m.BitsAllocated != 8, m.subsampled() && m.BitsAllocated != 8:
		return unsupported("DICOM pixel data of %s is read with 8 bits allocated only, not %d", m.Photometric, m.BitsAllocated)
	case m.Photometric == "YBR_FULL_422" && syntax == RLELossless:
		return unsupported("DICOM pixel data of YBR_FULL_422 is not read in the transfer syntax %v", syntax)
	case colour && m.Signed:
		return unsupported("signed DICOM pixel data of %s is not read", m.Photometric)
	case m.Photometric == "PALETTE COLOR" && m.BitsAllocated == 1:
		return unsupported("DICOM pixel data of PALETTE COLOR with single bits is not read")
	}
	return nil
}

// DecodeBytes returns an upper estimate of what parsing the file and rendering one frame allocate, in bytes: the
// elements, numbers turned to little endian, what was deflated, the decoded samples, the picture, and the tables that map
// one to the other.
func (m *Image) DecodeBytes() int64 {
	pixels := int64(m.Rows) * int64(m.Columns)
	n := int64(1<<20) + m.file.spent
	switch {
	case m.file.TransferSyntax == JPEGBaseline:
		// The decoder works in blocks of up to 32 pixels a side, and joins fragments first.
		n += int64((m.Columns+31)&^31)*int64((m.Rows+31)&^31)*int64(m.Samples) + m.encodedBytes()
	case m.file.TransferSyntax == RLELossless:
		n += pixels * int64(m.Samples) * int64(m.BitsAllocated/8)
		n += m.encodedBytes()
	case m.BitsAllocated == 1:
		n += pixels
	case m.Planar, m.subsampled(): // put in order first
		n += pixels * int64(m.Samples) * int64(m.BitsAllocated/8)
	}
	if m.Samples == 3 || m.Photometric == "PALETTE COLOR" {
		return n + 4*pixels
	}
	return n + pixels
}

// encodedBytes returns the size of all fragments.
func (m *Image) encodedBytes() int64 {
	n := int64(0)
	for _, fragment := range m.data.Fragments {
		n += int64(len(fragment))
	}
	return n
}

// checkFrame returns an error if there is no frame i, counted from 0.
func (m *Image) checkFrame(i int) error {
	if i < 0 || i >= m.Frames {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: field, Message: "the DICOM picture does not have this frame",
			Limit: fmt.Sprintf("%d frames", m.Frames), Value: fmt.Sprintf("frame %d", i+1)}
	}
	return nil
}

// Representative returns the frame, counted from 0, that stands for all of them: the one that the file names
// (Representative Frame Number, PS3.3 section C.7.6.6), else the middle one, since the ends of a volume show little of
// what it was made of.
func (m *Image) Representative() int {
	if n, ok := m.file.Dataset.Int(representativeFrameNumber); ok && n >= 1 && n <= int64(m.Frames) {
		return int(n) - 1
	}
	return (m.Frames - 1) / 2
}
