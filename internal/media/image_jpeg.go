package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Markers of a JPEG file, ITU-T T.81 table B.1.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerSOF55 = 0xf7
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
)

// readJPEG walks the segments of a JPEG from start to end.
func readJPEG(b []byte) (ImageHeader, error) {
	j := jpegReader{header: ImageHeader{Format: "jpeg", Orientation: 1}, adobe: -1}
	rest := b[2:]
	for {
		marker, after, ok := nextMarker(rest)
		if !ok {
			return ImageHeader{}, invalidImage("the JPEG is cut off: after %d bytes it has no end marker", len(b))
		}
		rest = after
		if marker == markerEOI {
			break
		}
		if len(rest) < 2 || int(binary.BigEndian.Uint16(rest)) > len(rest) {
			return ImageHeader{}, invalidImage("the JPEG is cut off: a segment ends beyond its %d bytes", len(b))
		}
		n := int(binary.BigEndian.Uint16(rest))
		if n < 2 {
			return ImageHeader{}, invalidImage("the JPEG is broken: a segment declares %d bytes", n)
		}
		if err := j.segment(marker, rest[2:n]); err != nil {
			return ImageHeader{}, err
		}
		rest = rest[n:]
	}
	if j.scans == 0 {
		return ImageHeader{}, invalidImage("the JPEG holds no picture data")
	}
	if err := j.nameColors(); err != nil {
		return ImageHeader{}, err
	}
	if err := j.header.checkSize(); err != nil {
		return ImageHeader{}, err
	}
	// A block of 8 x 8 pixels takes at least one bit: the first scan of a progressive picture codes it so.
	return j.header, j.header.checkFilled(int64(len(b)), int64(j.header.Width)*int64(j.header.Height)/512)
}

// nextMarker finds the next marker in b, skipping the coded data of a scan, and returns it with what follows.
func nextMarker(b []byte) (marker byte, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(b, 0xff)
		if i < 0 {
			return 0, nil, false
		}
		b = b[i:]
		for len(b) > 0 && b[0] == 0xff { // any number of fill bytes may come before a marker
			b = b[1:]
		}
		if len(b) == 0 {
			return 0, nil, false
		}
		marker, b = b[0], b[1:]
		if marker != 0 && (marker < markerRST0 || marker > markerRST7) {
			return marker, b, true
		}
	}
}

// jpegReader collects what the segments say.
type jpegReader struct {
	header     ImageHeader
	components int
	ids        [4]byte // of the components
	jfif       bool
	exif       bool
	adobe      int // the colour transform of Adobe's segment, -1 without one
	scans      int
}

func (j *jpegReader) segment(marker byte, data []byte) error {
	switch {
	case marker == markerSOF0, marker == markerSOF1, marker == markerSOF2:
		return j.frame(marker, data)
	case marker == markerSOF55:
		return unsupportedImage("JPEG-LS is not read; send baseline or progressive JPEG, or PNG")
	case marker > markerSOF2 && marker <= markerSOF15 && marker != markerDHT && marker != markerJPG && marker != markerDAC:
		return unsupportedImage("a JPEG of type SOF%d (lossless, hierarchical or arithmetic) is not read; send baseline or progressive JPEG, or PNG", marker-markerSOF0)
	case marker == markerAPP0:
		j.jfif = j.jfif || bytes.HasPrefix(data, []byte("JFIF\x00"))
	case marker == markerAPP1 && !j.exif && bytes.HasPrefix(data, []byte("Exif\x00\x00")):
		j.exif = true
		j.header.Orientation = exifOrientation(data[6:])
	case marker == markerAPP14 && len(data) >= 12 && bytes.HasPrefix(data, []byte("Adobe")):
		j.adobe = int(data[11])
	case marker == markerSOS:
		return j.scan()
	}
	return nil
}

// frame reads the frame header, T.81 section B.2.2.
func (j *jpegReader) frame(marker byte, data []byte) error {
	if j.components != 0 {
		return invalidImage("the JPEG is broken: it has two frame headers")
	}
	if len(data) < 6 {
		return invalidImage("the JPEG is broken: its frame header has %d bytes", len(data))
	}
	if data[0] != 8 {
		return unsupportedImage("a JPEG of %d bits a sample is not read, only 8; send PNG", data[0])
	}
	j.components = int(data[5])
	if j.components != 1 && j.components != 3 && j.components != 4 {
		return unsupportedImage("a JPEG of %d components is not read, only 1, 3 or 4", j.components)
	}
	if len(data) != 6+3*j.components {
		return invalidImage("the JPEG is broken: its frame header has %d bytes for %d components", len(data), j.components)
	}
	for i := range j.components {
		j.ids[i] = data[6+3*i]
	}
	j.header.BitDepth = 8
	j.header.Height, j.header.Width = int(binary.BigEndian.Uint16(data[1:])), int(binary.BigEndian.Uint16(data[3:]))
	j.header.Progressive = marker == markerSOF2
	return nil
}

// scan counts the scans.
func (j *jpegReader) scan() error {
	if j.components == 0 {
		return invalidImage("the JPEG is broken: picture data comes before the frame header")
	}
	if j.scans++; j.scans > MaxImageScans {
		return overLimit("the JPEG has too many scans", fmt.Sprintf("%d scans", MaxImageScans), "more")
	}
	return nil
}

// nameColors tells the colour model as the decoder does, from the segments of the whole file.
func (j *jpegReader) nameColors() error {
	switch {
	case j.components == 1:
		j.header.ColorModel = "grey"
	case j.components == 3 && !j.jfif && (j.adobe == 0 || string(j.ids[:3]) == "RGB"):
		j.header.ColorModel = "rgb"
	case j.components == 3:
		j.header.ColorModel = "ycbcr"
	case j.adobe < 0:
		return unsupportedImage("a JPEG of 4 components without Adobe's colour segment is not read: its colours are unknown")
	case j.adobe == 0:
		j.header.ColorModel = "cmyk"
	default:
		j.header.ColorModel = "ycck"
	}
	return nil
}
