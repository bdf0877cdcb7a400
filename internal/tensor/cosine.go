package tensor

import "math"

// Cosine returns the cosine of the angle between x and y; NaN if one has no length, or they differ in size.
func Cosine(x, y []float32) float64 {
	if len(x) != len(y) {
		return math.NaN()
	}
	var xy, xx, yy float64
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		xy, xx, yy = xy+a*b, xx+a*a, yy+b*b
	}
	return xy / math.Sqrt(xx*yy)
}
