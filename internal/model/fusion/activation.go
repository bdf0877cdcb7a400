package fusion

import "consilium/internal/tensor"

// nothing is the activation up to which a map holds what rounding leaves of nothing.
const nothing = 1e-12

// Activations runs the net on a report on images and says where on each image it saw what speaks for each finding. The
// maps are (B, F, G*G), nothing below 0, each scaled to a maximum of 1; 0 everywhere if no cell speaks for the finding.
//
// They are gradient-weighted, element by element (HiResCAM, Draelos and Carin 2020, https://arxiv.org/abs/2011.08891),
// at the last place of the net that has the image's grid, the decoder's last reading: there a head adds up values of
// the cells by weights, and the gradient of the finding's logit by a weight, times the weight, is what the cell's value
// adds to the logit to first order. The positive parts are averaged over the heads (Chefer et al. 2021,
// https://arxiv.org/abs/2103.15679).
//
// The image's own tokens would be no place for that: the net normalises each of them, so that scaling one changes
// nothing, the gradient is at right angles to it and their product is 0 in every cell.
func (m *Model) Activations(a *tensor.Arena, in Batch) (out Output, maps tensor.T) {
	var gradient tensor.T // (B, H, F, S)
	a.Recording(func() {
		a.RequireGrad(in.Image.Values)
		out = m.Forward(a, in)
		// After the last reading, a finding's query is alone: all findings share one backward pass.
		gradient = a.Gradients(a.Sum(out.Logits, false), []tensor.T{out.reading})[0]
	})
	speaks := a.Mean(a.Relu(a.Mul(a.Detach(out.reading), gradient)), false, 1) // (B, F, S)
	speaks = a.Narrow(speaks, 2, out.lengths[Text], out.lengths[Image])        // (B, F, G*G)
	return out, a.Div(speaks, a.Clamp(a.Amax(speaks, true, 2), nothing, 1/nothing))
}
