package tensor

import (
	"math"
	"testing"
)

func TestCosine(t *testing.T) {
	x, none := []float32{3, 4}, math.NaN()
	for _, c := range []struct {
		y    []float32
		want float64
	}{{[]float32{6, 8}, 1}, {[]float32{-3, -4}, -1}, {[]float32{4, -3}, 0}, {[]float32{0, 0}, none}, {[]float32{3, 4, 0}, none}, {nil, none}} {
		if got := Cosine(x, c.y); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("of %v and %v it is %v, want %v", x, c.y, got, c.want)
		}
	}
}
