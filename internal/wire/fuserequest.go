package wire

import "consilium/internal/analysis"

// role is one set of features of a fusion's request, by the prefix of its tensors' names.
type role struct {
	prefix   string
	modality analysis.Modality
	of       func(*analysis.FuseRequest) **analysis.Features
}

var roles = []role{
	{"question", analysis.Text, func(r *analysis.FuseRequest) **analysis.Features { return &r.Question }},
	{"text", analysis.Text, func(r *analysis.FuseRequest) **analysis.Features { return &r.Text }},
	{"image", analysis.Image, func(r *analysis.FuseRequest) **analysis.Features { return &r.Image }},
	{"audio", analysis.Audio, func(r *analysis.FuseRequest) **analysis.Features { return &r.Audio }},
}

// packFuseRequest makes the inputs of a request. Features that contradict themselves are InvalidArgument here
// already: the other side could only say it about tensors.
func packFuseRequest(request *analysis.FuseRequest) ([]Tensor, error) {
	inputs := []Tensor{byteStrings("task", [][]byte{[]byte(request.Task)})}
	for _, role := range roles {
		f := *role.of(request)
		if f == nil {
			continue
		}
		if err := f.Check(); err != nil {
			return nil, analysis.Invalid(role.prefix, "%v", err)
		}
		if f.Modality != role.modality {
			return nil, analysis.Invalid(role.prefix, "want %s features, found %s", role.modality, f.Modality)
		}
		inputs = append(inputs,
			floats(role.prefix+"_embedding", f.Vector, 1, len(f.Vector)),
			floats(role.prefix+"_tokens", f.Tokens, 1, f.TokenCount, f.TokenDim))
		if role.modality == analysis.Image {
			inputs = append(inputs, ints("image_grid", []int64{int64(f.Rows), int64(f.Cols)}, 1, 2))
		}
	}
	return inputs, nil
}

// unpackFuseRequest is the inverse of packFuseRequest. What contradicts itself is InvalidArgument.
func unpackFuseRequest(r *request) (*analysis.FuseRequest, error) {
	candidates, _, err := r.parameters.number("candidates", analysis.MaxAnswers)
	if err != nil {
		return nil, invalid(err)
	}
	request := &analysis.FuseRequest{Task: analysis.Task(find(r.inputs, "task").Bytes[0]), Candidates: candidates}
	for _, role := range roles {
		embedding, tokens := find(r.inputs, role.prefix+"_embedding"), find(r.inputs, role.prefix+"_tokens")
		if embedding == nil && tokens == nil {
			continue
		}
		if embedding == nil || tokens == nil {
			return nil, analysis.Invalid(role.prefix, "needs both %s_embedding and %s_tokens", role.prefix, role.prefix)
		}
		f := &analysis.Features{
			Modality: role.modality, Vector: embedding.Floats,
			Tokens: tokens.Floats, TokenCount: tokens.Shape[1], TokenDim: tokens.Shape[2],
		}
		if role.modality == analysis.Image {
			grid := find(r.inputs, "image_grid")
			if grid == nil || grid.Ints[0] < 1 || grid.Ints[1] < 1 || grid.Ints[0] > int64(f.TokenCount) || grid.Ints[1] > int64(f.TokenCount) {
				return nil, analysis.Invalid("image_grid", "needs rows and columns that make up the %d tokens", f.TokenCount)
			}
			f.Rows, f.Cols = int(grid.Ints[0]), int(grid.Ints[1])
		}
		if err := f.Check(); err != nil {
			return nil, analysis.Invalid(role.prefix, "%v", err)
		}
		*role.of(request) = f
	}
	return request, nil
}
