package tensor

import "github.com/sugarme/gotch/libtch"

// Add returns x + y, broadcast.
func (a *Arena) Add(x, y T) T {
	return a.op("add", func(o *libtch.Ctensor) { libtch.AtgAdd(o, x.h, y.h) })
}

// Sub returns x - y, broadcast.
func (a *Arena) Sub(x, y T) T {
	return a.op("sub", func(o *libtch.Ctensor) { libtch.AtgSub(o, x.h, y.h) })
}

// Mul returns x * y element by element, broadcast.
func (a *Arena) Mul(x, y T) T {
	return a.op("mul", func(o *libtch.Ctensor) { libtch.AtgMul(o, x.h, y.h) })
}

// Div returns x / y element by element, broadcast.
func (a *Arena) Div(x, y T) T {
	return a.op("div", func(o *libtch.Ctensor) { libtch.AtgDiv(o, x.h, y.h) })
}

// Matmul returns the matrix product, batched over leading dimensions.
func (a *Arena) Matmul(x, y T) T {
	inner := func() int64 { return a.Size(x, -1) }
	return a.product("matmul", T{}, inner, []T{x, y}, func(o *libtch.Ctensor, in []T) { libtch.AtgMatmul(o, in[0].h, in[1].h) })
}

// Maximum returns the larger of x and y element by element.
func (a *Arena) Maximum(x, y T) T {
	return a.op("maximum", func(o *libtch.Ctensor) { libtch.AtgMaximum(o, x.h, y.h) })
}

// AddScalar returns x + v.
func (a *Arena) AddScalar(x T, v float64) T {
	return a.withScalar("addscalar", v, func(o *libtch.Ctensor, s libtch.Cscalar) { libtch.AtgAddScalar(o, x.h, s) })
}

// MulScalar returns x * v.
func (a *Arena) MulScalar(x T, v float64) T {
	return a.withScalar("mulscalar", v, func(o *libtch.Ctensor, s libtch.Cscalar) { libtch.AtgMulScalar(o, x.h, s) })
}

// DivScalar returns x / v.
func (a *Arena) DivScalar(x T, v float64) T {
	return a.withScalar("divscalar", v, func(o *libtch.Ctensor, s libtch.Cscalar) { libtch.AtgDivScalar(o, x.h, s) })
}

// Neg returns -x.
func (a *Arena) Neg(x T) T {
	return a.op("neg", func(o *libtch.Ctensor) { libtch.AtgNeg(o, x.h) })
}

// Exp returns e to the power x.
func (a *Arena) Exp(x T) T {
	return a.op("exp", func(o *libtch.Ctensor) { libtch.AtgExp(o, x.h) })
}

// Log returns the natural logarithm of x.
func (a *Arena) Log(x T) T {
	return a.op("log", func(o *libtch.Ctensor) { libtch.AtgLog(o, x.h) })
}

// Sqrt returns the square root of x.
func (a *Arena) Sqrt(x T) T {
	return a.op("sqrt", func(o *libtch.Ctensor) { libtch.AtgSqrt(o, x.h) })
}

// Square returns x * x.
func (a *Arena) Square(x T) T {
	return a.op("square", func(o *libtch.Ctensor) { libtch.AtgSquare(o, x.h) })
}

// Relu returns max(x, 0).
func (a *Arena) Relu(x T) T {
	return a.op("relu", func(o *libtch.Ctensor) { libtch.AtgRelu(o, x.h) })
}

// Sigmoid returns 1 / (1 + exp(-x)).
func (a *Arena) Sigmoid(x T) T {
	return a.op("sigmoid", func(o *libtch.Ctensor) { libtch.AtgSigmoid(o, x.h) })
}

// Tanh returns the hyperbolic tangent of x.
func (a *Arena) Tanh(x T) T {
	return a.op("tanh", func(o *libtch.Ctensor) { libtch.AtgTanh(o, x.h) })
}

// Silu returns x * sigmoid(x).
func (a *Arena) Silu(x T) T {
	return a.op("silu", func(o *libtch.Ctensor) { libtch.AtgSilu(o, x.h) })
}

// Isfinite returns a bool tensor, whether each element is neither infinite nor NaN.
func (a *Arena) Isfinite(x T) T {
	return a.op("isfinite", func(o *libtch.Ctensor) { libtch.AtgIsfinite(o, x.h) })
}

// All returns whether every element is true.
func (a *Arena) All(x T) T {
	return a.op("all", func(o *libtch.Ctensor) { libtch.AtgAll(o, x.h) })
}

// Detach returns x without its history.
func (a *Arena) Detach(x T) T {
	return a.op("detach", func(o *libtch.Ctensor) { libtch.AtgDetach(o, x.h) })
}

// Contiguous returns x laid out row-major.
func (a *Arena) Contiguous(x T) T {
	return a.op("contiguous", func(o *libtch.Ctensor) { libtch.AtgContiguous(o, x.h) })
}

// GeluTanh returns the tanh approximation of GELU, written out in operators whose gradients are right.
func (a *Arena) GeluTanh(x T) T {
	const sqrt2OverPi = 0.7978845608028654
	cubic := a.MulScalar(a.Mul(a.Mul(x, x), x), 0.044715)
	t := a.Tanh(a.MulScalar(a.Add(x, cubic), sqrt2OverPi))
	return a.MulScalar(a.Mul(x, a.AddScalar(t, 1)), 0.5)
}

// Clamp limits every element to [low, high].
func (a *Arena) Clamp(x T, low, high float64) T {
	l, h := libtch.AtsFloat(low), libtch.AtsFloat(high)
	defer libtch.AtsFree(l)
	defer libtch.AtsFree(h)
	return a.op("clamp", func(o *libtch.Ctensor) { libtch.AtgClamp(o, x.h, l, h) })
}

// Where returns x where condition (bool) holds and y elsewhere.
func (a *Arena) Where(condition, x, y T) T {
	return a.op("where", func(o *libtch.Ctensor) { libtch.AtgWhereSelf(o, condition.h, x.h, y.h) })
}

// Sum returns the sum over dims, or over everything if none is named.
func (a *Arena) Sum(x T, keepDim bool, dims ...int64) T {
	if len(dims) == 0 {
		return a.op("sum", func(o *libtch.Ctensor) { libtch.AtgSum(o, x.h, -1) })
	}
	return a.op("sum", func(o *libtch.Ctensor) {
		libtch.AtgSumDimIntlist(o, x.h, dims, len(dims), flag(keepDim), -1)
	})
}

// Mean returns the mean over dims, or over everything if none is named.
func (a *Arena) Mean(x T, keepDim bool, dims ...int64) T {
	if len(dims) == 0 {
		return a.op("mean", func(o *libtch.Ctensor) { libtch.AtgMean(o, x.h, -1) })
	}
	return a.op("mean", func(o *libtch.Ctensor) {
		libtch.AtgMeanDim(o, x.h, dims, len(dims), flag(keepDim), -1)
	})
}

// Amax returns the largest element along dims.
func (a *Arena) Amax(x T, keepDim bool, dims ...int64) T {
	return a.op("amax", func(o *libtch.Ctensor) { libtch.AtgAmax(o, x.h, dims, len(dims), flag(keepDim)) })
}

// Argmax returns the int64 position of the largest element along dim.
func (a *Arena) Argmax(x T, dim int64) T {
	return a.op("argmax", func(o *libtch.Ctensor) { libtch.AtgArgmax(o, x.h, dim, 0, 0) })
}

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
