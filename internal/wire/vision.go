package wire

import (
	"context"
	"net/http"

	"consilium/internal/analysis"
)

// NewVisionServer serves encoder as the model "vision".
func NewVisionServer(encoder analysis.VisionEncoder, info ModelInfo) http.Handler {
	return visionServer(encoder, info).routes()
}

func visionServer(encoder analysis.VisionEncoder, info ModelInfo) *server {
	return makeServer(visionContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		features, err := encoder.EncodeImage(ctx, r.inputs[0].Bytes)
		if err != nil {
			return nil, err
		}
		return packFeatures(r, visionContract, features, len(r.inputs[0].Bytes))
	})
}

// VisionEncoder is a vision encoder in another process.
type VisionEncoder struct{ *client }

var _ analysis.VisionEncoder = (*VisionEncoder)(nil)

// NewVisionEncoder returns a client of the model "vision" at baseURL.
func NewVisionEncoder(baseURL string, options ClientOptions) (*VisionEncoder, error) {
	c, err := newClient(visionContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &VisionEncoder{c}, nil
}

// EncodeImage implements analysis.VisionEncoder, with BadUpstream and Unavailable as for TextEncoder.
func (e *VisionEncoder) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	return e.encode(ctx, images, nil)
}
