// Package minilm is the Transformer encoder all-MiniLM-L6-v2, which turns sentences into vectors.
//
// It is a BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) distilled as in MiniLM (Wang et al. 2020,
// https://arxiv.org/abs/2002.10957) and tuned as in Sentence-BERT (Reimers and Gurevych 2019,
// https://arxiv.org/abs/1908.10084): the mean of the token vectors, at length 1, is the sentence's vector.
package minilm

import (
	"math"
	"strconv"

	"consilium/internal/tensor"
)

// Config is the size of the net.
type Config struct {
	Vocabulary int64 // word pieces
	Positions  int64 // the longest sequence
	Dim        int64 // of a token's vector, D
	Layers     int64
	Heads      int64 // H, divides Dim
	Inner      int64 // hidden units of the feed-forward half
	Epsilon    float64
}

// L6 is the size of all-MiniLM-L6-v2.
var L6 = Config{Vocabulary: 30522, Positions: 512, Dim: 384, Layers: 6, Heads: 12, Inner: 1536, Epsilon: 1e-12}

// Model is the net. It is for inference only.
type Model struct {
	config                Config
	words, positions, seg tensor.T // (V, D), (P, D), (2, D)
	norm                  norm
	layers                []*block
}

// New takes the parameters under the names that BERT is published with.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	e := p.Sub("embeddings")
	small := tensor.Normal(0.02)
	m := &Model{
		config:    c,
		words:     e.Get(a, "word_embeddings.weight", small, c.Vocabulary, c.Dim),
		positions: e.Get(a, "position_embeddings.weight", small, c.Positions, c.Dim),
		seg:       e.Get(a, "token_type_embeddings.weight", small, 2, c.Dim),
		norm:      newNorm(a, e.Sub("LayerNorm"), c),
	}
	for i := range c.Layers {
		m.layers = append(m.layers, newBlock(a, p.Sub("encoder.layer."+strconv.FormatInt(i, 10)), c))
	}
	return m
}

// Forward returns the token vectors (N, D) and the sentence vectors (B, D), both in the order of the packing.
func (m *Model) Forward(a *tensor.Arena, p *Packing) (tokens, vectors tensor.T) {
	mark := a.Mark()
	n := int64(len(p.ids))
	words := a.Embedding(m.words, a.FromInt64(p.ids, n))               // (N, D)
	positions := a.Embedding(m.positions, a.FromInt64(p.positions, n)) // (N, D)
	x := a.Add(a.Add(words, a.Select(m.seg, 0, 0)), positions)
	x = m.norm.forward(a, x)
	for _, layer := range m.layers {
		x = layer.forward(a, x, p.groups)
		a.Release(mark, x)
	}
	return x, m.pool(a, x, p.groups)
}

// pool returns the mean over each sequence of x (N, D), at Euclidean length 1: (B, D).
func (m *Model) pool(a *tensor.Arena, x tensor.T, groups []group) tensor.T {
	x = a.ToKind(x, tensor.Float)
	means := make([]tensor.T, len(groups))
	for i, g := range groups {
		y := a.Reshape(g.rows(a, x), g.count, g.length, m.config.Dim) // (n, T, D)
		means[i] = a.Mean(y, false, 1)                                // (n, D)
	}
	v := a.Cat(0, means...)                       // (B, D)
	length := a.Sqrt(a.Sum(a.Square(v), true, 1)) // (B, 1)
	return a.Div(v, a.Clamp(length, 1e-12, math.Inf(1)))
}

// block is one Transformer layer that normalises after each half.
type block struct {
	query, key, value, out linear
	attentionNorm          norm
	up, down               linear
	norm                   norm
	heads, dim             int64
}

func newBlock(a *tensor.Arena, p *tensor.Params, c Config) *block {
	self := p.Sub("attention.self")
	return &block{
		query:         newLinear(a, self.Sub("query"), c.Dim, c.Dim),
		key:           newLinear(a, self.Sub("key"), c.Dim, c.Dim),
		value:         newLinear(a, self.Sub("value"), c.Dim, c.Dim),
		out:           newLinear(a, p.Sub("attention.output.dense"), c.Dim, c.Dim),
		attentionNorm: newNorm(a, p.Sub("attention.output.LayerNorm"), c),
		up:            newLinear(a, p.Sub("intermediate.dense"), c.Dim, c.Inner),
		down:          newLinear(a, p.Sub("output.dense"), c.Inner, c.Dim),
		norm:          newNorm(a, p.Sub("output.LayerNorm"), c),
		heads:         c.Heads,
		dim:           c.Dim,
	}
}

// forward maps x (N, D) to (N, D).
func (b *block) forward(a *tensor.Arena, x tensor.T, groups []group) tensor.T {
	x = b.attentionNorm.forward(a, a.Add(x, b.attend(a, x, groups)))
	y := b.down.forward(a, a.Gelu(b.up.forward(a, x))) // (N, inner), then (N, D)
	return b.norm.forward(a, a.Add(x, y))
}

// attend lets the tokens of each sequence see each other: sequences of one length at a time, so that no token is
// padding and no mask is needed.
func (b *block) attend(a *tensor.Arena, x tensor.T, groups []group) tensor.T {
	q, k, v := b.query.forward(a, x), b.key.forward(a, x), b.value.forward(a, x) // (N, D)
	seen := make([]tensor.T, len(groups))
	for i, g := range groups {
		y := a.AttentionUnmasked(b.split(a, g, q), b.split(a, g, k), b.split(a, g, v)) // (n, H, T, D/H)
		seen[i] = a.Reshape(a.Transpose(y, 1, 2), g.count*g.length, b.dim)             // (n T, D)
	}
	return b.out.forward(a, a.Cat(0, seen...)) // (N, D)
}

// split returns the heads of one group of x (N, D): (n, H, T, D/H).
func (b *block) split(a *tensor.Arena, g group, x tensor.T) tensor.T {
	return a.Transpose(a.Reshape(g.rows(a, x), g.count, g.length, b.heads, b.dim/b.heads), 1, 2)
}

type linear struct{ weight, bias tensor.T }

func newLinear(a *tensor.Arena, p *tensor.Params, in, out int64) linear {
	return linear{p.Get(a, "weight", tensor.Fan(in), out, in), p.Get(a, "bias", tensor.Constant(0), out)}
}

func (l linear) forward(a *tensor.Arena, x tensor.T) tensor.T { return a.Linear(x, l.weight, l.bias) }

// norm differs from layer.Norm by its epsilon.
type norm struct {
	weight, bias tensor.T
	epsilon      float64
}

func newNorm(a *tensor.Arena, p *tensor.Params, c Config) norm {
	return norm{p.Get(a, "weight", tensor.Constant(1), c.Dim), p.Get(a, "bias", tensor.Constant(0), c.Dim), c.Epsilon}
}

func (n norm) forward(a *tensor.Arena, x tensor.T) tensor.T {
	return a.LayerNorm(x, n.weight, n.bias, n.epsilon)
}
