package wire

import (
	"context"
	"net/http"

	"consilium/internal/analysis"
)

// NewAudioServer serves encoder as the model "audio".
func NewAudioServer(encoder analysis.AudioEncoder, info ModelInfo) http.Handler {
	return newServer(audioContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		strict, _, err := r.parameters.flag("strict")
		if err != nil {
			return nil, invalid(err)
		}
		features, err := encoder.EncodeAudio(ctx, r.inputs[0].Bytes, strict)
		if err != nil {
			return nil, err
		}
		return packFeatures(r, audioContract, features, len(r.inputs[0].Bytes))
	})
}

// AudioEncoder is an audio encoder in another process.
type AudioEncoder struct{ *client }

var _ analysis.AudioEncoder = (*AudioEncoder)(nil)

// NewAudioEncoder returns a client of the model "audio" at baseURL.
func NewAudioEncoder(baseURL string, options ClientOptions) (*AudioEncoder, error) {
	c, err := newClient(audioContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &AudioEncoder{c}, nil
}

// EncodeAudio implements analysis.AudioEncoder, with BadUpstream and Unavailable as for TextEncoder.
func (e *AudioEncoder) EncodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*analysis.Features, error) {
	return e.encode(ctx, sounds, parameters{"strict": strict})
}
