package tensor

import "github.com/sugarme/gotch/libtch"

// Relu6InPlace limits every element of x to [0, 6] in x's own memory and returns x.
func (a *Arena) Relu6InPlace(x T) T {
	return a.op("relu6", func(o *libtch.Ctensor) { libtch.AtgRelu6_(o, x.h) })
}

// ChannelsLast returns x (B, C, H, W) with the channels of a pixel side by side in memory, the layout that
// convolutions on the CPU prefer. The shape stays as it is.
func (a *Arena) ChannelsLast(x T) T {
	return a.Permute(a.Contiguous(a.Permute(x, 0, 2, 3, 1)), 0, 3, 1, 2)
}
