package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"sync"

	"consilium/internal/analysis"
)

// blanks keeps the features of the content that says nothing, for the newest model of each modality.
type blanks struct {
	mu   sync.Mutex
	kept map[analysis.Modality]*analysis.Features
}

// blank returns the features that the model of like makes of a picture or sound that says nothing. They are made
// once for each model.
func (p *Pipeline) blank(ctx context.Context, like *analysis.Features) (*analysis.Features, error) {
	p.blanks.mu.Lock()
	kept := p.blanks.kept[like.Modality]
	p.blanks.mu.Unlock()
	if kept != nil && kept.Model == like.Model {
		return kept, nil
	}
	features, err := inTime(ctx, p.EncoderTime, like.Modality, func(ctx context.Context) ([]*analysis.Features, error) {
		if like.Modality == analysis.Image {
			features, err := p.Vision.EncodeImage(ctx, [][]byte{greyPicture()})
			return checked(features, err, like.Modality, 1)
		}
		features, err := p.Audio.EncodeAudio(ctx, [][]byte{silence()}, false)
		return checked(features, err, like.Modality, 1)
	})
	if err != nil {
		return nil, fmt.Errorf("blank: %w", err)
	}
	made := features[0]
	if made.Model != like.Model { // replaced since like was made
		return nil, analysis.Errorf(analysis.Unavailable, "the %s encoder's model changed from %s to %s", like.Modality, like.Model, made.Model)
	}
	p.blanks.mu.Lock()
	defer p.blanks.mu.Unlock()
	if p.blanks.kept == nil {
		p.blanks.kept = map[analysis.Modality]*analysis.Features{}
	}
	p.blanks.kept[like.Modality] = made
	return made, nil
}

// greyPicture returns a PNG of one grey, the one that the vision encoder's normalisation makes 0.
func greyPicture() []byte {
	const side, grey = 224, 127
	picture := image.NewGray(image.Rect(0, 0, side, side))
	for i := range picture.Pix {
		picture.Pix[i] = grey
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// silence returns a WAV file of a second of zeros: 16-bit PCM, mono, 8 kHz.
func silence() []byte {
	const rate, sampleBytes, headerBytes = 8000, 2, 44
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, headerBytes-8+sampleBytes*rate)...)
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 1), 1) // PCM, mono
	b = le.AppendUint32(le.AppendUint32(b, rate), sampleBytes*rate)
	b = le.AppendUint16(le.AppendUint16(b, sampleBytes), 8*sampleBytes)
	b = le.AppendUint32(append(b, "data"...), sampleBytes*rate)
	return append(b, make([]byte, sampleBytes*rate)...)
}
