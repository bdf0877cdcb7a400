package media

import (
	"encoding/binary"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngModels are the colour types of the PNG specification (third edition, table 8): the name, the samples of a
// pixel and the bit depths that are allowed.
var pngModels = map[byte]struct {
	name    string
	samples int
	depths  []byte
}{
	0: {"grey", 1, []byte{1, 2, 4, 8, 16}},
	2: {"rgb", 3, []byte{8, 16}},
	3: {"palette", 1, []byte{1, 2, 4, 8}},
	4: {"grey+alpha", 2, []byte{8, 16}},
	6: {"rgba", 4, []byte{8, 16}},
}

// deflateRatio is the best that deflate can do: a 258-byte match in two bits.
const deflateRatio = 1032

// readPNG walks the chunks of a PNG from start to end.
func readPNG(b []byte) (ImageHeader, error) {
	h := ImageHeader{Format: "png", Orientation: 1}
	rest := b[len(pngSignature):]
	var data, samples int64
	for first := true; ; first = false {
		if len(rest) < 12 || int64(binary.BigEndian.Uint32(rest)) > int64(len(rest)-12) {
			return ImageHeader{}, invalidImage("the PNG is cut off: a chunk ends beyond its %d bytes", len(b))
		}
		n := int(binary.BigEndian.Uint32(rest))
		kind, body := string(rest[4:8]), rest[8:8+n]
		rest = rest[12+n:]
		if first != (kind == "IHDR") {
			return ImageHeader{}, invalidImage("the PNG is broken: its header has to be the first chunk, and only that")
		}
		switch kind {
		case "IHDR":
			var err error
			if samples, err = h.readIHDR(body); err != nil {
				return ImageHeader{}, err
			}
		case "IDAT":
			data += int64(n)
		case "eXIf":
			h.Orientation = exifOrientation(body)
			if err := h.checkSize(); err != nil { // turning takes memory too
				return ImageHeader{}, err
			}
		case "IEND":
			least := int64(h.Width) * int64(h.Height) * samples * int64(h.BitDepth) / 8 / deflateRatio
			return h, h.checkFilled(data, max(least, 1))
		}
	}
}

// readIHDR reads the header chunk and returns the samples of a pixel.
func (h *ImageHeader) readIHDR(body []byte) (samples int64, err error) {
	if len(body) != 13 {
		return 0, invalidImage("the PNG is broken: its header has %d bytes, want 13", len(body))
	}
	width, height := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	depth, model, interlace := body[8], body[9], body[12]
	m, ok := pngModels[model]
	if ok {
		ok = false
		for _, d := range m.depths {
			ok = ok || d == depth
		}
	}
	if !ok || body[10] != 0 || body[11] != 0 || interlace > 1 {
		return 0, invalidImage("the PNG is broken: colour type %d, bit depth %d, compression %d, filter %d, interlace %d do not exist together",
			model, depth, body[10], body[11], interlace)
	}
	h.Width, h.Height, h.BitDepth, h.ColorModel, h.Progressive = int(width), int(height), int(depth), m.name, interlace == 1
	return int64(m.samples), h.checkSize()
}
