package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"consilium/internal/wire"
	"consilium/internal/wire/conform"
	audioencoder "consilium/services/audio-encoder"
)

// sine returns a mono 16-bit WAV file of a tone.
func sine(rate, samples int) []byte {
	var file bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			if err := binary.Write(&file, binary.LittleEndian, v); err != nil {
				panic(err) // a buffer takes everything
			}
		}
	}
	file.WriteString("RIFF")
	write(uint32(36 + 2*samples))
	file.WriteString("WAVEfmt ")
	write(uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2*rate), uint16(2), uint16(16))
	file.WriteString("data")
	write(uint32(2 * samples))
	for i := range samples {
		write(int16(8000 * math.Sin(2*math.Pi*440*float64(i)/float64(rate))))
	}
	return file.Bytes()
}

// TestProgram runs the program itself: what its clients, ours and Triton's, get is what the service makes in process.
func TestProgram(t *testing.T) {
	url := conform.Program(t, run)
	local, err := audioencoder.New(audioencoder.Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	remote, err := wire.NewAudioEncoder(url, wire.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	second, resampled := sine(8000, 8000), sine(44100, 30000)
	conform.Audio(t, local, remote, map[string][]byte{
		"a second": second, "resampled": resampled, "too long": sine(8000, 31*8000), "header only": second[:44],
		"cut off": second[:20], "no WAV": []byte("ID3 and so on, which is no WAV file"), "no samples": sine(8000, 0),
	})

	t.Run("tritonclient", func(t *testing.T) {
		sounds := [][]byte{second, resampled}
		answer := conform.Triton(t, url, wire.AudioModel, nil, conform.TritonInput{Name: "audio", Datatype: "BYTES", Shape: []int{2}, Data: sounds})
		want, err := local.EncodeAudio(t.Context(), sounds, false)
		if err != nil {
			t.Fatal(err)
		}
		conform.CheckTritonFeatures(t, answer, want)
	})
}
