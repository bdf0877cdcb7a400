package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/go-audio/audio"
	"github.com/go-audio/wav"

	"consilium/internal/analysis"
)

// decodeSamples returns the mean of the channels of every frame in data, and how many samples had to be clipped.
// data holds whole frames of a header that CheckWAV passed.
func decodeSamples(h WAVHeader, data []byte) (mono []float32, clipped int, err error) {
	switch h.Encoding {
	case PCM:
		mono, err = decodeIntegers(h, data)
	case Float:
		return decodeFloats(h, data)
	case MuLaw:
		mono = mixDown(h, data, muLawSample)
	case ALaw:
		mono = mixDown(h, data, aLawSample)
	}
	return mono, 0, err
}

// decodeIntegers decodes PCM with go-audio/wav. The library sees a file with a header of our own in front of the
// samples and no other chunk, because it believes every length that a chunk declares.
func decodeIntegers(h WAVHeader, data []byte) ([]float32, error) {
	file := make([]byte, 0, 44+len(data))
	file = append(file, "RIFF"...)
	file = binary.LittleEndian.AppendUint32(file, uint32(36+len(data)))
	file = append(file, "WAVEfmt "...)
	file = binary.LittleEndian.AppendUint32(file, 16)
	file = binary.LittleEndian.AppendUint16(file, uint16(PCM))
	file = binary.LittleEndian.AppendUint16(file, uint16(h.Channels))
	file = binary.LittleEndian.AppendUint32(file, uint32(h.Rate))
	file = binary.LittleEndian.AppendUint32(file, uint32(h.Rate*h.FrameBytes()))
	file = binary.LittleEndian.AppendUint16(file, uint16(h.FrameBytes()))
	file = binary.LittleEndian.AppendUint16(file, uint16(h.Bits))
	file = append(file, "data"...)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(data)))
	file = append(file, data...)

	decoder := wav.NewDecoder(bytes.NewReader(file))
	buffer := &audio.IntBuffer{Data: make([]int, 4096*h.Channels)}
	scale, offset := 1/float64(int64(1)<<(h.Bits-1)), 0
	if h.Bits == 8 {
		offset = 128 // the only unsigned width
	}
	frames := len(data) / h.FrameBytes()
	mono := make([]float32, 0, frames)
	for len(mono) < frames {
		n, err := decoder.PCMBuffer(buffer)
		if err != nil || n == 0 {
			return nil, &analysis.Error{Code: analysis.Internal, Field: "audio",
				Message: fmt.Sprintf("decoding the PCM samples stopped at frame %d of %d", len(mono), frames), Err: err}
		}
		for i := 0; i+h.Channels <= n && len(mono) < frames; i += h.Channels {
			sum := 0
			for _, v := range buffer.Data[i : i+h.Channels] {
				sum += v - offset
			}
			mono = append(mono, float32(float64(sum)*scale/float64(h.Channels)))
		}
	}
	return mono, nil
}

// decodeFloats decodes IEEE 754 samples, which go-audio/wav returns as raw bits.
func decodeFloats(h WAVHeader, data []byte) (mono []float32, clipped int, err error) {
	width := h.Bits / 8
	mono = make([]float32, 0, len(data)/h.FrameBytes())
	for len(data) > 0 {
		var sum float64
		for range h.Channels {
			var v float64
			if width == 4 {
				v = float64(math.Float32frombits(binary.LittleEndian.Uint32(data)))
			} else {
				v = math.Float64frombits(binary.LittleEndian.Uint64(data))
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, 0, &analysis.Error{Code: analysis.InvalidArgument, Field: "audio",
					Message: fmt.Sprintf("WAV samples: frame %d", len(mono)), Limit: "a finite number", Value: strconv.FormatFloat(v, 'g', -1, 64)}
			}
			if v < -1 || v > 1 {
				v = min(max(v, -1), 1)
				clipped++
			}
			sum += v
			data = data[width:]
		}
		mono = append(mono, float32(sum/float64(h.Channels)))
	}
	return mono, clipped, nil
}

// mixDown decodes samples of one byte each.
func mixDown(h WAVHeader, data []byte, sample func(byte) float32) []float32 {
	mono := make([]float32, 0, len(data)/h.Channels)
	for i := 0; i < len(data); i += h.Channels {
		var sum float32
		for _, b := range data[i : i+h.Channels] {
			sum += sample(b)
		}
		mono = append(mono, sum/float32(h.Channels))
	}
	return mono
}
