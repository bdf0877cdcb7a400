package train

import (
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// infoNCE is InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748), both ways, between vectors x and
// y (n, C) of things that are labelled; equal labels are all positives.
func infoNCE(a *tensor.Arena, m *fusion.Model, x, y tensor.T, labels []int) tensor.T {
	n := len(labels)
	same := make([]float32, n*n)
	for i := range n {
		for j := range n {
			if labels[i] == labels[j] {
				same[i*n+j] = 1
			}
		}
	}
	target := a.FromFloat32(same, int64(n), int64(n))
	target = a.Div(target, a.Sum(target, true, 1))
	logits := a.Mul(a.Matmul(x, a.Transpose(y, 0, 1)), m.ContrastiveScale(a)) // (n, n)
	there := a.Sum(a.Mul(a.LogSoftmax(logits, 1), target), false)
	back := a.Sum(a.Mul(a.LogSoftmax(a.Transpose(logits, 0, 1), 1), target), false)
	return a.DivScalar(a.Neg(a.Add(there, back)), 2*float64(n))
}
