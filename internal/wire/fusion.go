package wire

import (
	"context"
	"net/http"

	"consilium/internal/analysis"
)

// Fuser is a fusion in another process.
type Fuser struct{ *client }

var _ analysis.Fuser = (*Fuser)(nil)

// NewFuser returns a client of the model "fusion" at baseURL.
func NewFuser(baseURL string, options ClientOptions) (*Fuser, error) {
	c, err := newClient(fusionContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &Fuser{c}, nil
}

// NewFusionServer serves fuser as the model "fusion".
func NewFusionServer(fuser analysis.Fuser, info ModelInfo) http.Handler {
	return newServer(fusionContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		request, err := unpackFuseRequest(r)
		if err != nil {
			return nil, err
		}
		result, err := fuser.Fuse(ctx, request)
		if err != nil {
			return nil, err
		}
		return packResult(r, result)
	})
}

// Fuse implements analysis.Fuser, with BadUpstream and Unavailable as for TextEncoder.
func (f *Fuser) Fuse(ctx context.Context, request *analysis.FuseRequest) (*analysis.Result, error) {
	inputs, err := packFuseRequest(request)
	if err != nil {
		return nil, err
	}
	outputs, digest, err := f.infer(ctx, parameters{"candidates": request.Candidates}, inputs)
	if err != nil {
		return nil, err
	}
	result, err := unpackResult(outputs)
	if err != nil {
		f.remember("")
		return nil, f.broken(err)
	}
	result.Models = map[string]string{FusionModel: digest}
	return result, nil
}
