package media

import "encoding/binary"

// tagOrientation is the EXIF tag that says how the camera was held.
const tagOrientation = 0x0112

// exifOrientation returns the orientation, 1 to 8, of EXIF data: a TIFF structure whose first directory holds the
// tag (TIFF 6.0 section 2; CIPA DC-008 section 4.6). Only that directory is read, entry by entry, so that pointers
// cannot loop. Data that is broken or says nothing is upright, 1.
func exifOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(b[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	start := int64(order.Uint32(b[4:]))
	if start+2 > int64(len(b)) {
		return 1
	}
	entries := b[start+2:]
	for range order.Uint16(b[start:]) {
		if len(entries) < 12 {
			return 1
		}
		const short = 3
		if order.Uint16(entries) == tagOrientation {
			value := int(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) != short || order.Uint32(entries[4:]) != 1 || value < 1 || value > 8 {
				return 1
			}
			return value
		}
		entries = entries[12:]
	}
	return 1
}
