package tensor

import "github.com/sugarme/gotch/libtch"

// GroupNorm normalises each of so many groups of channels (dimension 1) of every example on its own (Wu and He 2018,
// https://arxiv.org/abs/1803.08494).
func (a *Arena) GroupNorm(x T, groups int64, weight, bias T, eps float64) T {
	return a.op("group norm", func(o *libtch.Ctensor) {
		libtch.AtgGroupNorm(o, x.h, groups, weight.h, bias.h, eps, 0)
	})
}

// UpsampleNearest enlarges x (B, C, H, W) to height x width by repeating values.
func (a *Arena) UpsampleNearest(x T, height, width int64) T {
	return a.op("upsample nearest", func(o *libtch.Ctensor) {
		libtch.AtgUpsampleNearest2d(o, x.h, []int64{height, width}, 2, 0, 1, 0, 1)
	})
}

// UpsampleBilinear enlarges x (B, C, H, W) to height x width between the centres of its values.
func (a *Arena) UpsampleBilinear(x T, height, width int64) T {
	return a.op("upsample bilinear", func(o *libtch.Ctensor) {
		libtch.AtgUpsampleBilinear2d(o, x.h, []int64{height, width}, 2, 0, 0, 1, 0, 1)
	})
}

// Flip reverses x along dims.
func (a *Arena) Flip(x T, dims ...int64) T {
	return a.op("flip", func(o *libtch.Ctensor) { libtch.AtgFlip(o, x.h, dims, len(dims)) })
}
