package tensor

import "github.com/sugarme/gotch/libtch"

// Rsqrt returns 1 / sqrt(x).
func (a *Arena) Rsqrt(x T) T {
	return a.op("rsqrt", func(o *libtch.Ctensor) { libtch.AtgRsqrt(o, x.h) })
}

// RMSNorm divides the last dimension by its root mean square and multiplies it by weight (D) (Zhang and Sennrich 2019,
// https://arxiv.org/abs/1910.07467).
func (a *Arena) RMSNorm(x, weight T, eps float64) T {
	scale := a.Rsqrt(a.AddScalar(a.Mean(a.Square(x), true, -1), eps))
	return a.Mul(a.Mul(x, scale), weight)
}

// RotatePairs turns the pairs of neighbouring values along the last dimension of x (..., T, D) by angles whose cosines
// and sines are (T, D/2): rotary position embedding (Su et al. 2021, https://arxiv.org/abs/2104.09864).
func (a *Arena) RotatePairs(x, cos, sin T) T {
	shape := a.Shape(x)
	pairs := a.Reshape(x, append(append([]int64(nil), shape[:len(shape)-1]...), shape[len(shape)-1]/2, 2)...)
	x0, x1 := a.Select(pairs, -1, 0), a.Select(pairs, -1, 1)
	y0 := a.Sub(a.Mul(x0, cos), a.Mul(x1, sin))
	y1 := a.Add(a.Mul(x0, sin), a.Mul(x1, cos))
	return a.Reshape(a.Stack(-1, y0, y1), shape...)
}
