package wire

import (
	"context"
	"fmt"
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
		requests, err := unpackFuseRequests(r)
		if err != nil {
			return nil, err
		}
		results, err := fuser.Fuse(ctx, requests)
		if err != nil {
			return nil, err
		}
		if len(results) != len(requests) {
			return nil, fmt.Errorf("the fusion made %d results of %d requests", len(results), len(requests))
		}
		return packResults(r, results)
	})
}

// Fuse implements analysis.Fuser, with BadUpstream and Unavailable as for TextEncoder.
func (f *Fuser) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	if err := analysis.CheckFuseRequests(requests); err != nil {
		return nil, err
	}
	inputs, err := packFuseRequests(requests)
	if err != nil {
		return nil, err
	}
	outputs, digest, err := f.infer(ctx, parameters{"candidates": requests[0].Candidates}, inputs)
	if err != nil {
		return nil, err
	}
	results, err := unpackResults(outputs, len(requests))
	if err != nil {
		f.remember("")
		return nil, f.broken(err)
	}
	for _, result := range results {
		result.Models = map[string]string{FusionModel: digest}
	}
	return results, nil
}
