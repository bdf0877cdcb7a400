//go:build cgo

package media

import (
	"encoding/binary"
	"image"
)

// decodeGreyJPEG decodes what most radiographs are, a baseline JPEG of one component in one scan, as the standard library does
// but for rounding: a pixel differs by 1 at most. The bits are read here, where every index is checked; only whole blocks of
// coefficients go to the vectors. Everything else, and everything broken, is not ok: the standard library's to read or to refuse.
// The picture's size was checked before.
func decodeGreyJPEG(b []byte) (img *image.Gray, ok bool) {
	var d greyDecoder
	scan, ok := d.segments(b)
	if !ok {
		return nil, false
	}
	return d.scan(scan)
}

// greyDecoder holds what the segments before the scan say.
type greyDecoder struct {
	width, height int
	restart       int // blocks between two restart markers, 0 without
	quant         [4]*[64]float32
	dc, ac        [4]*huffman
	table         int // of quant, for the component
	component     byte
}

// segments reads everything before the coded data and returns that.
func (d *greyDecoder) segments(b []byte) (scan []byte, ok bool) {
	rest := b[2:]
	for {
		marker, after, found := nextMarker(rest)
		if !found || marker == markerEOI || len(after) < 2 {
			return nil, false
		}
		n := int(binary.BigEndian.Uint16(after))
		if n < 2 || n > len(after) {
			return nil, false
		}
		data := after[2:n]
		rest, ok = after[n:], true
		switch marker {
		case markerSOF0, markerSOF1:
			ok = d.frame(data)
		case markerDHT:
			ok = d.huffman(data)
		case markerDQT:
			ok = d.quantisation(data)
		case markerDRI:
			if ok = len(data) == 2; ok {
				d.restart = int(binary.BigEndian.Uint16(data))
			}
		case markerSOS:
			return rest, d.header(data)
		default:
			ok = marker >= markerAPP0 // an application's segment or a comment
		}
		if !ok {
			return nil, false
		}
	}
}

// frame reads the frame header, T.81 section B.2.2.
func (d *greyDecoder) frame(data []byte) bool {
	if d.width != 0 || len(data) != 9 || data[0] != 8 || data[5] != 1 || data[8] > 3 {
		return false
	}
	d.height, d.width = int(binary.BigEndian.Uint16(data[1:])), int(binary.BigEndian.Uint16(data[3:]))
	d.component, d.table = data[6], int(data[8])
	return d.width > 0 && d.height > 0
}

// quantisation reads the tables of section B.2.4.1.
func (d *greyDecoder) quantisation(data []byte) bool {
	for len(data) > 0 {
		size, id := int(data[0]>>4), data[0]&15
		if size > 1 || id > 3 || len(data) < 1+64*(size+1) {
			return false
		}
		t := new([64]float32)
		for i := range t {
			if size == 0 {
				t[zigzag[i]] = float32(data[1+i])
			} else {
				t[zigzag[i]] = float32(binary.BigEndian.Uint16(data[1+2*i:]))
			}
		}
		d.quant[id] = t
		data = data[1+64*(size+1):]
	}
	return true
}

// huffman reads the tables of section B.2.4.2.
func (d *greyDecoder) huffman(data []byte) bool {
	for len(data) > 0 {
		class, id := data[0]>>4, data[0]&15
		if class > 1 || id > 3 || len(data) < 17 {
			return false
		}
		n := 0
		for _, count := range data[1:17] {
			n += int(count)
		}
		if n == 0 || n > 256 || len(data) < 17+n {
			return false
		}
		t := newHuffman(data[1:17], data[17:17+n], class == 1)
		if t == nil {
			return false
		}
		if class == 0 {
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		data = data[17+n:]
	}
	return true
}

// header reads the scan header, section B.2.3, and moves the tables that it names to the front.
func (d *greyDecoder) header(data []byte) bool {
	if d.width == 0 || len(data) != 6 || data[0] != 1 || data[1] != d.component || data[3] != 0 || data[4] != 63 || data[5] != 0 {
		return false
	}
	dc, ac := data[2]>>4, data[2]&15
	if dc > 3 || ac > 3 || d.dc[dc] == nil || d.ac[ac] == nil || d.quant[d.table] == nil {
		return false
	}
	d.dc[0], d.ac[0], d.quant[0] = d.dc[dc], d.ac[ac], d.quant[d.table]
	return true
}

// most is how many blocks are transformed together.
const most = 16

// scan decodes the coded data.
func (d *greyDecoder) scan(data []byte) (*image.Gray, bool) {
	across, down := (d.width+7)/8, (d.height+7)/8
	whole := image.NewGray(image.Rect(0, 0, 8*across, 8*down))
	var (
		coefficients [64 * most]int16
		r            = bitReader{data: data}
		last         int32 // the value of the block before
		left         = d.restart
		restarts     byte
	)
	for y := range down {
		for x := 0; x < across; x += most {
			n := min(most, across-x)
			clear(coefficients[:])
			for i := range n {
				if d.restart > 0 && left == 0 {
					if !r.marker(markerRST0 + restarts%8) {
						return nil, false
					}
					r = bitReader{data: r.data[r.at+2:]}
					last, left = 0, d.restart
					restarts++
				}
				left--
				if !d.block(&r, &coefficients, i, &last) || r.behind() {
					return nil, false
				}
			}
			transform(&coefficients, d.quant[0], n, whole.Pix[8*y*whole.Stride+8*x:], whole.Stride)
		}
	}
	if !r.marker(markerEOI) {
		return nil, false
	}
	return whole.SubImage(image.Rect(0, 0, d.width, d.height)).(*image.Gray), true
}

// block decodes one block to place i of coefficients (64, most), T.81 section F.2.2.
func (d *greyDecoder) block(r *bitReader, coefficients *[64 * most]int16, i int, last *int32) bool {
	size, ok := r.symbol(d.dc[0])
	if !ok || size > 11 {
		return false
	}
	*last += r.value(uint(size))
	if *last != int32(int16(*last)) {
		return false
	}
	coefficients[i] = int16(*last)
	table := d.ac[0]
	for k := 1; k < 64; k++ {
		r.fill()
		if e := table.whole[r.bits>>(64-lookup)]; e != 0 {
			length := uint(e & 15)
			r.bits <<= length
			r.left -= length
			if k += int(e >> 4 & 15); k > 63 {
				return false
			}
			coefficients[int(zigzag[k])*most+i] = int16(e >> 8)
			continue
		}
		s, ok := r.symbol(table)
		if !ok {
			return false
		}
		run, size := int(s>>4), uint(s&15)
		if size == 0 {
			if run != 15 {
				return run == 0 // the end of the block
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			return false
		}
		coefficients[int(zigzag[k])*most+i] = int16(r.value(size))
	}
	return true
}

// bitReader reads bits from the highest down. Behind the last come zeros.
type bitReader struct {
	data []byte
	at   int
	bits uint64 // the next ones, at the top
	left uint   // how many of them were read
	over uint   // how many of them lie behind the last
}

// fill makes 32 bits at least ready.
func (r *bitReader) fill() {
	if r.left >= 32 {
		return
	}
	if r.at+8 <= len(r.data) {
		v := binary.BigEndian.Uint64(r.data[r.at:])
		if not := ^v; (not-0x0101010101010101)&v&0x8080808080808080 == 0 { // no byte is 0xff
			r.bits |= v >> r.left
			r.at += int(63-r.left) >> 3
			r.left |= 56
			return
		}
	}
	r.careful()
}

// careful is fill for bytes of which one may be 0xff: a zero follows it, or it begins a marker and ends the data.
func (r *bitReader) careful() {
	for ; r.left <= 56; r.left += 8 {
		switch {
		case r.at+1 < len(r.data) && r.data[r.at] != 0xff:
			r.bits |= uint64(r.data[r.at]) << (56 - r.left)
			r.at++
		case r.at+1 < len(r.data) && r.data[r.at+1] == 0:
			r.bits |= 0xff << (56 - r.left)
			r.at += 2
		default:
			r.over += 8
		}
	}
}

// behind reports whether more bits were used than there are.
func (r *bitReader) behind() bool { return r.over > r.left }

// marker reports whether all data was used, but for what fills the last byte, and that marker follows.
func (r *bitReader) marker(m byte) bool {
	return r.left-r.over < 8 && r.at+1 < len(r.data) && r.data[r.at] == 0xff && r.data[r.at+1] == m
}

// symbol decodes the next code.
func (r *bitReader) symbol(t *huffman) (byte, bool) {
	r.fill()
	e := t.short[r.bits>>(64-lookup)]
	length := uint(e >> 8)
	if e == 0 {
		code := uint32(r.bits >> 48)
		for length = lookup + 1; length <= 16 && code >= t.limit[length]; length++ {
		}
		if length > 16 {
			return 0, false
		}
		e = uint16(t.symbols[uint8(t.first[length]+int32(code>>(16-length)))])
	}
	r.bits <<= length
	r.left -= length
	return byte(e), true
}

// value reads a number of so many bits, section F.2.2.1.
func (r *bitReader) value(size uint) int32 {
	r.fill()
	v := extend(int32(r.bits>>1>>(63-size)), size)
	r.bits <<= size
	r.left -= size
	return v
}

// extend is the number that the bits v stand for.
func extend(v int32, size uint) int32 {
	if size > 0 && v < 1<<(size-1) {
		v -= 1<<size - 1
	}
	return v
}

// lookup is how many bits are looked up at once.
const lookup = 11

// huffman is a table of codes, section C.2.
type huffman struct {
	whole   [1 << lookup]int32  // value << 8 | run << 4 | bits, where a code and its number fit; else 0
	short   [1 << lookup]uint16 // length << 8 | symbol, where the code fits; else 0
	limit   [17]uint32          // behind the last code of a length, at the top of 16 bits
	first   [17]int32           // index of the first symbol of a length less its code
	symbols [256]byte
}

// newHuffman makes the table of how many codes there are of each length, and their symbols; nil if there are too many.
func newHuffman(counts, symbols []byte, ac bool) *huffman {
	t := &huffman{}
	copy(t.symbols[:], symbols)
	var code uint32
	at := 0
	for length := 1; length <= 16; length++ {
		t.first[length] = int32(at) - int32(code)
		for range counts[length-1] {
			if code >= 1<<length {
				return nil
			}
			if length <= lookup {
				t.fit(code, length, symbols[at], ac)
			}
			code++
			at++
		}
		t.limit[length] = code << (16 - length)
		code <<= 1
	}
	return t
}

// fit fills the places whose first bits are the code.
func (t *huffman) fit(code uint32, length int, symbol byte, ac bool) {
	free := lookup - length
	size := int(symbol & 15)
	for i := range 1 << free {
		place := int(code)<<free | i
		t.short[place] = uint16(length)<<8 | uint16(symbol)
		if ac && size > 0 && size <= free {
			v := extend(int32(i>>(free-size)), uint(size))
			t.whole[place] = v<<8 | int32(symbol&0xf0) | int32(length+size)
		}
	}
}

// zigzag is the place in a block, row by row, of each coefficient in the order of the file, figure A.6.
var zigzag = func() (order [64]uint8) {
	x, y := 0, 0
	for i := range order {
		order[i] = uint8(8*y + x)
		switch up := (x+y)%2 == 0; {
		case up && x == 7:
			y++
		case up && y == 0:
			x++
		case up:
			x, y = x+1, y-1
		case y == 7:
			x++
		case x == 0:
			y++
		default:
			x, y = x-1, y+1
		}
	}
	return order
}()
