package cache

import (
	"context"
	"encoding/json"
	"strconv"

	"consilium/internal/analysis"
)

// Fuser returns next with its results for reports remembered, keyed by the features, which carry their encoders' digests. A report is asked for
// alone; all else passes: Answers remembers what came of questions, and to digest the features of a picture takes longer than to fuse them.
func (c *Cache) Fuser(next analysis.Fuser, digest Digest) analysis.Fuser {
	return fuser{c, next, digest}
}

type fuser struct {
	cache  *Cache
	next   analysis.Fuser
	digest Digest
}

// fusionRole is the name of the fusion's digest in Result.Models.
const fusionRole = "fusion"

func (f fuser) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	if len(requests) != 1 || requests[0].Task == analysis.Question {
		return f.next.Fuse(ctx, requests)
	}
	result, err := f.report(ctx, requests[0])
	if err != nil {
		return nil, err
	}
	return []*analysis.Result{result}, nil
}

func (f fuser) report(ctx context.Context, request *analysis.FuseRequest) (*analysis.Result, error) {
	model, err := f.digest(ctx)
	if err != nil {
		f.cache.count(fusionRole, "bypass", 1)
		return analysis.FuseOne(ctx, f.next, request)
	}
	determinants := []string{"", string(request.Task), strconv.Itoa(request.Candidates)}
	var inputs []string
	for _, features := range []*analysis.Features{request.Question, request.Text, request.Image, request.Audio} {
		var encoded []byte
		if features != nil {
			bare := *features
			bare.Notes = nil // they do not change what the fusion sees
			encoded = encodeFeatures(&bare)
			if features.Input != "" {
				inputs = append(inputs, features.Input)
			}
		}
		determinants = append(determinants, string(encoded))
	}
	keyOf := func(model string) string {
		determinants[0] = model
		return key(fusionRole, determinants...)
	}
	asked := keyOf(model)
	values, ok := f.cache.get(ctx, []string{asked})
	if result := decodeResult(values[0], model); result != nil {
		f.cache.count(fusionRole, "hit", 1)
		return result, nil
	}
	outcome := "miss"
	if !ok {
		outcome = "bypass"
	}
	f.cache.count(fusionRole, outcome, 1)
	return once(ctx, f.cache, asked, func() (*analysis.Result, error) {
		result, err := analysis.FuseOne(ctx, f.next, request)
		if err != nil || result == nil {
			return result, err
		}
		if encoded, err := json.Marshal(result); err == nil { // NaN has no JSON, and the pipeline refuses it
			f.cache.set(keyOf(result.Models[fusionRole]), func() []byte { return encoded }, inputs...)
		}
		return result, nil
	})
}

// decodeResult returns the result in value if it is one that model made, else nil.
func decodeResult(value []byte, model string) *analysis.Result {
	var result analysis.Result
	if len(value) == 0 || json.Unmarshal(value, &result) != nil || result.Models[fusionRole] != model {
		return nil
	}
	return &result
}
