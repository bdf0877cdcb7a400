package tensor

import "github.com/sugarme/gotch/libtch"

// Linear returns x w^T + b. x is (..., in), w (out, in), b (out) or no tensor.
func (a *Arena) Linear(x, w, b T) T {
	return a.product("linear", w, a.summed(w), []T{x, w, b}, func(o *libtch.Ctensor, in []T) {
		libtch.AtgLinear(o, in[0].h, in[1].h, in[2].h)
	})
}

// LayerNorm normalises the last dimension and applies weight and bias, both (D).
func (a *Arena) LayerNorm(x, weight, bias T, eps float64) T {
	d := a.Shape(weight)
	return a.layer("layer norm", weight, nil, func(o *libtch.Ctensor) {
		libtch.AtgLayerNorm(o, x.h, d, len(d), weight.h, bias.h, eps, 1)
	})
}

// BatchNorm normalises channels (dimension 1) with stored statistics; it never updates them.
func (a *Arena) BatchNorm(x, weight, bias, mean, variance T, eps float64) T {
	return a.layer("batch norm", weight, nil, func(o *libtch.Ctensor) {
		libtch.AtgBatchNorm(o, x.h, weight.h, bias.h, mean.h, variance.h, 0, 0, eps, 0)
	})
}

// Softmax returns the softmax along dim.
func (a *Arena) Softmax(x T, dim int64) T {
	return a.op("softmax", func(o *libtch.Ctensor) { libtch.AtgSoftmax(o, x.h, dim, -1) })
}

// LogSoftmax returns the logarithm of the softmax along dim.
func (a *Arena) LogSoftmax(x T, dim int64) T {
	return a.op("log softmax", func(o *libtch.Ctensor) { libtch.AtgLogSoftmax(o, x.h, dim, -1) })
}

// Embedding looks up the rows of weight (V, D) at the int64 ids (...), giving (..., D).
func (a *Arena) Embedding(weight, ids T) T {
	return a.layer("embedding", weight, nil, func(o *libtch.Ctensor) { libtch.AtgEmbedding(o, weight.h, ids.h, -1, 0, 0) })
}

// Conv1d convolves x (B, C, T) with w (out, C/groups, k); b is (out) or no tensor.
func (a *Arena) Conv1d(x, w, b T, stride, padding, dilation, groups int64) T {
	return a.layer("conv1d", w, a.summed(w), func(o *libtch.Ctensor) {
		libtch.AtgConv1d(o, x.h, w.h, b.h, []int64{stride}, 1, []int64{padding}, 1, []int64{dilation}, 1, groups)
	})
}

// Conv2d convolves x (B, C, H, W) with w (out, C/groups, kh, kw); b is (out) or no tensor.
func (a *Arena) Conv2d(x, w, b T, stride, padding, groups int64) T {
	return a.layer("conv2d", w, a.summed(w), func(o *libtch.Ctensor) {
		libtch.AtgConv2d(o, x.h, w.h, b.h, []int64{stride, stride}, 2, []int64{padding, padding}, 2, []int64{1, 1}, 2, groups)
	})
}

// Attention returns softmax(q k^T / sqrt(D) + mask) v for q (..., T, D), k and v (..., S, D); mask is float and
// broadcasts to (..., T, S).
func (a *Arena) Attention(q, k, v, mask T) T {
	if !mask.Defined() {
		a.fail("attention", "a mask is needed; zeros mask nothing")
	}
	return a.layer("attention", T{}, a.attended(k), func(o *libtch.Ctensor) {
		libtch.AtgScaledDotProductAttention(o, q.h, k.h, v.h, mask.h, 0, 0, 0, 1)
	})
}

// Dropout zeroes a share p of x and scales the rest by 1/(1-p).
func (a *Arena) Dropout(x T, p float64) T {
	if p == 0 {
		return x
	}
	return a.op("dropout", func(o *libtch.Ctensor) { libtch.AtgDropout(o, x.h, p, 1) })
}

// CrossEntropy returns the cross entropy of logits (N, V) with the int64 targets (N): one value a row.
func (a *Arena) CrossEntropy(logits, targets T) T {
	return a.op("cross entropy", func(o *libtch.Ctensor) {
		libtch.AtgCrossEntropyLoss(o, logits.h, targets.h, nil, 0, -100, 0)
	})
}

// BinaryCrossEntropy returns the binary cross entropy of logits with targets in [0, 1], element by element.
func (a *Arena) BinaryCrossEntropy(logits, targets T) T {
	return a.op("binary cross entropy", func(o *libtch.Ctensor) {
		libtch.AtgBinaryCrossEntropyWithLogits(o, logits.h, targets.h, nil, nil, 0)
	})
}
