package wire

import (
	"errors"
	"fmt"
	"slices"

	"consilium/internal/analysis"
)

// countGroups are the outputs of a result that have as many rows as one another; column i of counts is of group i.
var countGroups = [countKinds][]string{
	{"answer", "probability"},
	{"finding", "finding_probability", "finding_threshold", "finding_present", "finding_modality"},
	{"modality", "weight", "entropy"},
	{"attention"},
	{"finding_activation"},
}

const countKinds = 5

// packResults makes the outputs that r wants. Those of several results lie behind one another, and counts says where each ends.
func packResults(r *request, results []*analysis.Result) (outputs []Tensor, err error) {
	each := make([][]Tensor, len(results))
	for i, result := range results {
		if each[i], err = packResult(result); err != nil {
			return nil, err
		}
	}
	outputs = each[0]
	if len(each) > 1 {
		if outputs, err = joinResults(each); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(outputs, func(t Tensor) bool { return !r.wants(t.Name) }), nil
}

// joinResults puts the outputs of several results behind one another.
func joinResults(each [][]Tensor) ([]Tensor, error) {
	var outputs []Tensor
	counts := make([]int64, len(each)*countKinds)
	for kind, group := range countGroups {
		for _, name := range group {
			var joined *Tensor
			for i := range each {
				t := find(each[i], name)
				if t == nil {
					continue
				}
				counts[i*countKinds+kind] = int64(t.Shape[0])
				if joined == nil {
					joined = &Tensor{Name: name, Datatype: t.Datatype, Shape: append([]int{0}, t.Shape[1:]...)}
				}
				if !slices.Equal(t.Shape[1:], joined.Shape[1:]) {
					return nil, fmt.Errorf("the fusion made %s of the shapes %v and %v in one call", name, t.Shape, joined.Shape)
				}
				joined.Shape[0] += t.Shape[0]
				joined.Floats, joined.Bools, joined.Bytes = append(joined.Floats, t.Floats...), append(joined.Bools, t.Bools...), append(joined.Bytes, t.Bytes...)
			}
			if joined != nil {
				outputs = append(outputs, *joined)
			}
		}
	}
	return append(outputs, ints("counts", counts, len(each), countKinds)), nil
}

// unpackResults is the inverse of packResults for n results; decode checked the tensors one by one.
func unpackResults(outputs []Tensor, n int) ([]*analysis.Result, error) {
	for i := range outputs {
		if err := outputs[i].checkFinite(); err != nil {
			return nil, err
		}
	}
	each := [][]Tensor{outputs}
	if n > 1 {
		var err error
		if each, err = splitResults(outputs, n); err != nil {
			return nil, err
		}
	}
	results := make([]*analysis.Result, n)
	for i := range results {
		var err error
		if results[i], err = unpackResult(each[i]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// splitResults is the inverse of joinResults.
func splitResults(outputs []Tensor, n int) ([][]Tensor, error) {
	counts := find(outputs, "counts")
	if counts == nil || counts.Shape[0] != n {
		return nil, &tensorError{"counts", fmt.Errorf("has to count for each of %d results", n)}
	}
	each := make([][]Tensor, n)
	for kind, group := range countGroups {
		for _, name := range group {
			t := find(outputs, name)
			begin := 0
			for i := range each {
				count := counts.Ints[i*countKinds+kind]
				if count == 0 && len(group) == 1 { // the groups of one are those that a result may lack
					continue
				}
				if t == nil || count < 0 || count > int64(t.Shape[0]-begin) {
					return nil, &tensorError{name, errors.New("does not have the rows that are counted")}
				}
				each[i] = append(each[i], t.rows(begin, begin+int(count)))
				begin += int(count)
			}
			if t != nil && begin != t.Shape[0] {
				return nil, &tensorError{name, fmt.Errorf("has %d rows of which %d are counted", t.Shape[0], begin)}
			}
		}
	}
	return each, nil
}

// rows returns some rows of t, which are parts of it.
func (t *Tensor) rows(begin, end int) Tensor {
	size := 1
	for _, d := range t.Shape[1:] {
		size *= d
	}
	part := Tensor{Name: t.Name, Datatype: t.Datatype, Shape: append([]int{end - begin}, t.Shape[1:]...)}
	switch begin, end := begin*size, end*size; t.Datatype {
	case FP32:
		part.Floats = t.Floats[begin:end:end]
	case BOOL:
		part.Bools = t.Bools[begin:end:end]
	case BYTES:
		part.Bytes = t.Bytes[begin:end:end]
	}
	return part
}
