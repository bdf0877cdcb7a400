package triples

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"consilium/internal/dataset/sounds"
	"consilium/internal/media"
)

// Recording is one spoken digit at media.SoundRate.
type Recording struct {
	Samples []float32
	Digit   int
	Speaker string
	Split   string // train, val or test
}

// ReadRecordings reads the digits of the Free Spoken Digit Dataset below folder, in the splits of package sounds.
func ReadRecordings(folder string) ([]Recording, error) {
	clips, err := sounds.Read(folder)
	if err != nil {
		return nil, err
	}
	var recordings []Recording
	for _, c := range clips {
		if !c.IsDigit() {
			continue
		}
		r, err := ReadRecording(c)
		if err != nil {
			return nil, err
		}
		recordings = append(recordings, r)
	}
	return recordings, nil
}

// ReadRecording reads one spoken digit.
func ReadRecording(c sounds.Clip) (Recording, error) {
	b, err := os.ReadFile(c.Path)
	if err != nil {
		return Recording{}, err
	}
	sound, err := media.DecodeWAV(b, true)
	if err != nil {
		return Recording{}, fmt.Errorf("read %s: %w", c.Path, err)
	}
	return Recording{Samples: sound.Samples, Digit: c.Digit(), Speaker: c.Speaker, Split: c.Split}, nil
}

// WAV returns the samples as a file: one channel, 16 bits, media.SoundRate.
func (r Recording) WAV() []byte {
	const header = 44
	b := make([]byte, 0, header+2*len(r.Samples))
	u16, u32 := binary.LittleEndian.AppendUint16, binary.LittleEndian.AppendUint32
	b = u32(append(b, "RIFF"...), uint32(header-8+2*len(r.Samples)))
	b = u32(append(b, "WAVEfmt "...), 16)
	b = u16(u16(b, 1), 1)                               // integers, one channel
	b = u32(u32(b, media.SoundRate), 2*media.SoundRate) // frames and bytes a second
	b = u16(u16(b, 2), 16)                              // bytes a frame, bits a sample
	b = u32(append(b, "data"...), uint32(2*len(r.Samples)))
	for _, v := range r.Samples {
		b = u16(b, uint16(int16(math.Round(math.MaxInt16*float64(min(max(v, -1), 1))))))
	}
	return b
}
