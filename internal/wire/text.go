package wire

import (
	"context"
	"net/http"

	"consilium/internal/analysis"
)

// NewTextServer serves encoder as the model "text".
func NewTextServer(encoder analysis.TextEncoder, info ModelInfo) http.Handler {
	return newServer(textContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		strict, _, err := r.parameters.flag("strict")
		if err != nil {
			return nil, invalid(err)
		}
		texts := make([]string, len(r.inputs[0].Bytes))
		for i, text := range r.inputs[0].Bytes {
			texts[i] = string(text)
		}
		features, err := encoder.EncodeText(ctx, texts, strict)
		if err != nil {
			return nil, err
		}
		return packFeatures(r, textContract, features, len(texts))
	})
}

// TextEncoder is a text encoder in another process.
type TextEncoder struct{ *client }

var _ analysis.TextEncoder = (*TextEncoder)(nil)

// NewTextEncoder returns a client of the model "text" at baseURL.
func NewTextEncoder(baseURL string, options ClientOptions) (*TextEncoder, error) {
	c, err := newClient(textContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &TextEncoder{c}, nil
}

// EncodeText implements analysis.TextEncoder. Vectors of the wrong size, numbers that are not finite and the
// like are BadUpstream, a process that does not answer is Unavailable.
func (e *TextEncoder) EncodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	items := make([][]byte, len(texts))
	for i, text := range texts {
		items[i] = []byte(text)
	}
	return e.encode(ctx, items, parameters{"strict": strict})
}
