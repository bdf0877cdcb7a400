package batch

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestHalving(t *testing.T) {
	tooLarge, other := errors.New("too large"), errors.New("other")
	// A run that takes at most two items, fails with 7 among them, and never takes a 9.
	var runs [][]int
	run := Halving(tooLarge, func(items []int) ([]Result[string], error) {
		runs = append(runs, slices.Clone(items))
		if len(items) > 2 || slices.Contains(items, 9) {
			return nil, fmt.Errorf("run %d: %w", len(items), tooLarge)
		}
		results := make([]Result[string], len(items))
		for i, v := range items {
			if v == 7 {
				return nil, other
			}
			results[i].Value = fmt.Sprint(v)
		}
		return results, nil
	})
	for name, c := range map[string]struct {
		items []int
		runs  string
		want  string // the values, or the error's name where there is one
		err   error
	}{
		"fits":                {[]int{1, 2}, "[[1 2]]", "[1 2]", nil},
		"in quarters":         {[]int{1, 2, 3, 4, 5}, "[[1 2 3 4 5] [1 2] [3 4 5] [3] [4 5]]", "[1 2 3 4 5]", nil},
		"one never fits":      {[]int{1, 9, 3}, "[[1 9 3] [1] [9 3] [9] [3]]", "[1 large 3]", nil},
		"alone never fits":    {[]int{9}, "[[9]]", "[]", tooLarge},
		"other errors stay":   {[]int{7, 1}, "[[7 1]]", "[]", other},
		"other error of half": {[]int{1, 7, 2, 3}, "[[1 7 2 3] [1 7] [2 3]]", "[other other 2 3]", nil},
	} {
		runs = nil
		results, err := run(c.items)
		var got []string
		for _, r := range results {
			switch {
			case errors.Is(r.Err, tooLarge):
				got = append(got, "large")
			case r.Err != nil:
				got = append(got, r.Err.Error())
			default:
				got = append(got, r.Value)
			}
		}
		if fmt.Sprint(runs) != c.runs || fmt.Sprint(got) != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: ran %v and got %v, %v; want %s, %s, %v", name, runs, got, err, c.runs, c.want, c.err)
		}
	}
}
