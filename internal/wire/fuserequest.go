package wire

import (
	"fmt"
	"slices"

	"consilium/internal/analysis"
)

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

// packFuseRequests makes the inputs of a call. Features that several requests share are in it once. Features that contradict
// themselves are InvalidArgument here already: the other side could only say it about tensors.
func packFuseRequests(requests []*analysis.FuseRequest) ([]Tensor, error) {
	var inputs []Tensor
	for _, role := range roles {
		tensors, err := role.pack(requests)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, tensors...)
	}
	// Last, since its length would move the numbers behind it from where they can be read in place.
	return append(inputs, byteStrings("task", column(requests, func(r *analysis.FuseRequest) []byte { return []byte(r.Task) }))), nil
}

// pack makes the tensors of one role, none if no request has it.
func (role role) pack(requests []*analysis.FuseRequest) ([]Tensor, error) {
	var sets []*analysis.Features // those that differ
	rows := make([]int64, len(requests))
	for i, r := range requests {
		f := *role.of(r)
		if f == nil {
			rows[i] = absent
			continue
		}
		at := slices.Index(sets, f)
		if at < 0 {
			if err := role.check(f, sets); err != nil {
				return nil, err
			}
			at, sets = len(sets), append(sets, f)
		}
		rows[i] = int64(at)
	}
	if len(sets) == 0 {
		return nil, nil
	}
	first, n := sets[0], len(sets)
	var grids, lengths []int64
	total := 0
	for _, f := range sets {
		grids, lengths = append(grids, int64(f.Rows), int64(f.Cols)), append(lengths, int64(f.TokenCount))
		total += f.TokenCount
	}
	tensors := []Tensor{
		joined(role.prefix+"_embedding", column(sets, func(f *analysis.Features) []float32 { return f.Vector }), n, len(first.Vector)),
		joined(role.prefix+"_tokens", column(sets, func(f *analysis.Features) []float32 { return f.Tokens }), 1, total, first.TokenDim),
	}
	if role.modality == analysis.Image {
		tensors = append(tensors, ints("image_grid", grids, n, 2))
	}
	if n > 1 {
		tensors = append(tensors, ints(role.prefix+"_lengths", lengths, n))
	}
	if len(requests) > 1 {
		tensors = append(tensors, ints(role.prefix+"_rows", rows, len(rows)))
	}
	return tensors, nil
}

// absent stands in …_rows for a request without features of the role.
const absent = -1

// check returns an InvalidArgument error for features that cannot go with those of others in one call.
func (role role) check(f *analysis.Features, others []*analysis.Features) error {
	if err := f.Check(); err != nil {
		return analysis.Invalid(role.prefix, "%v", err)
	}
	if f.Modality != role.modality {
		return analysis.Invalid(role.prefix, "want %s features, found %s", role.modality, f.Modality)
	}
	if len(others) > 0 && (len(f.Vector) != len(others[0].Vector) || f.TokenDim != others[0].TokenDim) {
		return analysis.Invalid(role.prefix, "features of one call are of one size, found vectors of %d and %d values, tokens of %d and %d",
			len(others[0].Vector), len(f.Vector), others[0].TokenDim, f.TokenDim)
	}
	return nil
}

// unpackFuseRequests is the inverse of packFuseRequests. What contradicts itself is InvalidArgument.
func unpackFuseRequests(r *request) ([]*analysis.FuseRequest, error) {
	candidates, _, err := r.parameters.number("candidates", analysis.MaxAnswers)
	if err != nil {
		return nil, invalid(err)
	}
	tasks := find(r.inputs, "task").Bytes
	if len(tasks) > analysis.MaxFuseRequests {
		return nil, invalid(&tensorError{"task", &limitError{"too many requests in one call", fmt.Sprint(analysis.MaxFuseRequests), fmt.Sprint(len(tasks))}})
	}
	requests := make([]*analysis.FuseRequest, len(tasks))
	for i, task := range tasks {
		requests[i] = &analysis.FuseRequest{Task: analysis.Task(task), Candidates: candidates}
	}
	for _, role := range roles {
		sets, err := role.unpack(r.inputs, len(requests))
		if err != nil {
			return nil, err
		}
		for i, f := range sets {
			*role.of(requests[i]) = f
		}
	}
	return requests, nil
}

// unpack returns the features of one role for each of n requests, nil for who has none. Their values are parts of the tensors'.
func (role role) unpack(inputs []Tensor, n int) ([]*analysis.Features, error) {
	get := func(suffix string) *Tensor { return find(inputs, role.prefix+suffix) }
	embedding, tokens, lengths, rows := get("_embedding"), get("_tokens"), get("_lengths"), get("_rows")
	if embedding == nil && tokens == nil && lengths == nil && rows == nil {
		return nil, nil
	}
	if embedding == nil || tokens == nil {
		return nil, analysis.Invalid(role.prefix, "needs both %s_embedding and %s_tokens", role.prefix, role.prefix)
	}
	count, vectorDim, total, dim := embedding.Shape[0], embedding.Shape[1], tokens.Shape[1], tokens.Shape[2]
	if count > n {
		return nil, analysis.Invalid(role.prefix+"_embedding", "has %d rows for %d requests", count, n)
	}
	grid := get("_grid")
	if role.modality == analysis.Image && (grid == nil || grid.Shape[0] != count) {
		return nil, analysis.Invalid("image_grid", "needs a row for each of %d embeddings", count)
	}
	if lengths != nil && len(lengths.Ints) != count || lengths == nil && count > 1 {
		return nil, analysis.Invalid(role.prefix+"_lengths", "needs one length for each of %d embeddings", count)
	}
	sets, begin := make([]*analysis.Features, count), 0
	for i := range sets {
		length := int64(total)
		if lengths != nil {
			length = lengths.Ints[i]
		}
		if length < 1 || length > int64(total-begin) {
			return nil, analysis.Invalid(role.prefix+"_lengths", "are not those of %d tokens", total)
		}
		end := begin + int(length)
		f := &analysis.Features{
			Modality: role.modality, Vector: embedding.Floats[i*vectorDim : (i+1)*vectorDim : (i+1)*vectorDim],
			Tokens: tokens.Floats[begin*dim : end*dim : end*dim], TokenCount: int(length), TokenDim: dim,
		}
		if grid != nil {
			gridRows, gridCols := grid.Ints[2*i], grid.Ints[2*i+1]
			if gridRows < 1 || gridCols < 1 || gridRows > length || gridCols > length {
				return nil, analysis.Invalid("image_grid", "needs rows and columns that make up the %d tokens", length)
			}
			f.Rows, f.Cols = int(gridRows), int(gridCols)
		}
		if err := f.Check(); err != nil {
			return nil, analysis.Invalid(role.prefix, "%v", err)
		}
		sets[i], begin = f, end
	}
	if begin != total {
		return nil, analysis.Invalid(role.prefix+"_lengths", "are not those of %d tokens", total)
	}
	return role.spread(sets, rows, n)
}

// spread gives each of n requests the set that rows says; without rows, its own.
func (role role) spread(sets []*analysis.Features, rows *Tensor, n int) ([]*analysis.Features, error) {
	if rows == nil {
		if len(sets) != n {
			return nil, analysis.Invalid(role.prefix+"_rows", "is needed to give %d embeddings to %d requests", len(sets), n)
		}
		return sets, nil
	}
	if len(rows.Ints) != n {
		return nil, analysis.Invalid(role.prefix+"_rows", "has %d values for %d requests", len(rows.Ints), n)
	}
	spread := make([]*analysis.Features, n)
	for i, row := range rows.Ints {
		if row < absent || row >= int64(len(sets)) {
			return nil, analysis.Invalid(role.prefix+"_rows", "holds %d, want %d or one of %d rows", row, absent, len(sets))
		}
		if row >= 0 {
			spread[i] = sets[row]
		}
	}
	return spread, nil
}
