package tensor

import (
	"time"

	"consilium/internal/profile"
)

// Name tells a profile that goes on what a weight is called, "" before it is freed, and returns it.
func (a *Arena) Name(weight T, name string) T {
	profile.Name(weight.h, name)
	return weight
}

// profiled records an operator that began at start and returned t.
func (a *Arena) profiled(start time.Time, op string, weight T, inner func() int64, t T) {
	a.Synchronize()
	var products int64
	if inner != nil {
		products = inner() * count(a.Shape(t))
	}
	profile.End(start, op, weight.h, float64(products))
}

// summed counts the products in one value of what a weight (out, ...) makes.
func (a *Arena) summed(weight T) func() int64 {
	return func() int64 { return count(a.Shape(weight)[1:]) }
}

// attended counts the products in one value of attention to keys (..., S, D): in its score, and in its sum.
func (a *Arena) attended(keys T) func() int64 { return func() int64 { return 2 * a.Size(keys, -2) } }
