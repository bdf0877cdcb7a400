package dicom

import "encoding/binary"

const (
	rleHeaderBytes = 64
	// rleBest is the most bytes that a byte of RLE can stand for: two make a run of 128.
	rleBest = 64
)

// decodeRLE decodes one frame of RLE Lossless (PS3.5 annex G) into samples side by side, in little endian. width is the
// bytes of a sample. Each byte of each sample is a segment of its own, the most significant first.
func decodeRLE(b []byte, pixels, samples, width int) ([]byte, error) {
	if len(b) < rleHeaderBytes {
		return nil, invalid("the RLE data is cut off: a frame has %d bytes, and its header takes %d", len(b), rleHeaderBytes)
	}
	segments := samples * width
	if n := binary.LittleEndian.Uint32(b); int64(n) != int64(segments) {
		return nil, invalid("the RLE data is broken: a frame declares %d segments, and its pixels take %d", n, segments)
	}
	offsets := make([]int, segments+1)
	offsets[segments] = len(b)
	least := rleHeaderBytes
	for s := range segments {
		offset := binary.LittleEndian.Uint32(b[4+4*s:])
		if int64(offset) < int64(least) || int64(offset) > int64(len(b)) {
			return nil, invalid("the RLE data is broken: segment %d begins at byte %d of a frame of %d", s+1, offset, len(b))
		}
		offsets[s], least = int(offset), int(offset)
	}
	for s := range segments {
		if n := offsets[s+1] - offsets[s]; int64(n)*rleBest < int64(pixels) {
			return nil, invalid("the RLE data is cut off: segment %d has %d bytes for %d pixels", s+1, n, pixels)
		}
	}
	out := make([]byte, pixels*segments)
	for s := range segments {
		sample, byteOf := s/width, width-1-s%width
		if n := decodeSegment(out[sample*width+byteOf:], segments, pixels, b[offsets[s]:offsets[s+1]]); n < pixels {
			return nil, invalid("the RLE data is cut off: segment %d holds %d of %d pixels", s+1, n, pixels)
		}
	}
	return out, nil
}

// decodeSegment writes up to n bytes that b stands for to every step-th byte of out and returns how many there were.
// What b holds beyond is padding.
func decodeSegment(out []byte, step, n int, b []byte) int {
	done := 0
	for len(b) > 1 && done < n {
		code := int8(b[0])
		b = b[1:]
		switch {
		case code >= 0:
			count := min(int(code)+1, len(b), n-done)
			if step == 1 {
				copy(out[done:], b[:count])
			} else {
				at := done * step
				for _, v := range b[:count] {
					out[at] = v
					at += step
				}
			}
			b = b[count:]
			done += count
		case code != -128:
			count := min(1-int(code), n-done)
			v := b[0]
			b = b[1:]
			if step == 1 {
				for i := range out[done : done+count] {
					out[done+i] = v
				}
			} else {
				for at, end := done*step, (done+count)*step; at < end; at += step {
					out[at] = v
				}
			}
			done += count
		}
	}
	return done
}
