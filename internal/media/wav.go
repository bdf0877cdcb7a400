package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"consilium/internal/analysis"
)

// The limits of an uploaded sound.
const (
	MaxWAVBytes    = 64 << 20 // of the whole file
	MaxWAVSeconds  = 600
	MaxWAVChannels = 8
	MinWAVRate     = 1_000   // Hz
	MaxWAVRate     = 192_000 // Hz
	// MaxWAVChunks bounds the chunks in front of the samples.
	MaxWAVChunks = 64
)

// WAVEncoding is how a WAV file stores one sample.
type WAVEncoding uint16

// The encodings that are read, numbered by their format tag.
const (
	PCM   WAVEncoding = 1 // integers: 8 bit unsigned, 16, 24 and 32 bit signed
	Float WAVEncoding = 3 // IEEE 754, 32 and 64 bit
	ALaw  WAVEncoding = 6 // ITU-T G.711, 8 bit
	MuLaw WAVEncoding = 7 // ITU-T G.711, 8 bit

	extensible WAVEncoding = 0xFFFE // the encoding stands in the sub-format
)

func (e WAVEncoding) String() string {
	switch e {
	case PCM:
		return "PCM"
	case Float:
		return "float"
	case ALaw:
		return "A-law"
	case MuLaw:
		return "mu-law"
	}
	return fmt.Sprintf("format tag 0x%04x", uint16(e))
}

// WAVHeader is what the header of a WAV file says, checked against the limits and against the file's length.
type WAVHeader struct {
	Encoding WAVEncoding
	Channels int
	Rate     int // Hz
	Bits     int // of one stored sample
	Frames   int // samples of each channel
	// DataOffset is where the samples begin in the file.
	DataOffset int
}

// FrameBytes is the size of one sample of every channel.
func (h WAVHeader) FrameBytes() int { return h.Channels * h.Bits / 8 }

// Seconds is the length of the sound.
func (h WAVHeader) Seconds() float64 { return float64(h.Frames) / float64(h.Rate) }

// subFormatTail ends the sub-format of WAVE_FORMAT_EXTENSIBLE; its first two bytes are a format tag.
var subFormatTail = []byte{0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71}

// CheckWAV reads the header of a WAV file (RIFF, "Multimedia Programming Interface and Data Specifications 1.0")
// and checks every value in it against the limits and against the bytes that are there. It allocates nothing and
// looks at no sample. Errors: UnsupportedMedia for another format or encoding, TooLarge over a limit on size or
// length, else InvalidArgument; all name the value at fault.
func CheckWAV(b []byte) (WAVHeader, error) {
	var h WAVHeader
	if len(b) > MaxWAVBytes {
		return h, wavTooLarge("the file is too large", bytesOf(MaxWAVBytes), bytesOf(len(b)))
	}
	if err := checkRIFF(b); err != nil {
		return h, err
	}
	var haveFormat bool
	at := 12
	for chunks := 1; ; chunks++ {
		if chunks > MaxWAVChunks {
			return h, wavInvalid("no data chunk among the first chunks", strconv.Itoa(MaxWAVChunks)+" chunks", "more")
		}
		if len(b)-at < 8 {
			missing := "data"
			if !haveFormat {
				missing = "fmt"
			}
			return h, wavInvalid("the file ends before its "+missing+" chunk", "a "+missing+" chunk", fmt.Sprintf("end at byte %d", len(b)))
		}
		id, size := b[at:at+4], int64(binary.LittleEndian.Uint32(b[at+4:]))
		at += 8
		if rest := int64(len(b) - at); size > rest {
			return h, wavInvalid(fmt.Sprintf("the %q chunk declares more bytes than the file holds", id),
				fmt.Sprintf("%d bytes left in the file", rest), fmt.Sprintf("%d bytes", size))
		}
		body := b[at : at+int(size)]
		switch string(id) {
		case "fmt ":
			if haveFormat {
				return h, wavInvalid("the file has two fmt chunks", "1", "2")
			}
			var err error
			if h, err = checkFormat(body); err != nil {
				return h, err
			}
			haveFormat = true
		case "data":
			if !haveFormat {
				return h, wavInvalid("the data chunk comes before the fmt chunk", "fmt first", "data first")
			}
			h.DataOffset = at
			return checkData(h, len(body))
		}
		at += int(size)
		if size%2 == 1 && at < len(b) {
			at++ // chunks are padded to even lengths
		}
	}
}

// checkRIFF checks the first 12 bytes.
func checkRIFF(b []byte) error {
	if len(b) == 0 {
		return wavInvalid("the sound is empty", "at least 44 bytes", "0 bytes")
	}
	if name := otherFormat(b); name != "" {
		return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "audio", Message: "only WAV is read", Limit: "WAV", Value: name}
	}
	if !bytes.HasPrefix(b, []byte("RIFF")) {
		return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "audio", Message: "the bytes are not a WAV file",
			Limit: "RIFF", Value: fmt.Sprintf("first bytes %x", b[:min(4, len(b))])}
	}
	if len(b) < 12 {
		return wavInvalid("the RIFF header is cut off", "12 bytes", bytesOf(len(b)))
	}
	if !bytes.Equal(b[8:12], []byte("WAVE")) {
		return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "audio", Message: "the RIFF file holds no sound",
			Limit: `RIFF form "WAVE"`, Value: fmt.Sprintf("%q", b[8:12])}
	}
	return nil
}

// otherFormat names a known format that is not read, "" if the bytes are of none.
func otherFormat(b []byte) string {
	for _, f := range []struct {
		offset      int
		magic, name string
	}{
		{0, "ID3", "MP3"}, {0, "fLaC", "FLAC"}, {0, "OggS", "Ogg"}, {0, "FORM", "AIFF"}, {0, "caff", "CAF"},
		{0, "#!AMR", "AMR"}, {4, "ftyp", "MP4"}, {0, "\x1a\x45\xdf\xa3", "WebM or Matroska"}, {0, ".snd", "AU"},
		{0, "RF64", "RF64 (64-bit WAV)"}, {0, "BW64", "BW64 (64-bit WAV)"}, {0, "RIFX", "RIFX (big-endian WAV)"},
	} {
		if len(b) >= f.offset && bytes.HasPrefix(b[f.offset:], []byte(f.magic)) {
			return f.name
		}
	}
	// An MPEG audio frame begins with eleven set bits.
	if len(b) >= 2 && b[0] == 0xFF && b[1]&0xE0 == 0xE0 {
		if b[1]&0x06 == 0 {
			return "AAC"
		}
		return "MP3"
	}
	return ""
}

// checkFormat reads the fmt chunk.
func checkFormat(c []byte) (WAVHeader, error) {
	var h WAVHeader
	if len(c) < 16 {
		return h, wavInvalid("the fmt chunk is too short", "16 bytes", bytesOf(len(c)))
	}
	h.Encoding = WAVEncoding(binary.LittleEndian.Uint16(c))
	h.Channels = int(binary.LittleEndian.Uint16(c[2:]))
	rate := binary.LittleEndian.Uint32(c[4:])
	align := int(binary.LittleEndian.Uint16(c[12:]))
	h.Bits = int(binary.LittleEndian.Uint16(c[14:]))
	if h.Encoding == extensible {
		if len(c) < 40 {
			return h, wavInvalid("the extensible fmt chunk is too short", "40 bytes", bytesOf(len(c)))
		}
		if !bytes.Equal(c[26:40], subFormatTail) {
			return h, wavUnsupported("the sub-format is not read", "PCM, float, A-law, mu-law", fmt.Sprintf("%x", c[24:40]))
		}
		h.Encoding = WAVEncoding(binary.LittleEndian.Uint16(c[24:]))
	}
	if h.Channels < 1 || h.Channels > MaxWAVChannels {
		return h, wavInvalid("number of channels", fmt.Sprintf("1 to %d", MaxWAVChannels), strconv.Itoa(h.Channels))
	}
	if rate < MinWAVRate || rate > MaxWAVRate {
		return h, wavInvalid("sample rate", fmt.Sprintf("%d to %d Hz", MinWAVRate, MaxWAVRate), fmt.Sprintf("%d Hz", rate))
	}
	h.Rate = int(rate)
	if err := checkBits(h); err != nil {
		return h, err
	}
	if align != h.FrameBytes() {
		return h, wavInvalid("block align contradicts channels and bits", bytesOf(h.FrameBytes()), bytesOf(align))
	}
	return h, nil
}

// checkBits checks the encoding and the bits of a sample together.
func checkBits(h WAVHeader) error {
	var want string
	ok := false
	switch h.Encoding {
	case PCM:
		want, ok = "8, 16, 24 or 32", h.Bits == 8 || h.Bits == 16 || h.Bits == 24 || h.Bits == 32
	case Float:
		want, ok = "32 or 64", h.Bits == 32 || h.Bits == 64
	case ALaw, MuLaw:
		want, ok = "8", h.Bits == 8
	default:
		return wavUnsupported("the encoding is not read", "PCM, float, A-law, mu-law", h.Encoding.String())
	}
	if !ok {
		return wavInvalid("bits of a "+h.Encoding.String()+" sample", want, strconv.Itoa(h.Bits))
	}
	return nil
}

// checkData checks the length of the data chunk.
func checkData(h WAVHeader, size int) (WAVHeader, error) {
	if size == 0 {
		return h, wavInvalid("the sound holds no samples", "at least 1", "0")
	}
	if size%h.FrameBytes() != 0 {
		return h, wavInvalid("the data chunk ends inside a sample", fmt.Sprintf("a multiple of %d bytes", h.FrameBytes()), bytesOf(size))
	}
	h.Frames = size / h.FrameBytes()
	if h.Seconds() > MaxWAVSeconds {
		return h, wavTooLarge("the sound is too long", secondsOf(MaxWAVSeconds), secondsOf(h.Seconds()))
	}
	return h, nil
}

func wavInvalid(message, limit, value string) error {
	return &analysis.Error{Code: analysis.InvalidArgument, Field: "audio", Message: "WAV header: " + message, Limit: limit, Value: value}
}

func wavUnsupported(message, limit, value string) error {
	return &analysis.Error{Code: analysis.UnsupportedMedia, Field: "audio", Message: "WAV header: " + message, Limit: limit, Value: value}
}

func wavTooLarge(message, limit, value string) error {
	return &analysis.Error{Code: analysis.TooLarge, Field: "audio", Message: message, Limit: limit, Value: value}
}

func bytesOf(n int) string { return strconv.Itoa(n) + " bytes" }

func secondsOf(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) + " s" }
