package batch

import "errors"

// Halving is run where a batch may turn out too large: if it fails with an error that is tooLarge, each half of it runs on its
// own, down to single items.
func Halving[In, Out any](tooLarge error, run Run[In, Out]) Run[In, Out] {
	var halving Run[In, Out]
	halving = func(items []In) ([]Result[Out], error) {
		results, err := run(items)
		if len(items) < 2 || !errors.Is(err, tooLarge) {
			return results, err
		}
		results = results[:0:0]
		for _, half := range [][]In{items[:len(items)/2], items[len(items)/2:]} {
			part, err := halving(half)
			if err != nil {
				part = make([]Result[Out], len(half))
				for i := range part {
					part[i].Err = err
				}
			}
			results = append(results, part...)
		}
		return results, nil
	}
	return halving
}
