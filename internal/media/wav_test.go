package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// wavFile describes a WAV file for a test; the zero value of a field means the natural one.
type wavFile struct {
	tag, channels, bits uint16
	rate                uint32
	data                []byte
	before              []byte // chunks in front of data
	extension           []byte // of the fmt chunk
	align               uint16
	dataSize            *uint32
}

func (w wavFile) bytes() []byte {
	align := w.channels * w.bits / 8
	if w.align != 0 {
		align = w.align
	}
	format := le(w.tag, w.channels, w.rate, w.rate*uint32(align), align, w.bits)
	format = append(format, w.extension...)
	size := uint32(len(w.data))
	if w.dataSize != nil {
		size = *w.dataSize
	}
	body := append([]byte("WAVE"), chunk("fmt ", format)...)
	body = append(body, w.before...)
	body = append(append(append(body, "data"...), le(size)...), w.data...)
	return append(append([]byte("RIFF"), le(uint32(len(body)))...), body...)
}

func chunk(id string, body []byte) []byte {
	c := append(append([]byte(id), le(uint32(len(body)))...), body...)
	if len(body)%2 == 1 {
		c = append(c, 0)
	}
	return c
}

func le(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func extension(tag uint16, valid uint16) []byte {
	return append(le(uint16(22), valid, uint32(0), tag), subFormatTail...)
}

func TestCheckWAVReads(t *testing.T) {
	for _, c := range []struct {
		name string
		file wavFile
		want WAVHeader
	}{
		{"pcm 16 mono", wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: make([]byte, 16)}, WAVHeader{PCM, 1, 8000, 16, 8, 44}},
		{"pcm 8 stereo", wavFile{tag: 1, channels: 2, bits: 8, rate: 44100, data: make([]byte, 16)}, WAVHeader{PCM, 2, 44100, 8, 8, 44}},
		{"pcm 24", wavFile{tag: 1, channels: 1, bits: 24, rate: 1000, data: make([]byte, 15)}, WAVHeader{PCM, 1, 1000, 24, 5, 44}},
		{"pcm 32, 8 channels", wavFile{tag: 1, channels: 8, bits: 32, rate: 192000, data: make([]byte, 64)}, WAVHeader{PCM, 8, 192000, 32, 2, 44}},
		{"float 32", wavFile{tag: 3, channels: 1, bits: 32, rate: 8000, data: make([]byte, 16)}, WAVHeader{Float, 1, 8000, 32, 4, 44}},
		{"float 64", wavFile{tag: 3, channels: 1, bits: 64, rate: 8000, data: make([]byte, 16)}, WAVHeader{Float, 1, 8000, 64, 2, 44}},
		{"mu-law", wavFile{tag: 7, channels: 1, bits: 8, rate: 8000, data: make([]byte, 3)}, WAVHeader{MuLaw, 1, 8000, 8, 3, 44}},
		{"A-law", wavFile{tag: 6, channels: 1, bits: 8, rate: 8000, data: make([]byte, 3)}, WAVHeader{ALaw, 1, 8000, 8, 3, 44}},
		{"extensible float", wavFile{tag: 0xFFFE, channels: 1, bits: 32, rate: 8000, data: make([]byte, 4), extension: extension(3, 32)}, WAVHeader{Float, 1, 8000, 32, 1, 68}},
		{"extensible 20 of 24 bits", wavFile{tag: 0xFFFE, channels: 1, bits: 24, rate: 8000, data: make([]byte, 3), extension: extension(1, 20)}, WAVHeader{PCM, 1, 8000, 24, 1, 68}},
		{"odd chunk is padded", wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: make([]byte, 2), before: chunk("LIST", []byte("abc"))}, WAVHeader{PCM, 1, 8000, 16, 1, 56}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := CheckWAV(c.file.bytes())
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestCheckWAVRefuses(t *testing.T) {
	good := func(change func(*wavFile)) []byte {
		w := wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: make([]byte, 16)}
		change(&w)
		return w.bytes()
	}
	huge, streamed := uint32(17), uint32(0xFFFFFFFF)
	invalid, unsupported, tooLarge := analysis.InvalidArgument, analysis.UnsupportedMedia, analysis.TooLarge
	for _, c := range []struct {
		name string
		in   []byte
		code analysis.Code
		want string // the message, the limit or the value holds this
	}{
		{"nothing", nil, invalid, "0 bytes"},
		{"a word", []byte("hello, world, this is text"), unsupported, "not a WAV"},
		{"mp3 with a tag", []byte("ID3\x03\x00aaaaaaaaaaaaa"), unsupported, "MP3"},
		{"mp3 frame", []byte{0xFF, 0xFB, 0x90, 0x64, 0, 0}, unsupported, "MP3"},
		{"aac frame", []byte{0xFF, 0xF1, 0x50, 0x80, 0, 0}, unsupported, "AAC"},
		{"flac", []byte("fLaC\x00\x00\x00\x22"), unsupported, "FLAC"},
		{"ogg", []byte("OggS\x00\x02\x00\x00"), unsupported, "Ogg"},
		{"m4a", []byte("\x00\x00\x00\x20ftypM4A "), unsupported, "MP4"},
		{"rf64", []byte("RF64\xff\xff\xff\xffWAVEds64"), unsupported, "RF64"},
		{"avi", []byte("RIFF\x00\x00\x00\x00AVI LIST"), unsupported, "AVI"},
		{"four bytes", []byte("RIFF"), invalid, "4 bytes"},
		{"no chunk", []byte("RIFF\x04\x00\x00\x00WAVE"), invalid, "fmt chunk"},
		{"cut in the fmt chunk", good(func(*wavFile) {})[:30], invalid, "16 bytes"},
		{"cut before data", good(func(*wavFile) {})[:36], invalid, "data chunk"},
		{"cut in the samples", good(func(*wavFile) {})[:50], invalid, "6 bytes left"},
		{"data one byte short", good(func(w *wavFile) { w.dataSize = &huge }), invalid, "17 bytes"},
		{"data size never written", good(func(w *wavFile) { w.dataSize = &streamed }), invalid, "4294967295 bytes"},
		{"giant LIST", good(func(w *wavFile) { w.before = append([]byte("LIST"), le(uint32(1<<30))...) }), invalid, "1073741824 bytes"},
		{"a million empty chunks", good(func(w *wavFile) { w.before = bytes.Repeat(chunk("junk", nil), 1_000_000) }), invalid, "64 chunks"},
		{"two fmt chunks", good(func(w *wavFile) { w.before = chunk("fmt ", make([]byte, 16)) }), invalid, "two fmt"},
		{"data before fmt", append([]byte("RIFF\x0c\x00\x00\x00WAVE"), chunk("data", make([]byte, 4))...), invalid, "before the fmt"},
		{"short fmt", append([]byte("RIFF\x0c\x00\x00\x00WAVE"), chunk("fmt ", make([]byte, 14))...), invalid, "14 bytes"},
		{"no channels", good(func(w *wavFile) { w.channels = 0 }), invalid, "channels"},
		{"9 channels", good(func(w *wavFile) { w.channels = 9 }), invalid, "9"},
		{"65535 channels", good(func(w *wavFile) { w.channels = 65535 }), invalid, "65535"},
		{"rate 0", good(func(w *wavFile) { w.rate = 0 }), invalid, "0 Hz"},
		{"rate 999", good(func(w *wavFile) { w.rate = 999 }), invalid, "999 Hz"},
		{"rate 192001", good(func(w *wavFile) { w.rate = 192001 }), invalid, "192001 Hz"},
		{"rate 2^32-1", good(func(w *wavFile) { w.rate = 0xFFFFFFFF }), invalid, "4294967295 Hz"},
		{"bits 0", good(func(w *wavFile) { w.bits = 0 }), invalid, "found 0"},
		{"bits 7", good(func(w *wavFile) { w.bits = 7 }), invalid, "found 7"},
		{"pcm with 64 bits", good(func(w *wavFile) { w.bits = 64 }), invalid, "found 64"},
		{"float with 16 bits", good(func(w *wavFile) { w.tag = 3 }), invalid, "32 or 64"},
		{"mu-law with 16 bits", good(func(w *wavFile) { w.tag = 7 }), invalid, "mu-law"},
		{"adpcm", good(func(w *wavFile) { w.tag = 2 }), unsupported, "0x0002"},
		{"short extensible", good(func(w *wavFile) { w.tag = 0xFFFE }), invalid, "40 bytes"},
		{"unknown sub-format", good(func(w *wavFile) { w.tag, w.extension = 0xFFFE, make([]byte, 24) }), unsupported, "sub-format"},
		{"extensible in extensible", good(func(w *wavFile) { w.tag, w.extension = 0xFFFE, extension(0xFFFE, 16) }), unsupported, "0xfffe"},
		{"block align", good(func(w *wavFile) { w.align = 3 }), invalid, "3 bytes"},
		{"no samples", good(func(w *wavFile) { w.data = nil }), invalid, "no samples"},
		{"half a frame", good(func(w *wavFile) { w.channels, w.data = 2, make([]byte, 6) }), invalid, "multiple of 4"},
		{"601 s", good(func(w *wavFile) { w.bits, w.rate, w.data = 8, 1000, make([]byte, 601_000) }), tooLarge, "601 s"},
		{"65 MiB", make([]byte, 65<<20), tooLarge, "68157440 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := CheckWAV(c.in)
			var e *analysis.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an analysis.Error", err)
			}
			if e.Code != c.code || e.Field != "audio" || e.Limit == "" || e.Value == "" || !strings.Contains(e.Error(), c.want) {
				t.Errorf("got %s %v; want %s with %q", e.Code, e, c.code, c.want)
			}
		})
	}
}

func TestCheckWAVAllocatesNothing(t *testing.T) {
	b := wavFile{tag: 1, channels: 1, bits: 16, rate: 8000, data: make([]byte, 1<<20), before: chunk("LIST", make([]byte, 1<<20))}.bytes()
	if n := testing.AllocsPerRun(10, func() {
		if _, err := CheckWAV(b); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCheckWAV(f *testing.F) {
	f.Add(wavFile{tag: 1, channels: 2, bits: 16, rate: 8000, data: make([]byte, 16)}.bytes())
	f.Add(wavFile{tag: 0xFFFE, channels: 1, bits: 32, rate: 8000, data: make([]byte, 4), extension: extension(3, 32)}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := CheckWAV(b)
		if err != nil {
			return
		}
		if h.Frames < 1 || h.DataOffset+h.Frames*h.FrameBytes() > len(b) {
			t.Fatalf("header %+v of %d bytes", h, len(b))
		}
	})
}
