package analysis

import (
	"math"
	"testing"
)

func TestInfinite(t *testing.T) {
	fine := []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 3.5, -7, 1e-40, 2}
	for n := range fine {
		if at := Infinite(fine[:n]); at != -1 {
			t.Errorf("of %v, %d is said to be infinite", fine[:n], at)
		}
	}
	for _, bad := range []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0xff800001)} {
		for at := range 35 {
			values := make([]float32, 35)
			values[at], values[34] = bad, bad
			if got := Infinite(values); got != at {
				t.Errorf("%v at %d was found at %d", bad, at, got)
			}
		}
	}
}
