package wire

import (
	"context"
	"net/http"

	"consilium/internal/analysis"
)

// NewVisionServer serves encoder as the model "vision".
func NewVisionServer(encoder analysis.VisionEncoder, info ModelInfo) http.Handler {
	return newPictureServer(visionContract, encoder, info)
}

// NewRadiographServer serves encoder as the model "radiograph".
func NewRadiographServer(encoder analysis.VisionEncoder, info ModelInfo) http.Handler {
	return newPictureServer(radiographContract, encoder, info)
}

func newPictureServer(c *contract, encoder analysis.VisionEncoder, info ModelInfo) *server {
	return newServer(c, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		features, err := encoder.EncodeImage(ctx, r.inputs[0].Bytes)
		if err != nil {
			return nil, err
		}
		return packFeatures(r, c, features, len(r.inputs[0].Bytes))
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

// NewRadiographEncoder returns a client of the model "radiograph" at baseURL.
func NewRadiographEncoder(baseURL string, options ClientOptions) (*VisionEncoder, error) {
	c, err := newClient(radiographContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &VisionEncoder{c}, nil
}

// EncodeImage implements analysis.VisionEncoder, with BadUpstream and Unavailable as for TextEncoder.
func (e *VisionEncoder) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	return e.encode(ctx, images, nil)
}
