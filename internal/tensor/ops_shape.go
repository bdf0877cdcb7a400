package tensor

import "github.com/sugarme/gotch/libtch"

// Reshape returns x with another shape; one size may be -1.
func (a *Arena) Reshape(x T, shape ...int64) T {
	return a.op("reshape", func(o *libtch.Ctensor) { libtch.AtgReshape(o, x.h, shape, len(shape)) })
}

// Transpose swaps two dimensions.
func (a *Arena) Transpose(x T, d0, d1 int64) T {
	return a.op("transpose", func(o *libtch.Ctensor) { libtch.AtgTranspose(o, x.h, d0, d1) })
}

// Permute reorders the dimensions.
func (a *Arena) Permute(x T, dims ...int64) T {
	return a.op("permute", func(o *libtch.Ctensor) { libtch.AtgPermute(o, x.h, dims, len(dims)) })
}

// Unsqueeze inserts a dimension of size 1.
func (a *Arena) Unsqueeze(x T, dim int64) T {
	return a.op("unsqueeze", func(o *libtch.Ctensor) { libtch.AtgUnsqueeze(o, x.h, dim) })
}

// Squeeze removes dimension dim of size 1.
func (a *Arena) Squeeze(x T, dim int64) T {
	return a.op("squeeze", func(o *libtch.Ctensor) { libtch.AtgSqueezeDim(o, x.h, dim) })
}

// Expand repeats dimensions of size 1 without copying; -1 keeps a size.
func (a *Arena) Expand(x T, shape ...int64) T {
	return a.op("expand", func(o *libtch.Ctensor) { libtch.AtgExpand(o, x.h, shape, len(shape), 0) })
}

// Narrow returns length elements of dimension dim from start on.
func (a *Arena) Narrow(x T, dim, start, length int64) T {
	return a.op("narrow", func(o *libtch.Ctensor) { libtch.AtgNarrow(o, x.h, dim, start, length) })
}

// Select returns the slice of x at index along dim, without that dimension.
func (a *Arena) Select(x T, dim, index int64) T {
	return a.op("select", func(o *libtch.Ctensor) { libtch.AtgSelect(o, x.h, dim, index) })
}

// IndexSelect returns the slices of x at the int64 positions in index along dim.
func (a *Arena) IndexSelect(x T, dim int64, index T) T {
	return a.op("index select", func(o *libtch.Ctensor) { libtch.AtgIndexSelect(o, x.h, dim, index.h) })
}

// Gather picks elements along dim by the int64 tensor index, which has x's number of dimensions.
func (a *Arena) Gather(x T, dim int64, index T) T {
	return a.op("gather", func(o *libtch.Ctensor) { libtch.AtgGather(o, x.h, dim, index.h, 0) })
}

// Cat joins tensors along an existing dimension.
func (a *Arena) Cat(dim int64, xs ...T) T {
	hs := handles(xs)
	return a.op("cat", func(o *libtch.Ctensor) { libtch.AtgCat(o, hs, len(hs), dim) })
}

// Stack joins tensors of one shape along a new dimension.
func (a *Arena) Stack(dim int64, xs ...T) T {
	hs := handles(xs)
	return a.op("stack", func(o *libtch.Ctensor) { libtch.AtgStack(o, hs, len(hs), dim) })
}

// Pad adds v around x; pads lists (before, after) from the last dimension backwards.
func (a *Arena) Pad(x T, v float64, pads ...int64) T {
	s := libtch.AtsFloat(v)
	defer libtch.AtsFree(s)
	return a.op("pad", func(o *libtch.Ctensor) { libtch.AtoConstantPadNd(o, x.h, pads, len(pads), s) })
}

func handles(xs []T) []libtch.Ctensor {
	hs := make([]libtch.Ctensor, len(xs))
	for i, x := range xs {
		hs[i] = x.h
	}
	return hs
}
