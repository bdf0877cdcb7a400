package tensor

import (
	"math"
	"slices"
	"testing"
)

func TestGatherStrided(t *testing.T) {
	storage := []float32{0, 1, 2, 3, 4, 5, 6, 7}
	for name, c := range map[string]struct {
		offset        int64
		shape, stride []int64
		want          []float32 // nil for an error
	}{
		"contiguous":          {1, []int64{2, 3}, []int64{3, 1}, []float32{1, 2, 3, 4, 5, 6}},
		"transposed":          {0, []int64{3, 2}, []int64{1, 3}, []float32{0, 3, 1, 4, 2, 5}},
		"expanded":            {7, []int64{3}, []int64{0}, []float32{7, 7, 7}},
		"scalar":              {4, nil, nil, []float32{4}},
		"empty":               {8, []int64{0, 5}, []int64{5, 1}, []float32{}},
		"beyond":              {0, []int64{9}, []int64{1}, nil},
		"offset beyond":       {8, []int64{1}, []int64{1}, nil},
		"negative offset":     {-1, []int64{1}, []int64{1}, nil},
		"stride beyond":       {0, []int64{2}, []int64{8}, nil},
		"negative size":       {0, []int64{-1}, []int64{1}, nil},
		"overflow":            {0, []int64{math.MaxInt64, 4}, []int64{0, 0}, nil},
		"strides are missing": {0, []int64{2}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := gatherStrided(storage, c.offset, c.shape, c.stride)
			if (err != nil) != (c.want == nil) || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}
