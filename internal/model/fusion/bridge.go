package fusion

import (
	"math"

	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// hidden is added to the attention logits of a token that must not be read.
const hidden = -1e4

// What tokens come from: one source for each modality, and for an image that findings are judged from another, since
// the image encoder reads radiographs with a top of its own.
const (
	radiograph = modalities + iota
	sources
)

// source returns what the tokens of modality m come from.
func source(m int, findings bool) int {
	if m == Image && findings {
		return radiograph
	}
	return m
}

// bridge brings the tokens of the three modalities into one space and lets each modality read the others.
//
// Every cross-modal attention logit gets a learnt bias for (head, modality that asks, modality that is asked): the
// modality weight matrix. A contrastive projection (InfoNCE, van den Oord et al. 2018,
// https://arxiv.org/abs/1807.03748) pulls the pooled vectors of two modalities of one thing together.
type bridge struct {
	norm     [sources]*layer.Norm
	project  [sources]*layer.Linear
	kind     tensor.T // (3, D), what a token is
	row, col tensor.T // (G, D) each, where an image token lies
	weight   tensor.T // (H, 3, 3), the modality weight matrix
	attend   *layer.Attention
	mlp      *layer.MLP
	norm1    *layer.Norm
	norm2    *layer.Norm
	contrast [modalities]*layer.Linear
	scale    tensor.T // (1), logarithm of the contrastive inverse temperature
	dim      int64
}

func newBridge(a *tensor.Arena, p *tensor.Params, c Config) *bridge {
	b := &bridge{
		kind:   p.Get(a, "kind", tensor.Normal(0.02), modalities, c.Dim),
		row:    p.Get(a, "row", tensor.Normal(0.1), c.Grid, c.Dim),
		col:    p.Get(a, "col", tensor.Normal(0.1), c.Grid, c.Dim),
		weight: p.Get(a, "modality_weight", tensor.Constant(0), c.Heads, modalities, modalities),
		attend: layer.NewAttention(a, p.Sub("attend"), c.Dim, c.Heads),
		mlp:    layer.NewMLP(a, p.Sub("mlp"), c.Dim, 2*c.Dim),
		norm1:  layer.NewNorm(a, p.Sub("norm1"), c.Dim),
		norm2:  layer.NewNorm(a, p.Sub("norm2"), c.Dim),
		scale:  p.Get(a, "contrast.scale", tensor.Constant(float32(math.Log(1/0.07))), 1),
		dim:    c.Dim,
	}
	for m, in := range []int64{c.TextDim, c.ImageDim, c.AudioDim} {
		q := p.Sub(names[m])
		b.norm[m] = layer.NewNorm(a, q.Sub("norm"), in)
		b.project[m] = layer.NewLinear(a, q.Sub("project"), in, c.Dim)
		b.contrast[m] = layer.NewLinear(a, q.Sub("contrast"), c.Dim, c.ContrastDim)
	}
	q := p.Sub("radiograph")
	b.norm[radiograph] = layer.NewNorm(a, q.Sub("norm"), c.ImageDim)
	b.project[radiograph] = layer.NewLinear(a, q.Sub("project"), c.ImageDim, c.Dim)
	return b
}

// embed projects the tokens (B, S, in) of modality m, which answers or findings are to rest on, to (B, S, D) and says
// what they are and, for an image, where.
func (b *bridge) embed(a *tensor.Arena, m int, findings bool, tokens tensor.T) tensor.T {
	from := source(m, findings)
	x := b.project[from].Forward(a, b.norm[from].Forward(a, tokens)) // (B, S, D)
	x = a.Add(x, a.Select(b.kind, 0, int64(m)))
	if m != Image {
		return x
	}
	g := a.Size(b.row, 0)
	place := a.Add(a.Unsqueeze(b.row, 1), a.Unsqueeze(b.col, 0)) // (G, G, D)
	return a.Add(x, a.Reshape(place, g*g, b.dim))
}

// cross lets the joined tokens x (B, S, D) read each other. mask (B, 1, 1, S) hides padding and absent modalities;
// lengths says how many tokens of each modality were joined, in order.
func (b *bridge) cross(a *tensor.Arena, x, mask tensor.T, lengths [modalities]int64) tensor.T {
	var kinds []int64
	for m, n := range lengths {
		for range n {
			kinds = append(kinds, int64(m))
		}
	}
	index := a.FromInt64(kinds, int64(len(kinds)))
	pairs := a.IndexSelect(a.IndexSelect(b.weight, 1, index), 2, index) // (H, S, S)
	y := b.norm1.Forward(a, x)
	read, _ := b.attend.Forward(a, y, b.attend.Memorise(a, y), a.Add(a.Unsqueeze(pairs, 0), mask))
	x = a.Add(x, read)                                       // (B, S, D)
	return a.Add(x, b.mlp.Forward(a, b.norm2.Forward(a, x))) // (B, S, D)
}

// align returns the unit vectors (B, C) that the contrastive loss compares: the mean of the embedded tokens
// (B, S, D) of modality m over what mask (B, S), 1 or 0, shows, projected.
func (b *bridge) align(a *tensor.Arena, m int, tokens, mask tensor.T) tensor.T {
	weight := a.Unsqueeze(mask, 2)                                                                    // (B, S, 1)
	mean := a.Div(a.Sum(a.Mul(tokens, weight), false, 1), a.AddScalar(a.Sum(weight, false, 1), 1e-6)) // (B, D)
	v := b.contrast[m].Forward(a, mean)                                                               // (B, C)
	return a.Div(v, a.Sqrt(a.AddScalar(a.Sum(a.Square(v), true, 1), 1e-8)))
}
