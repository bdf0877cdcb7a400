// Package graphattention is a graph attention network over the part of a knowledge graph that belongs to a study.
package graphattention

import (
	"fmt"

	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// slope is what LeakyReLU leaves of a negative logit, as in the paper.
const slope = 0.2

// hidden is the logit of a pair of nodes without an edge: its share of the softmax is 0, and no gradient is NaN.
const hidden = -1e9

// Config is the shape of a Model.
type Config struct {
	In        int64 `json:"in"`        // values that describe a node
	Dim       int64 `json:"dim"`       // values of a node in the net; a multiple of Heads
	Heads     int64 `json:"heads"`     // attentions side by side
	Depth     int64 `json:"depth"`     // layers: how many edges away a node can read
	Relations int64 `json:"relations"` // kinds of edges; the two directions of a relation are two kinds
}

// Check returns an error unless a net can have this shape.
func (c Config) Check() error {
	if min(c.In, c.Dim, c.Heads, c.Depth, c.Relations) < 1 || c.Dim%c.Heads != 0 {
		return fmt.Errorf("a graph attention network of shape %+v: want everything above zero and a dim that %d heads divide", c, c.Heads)
	}
	return nil
}

// Model is a graph attention network (Veličković et al. 2018, https://arxiv.org/abs/1710.10903) whose edges have
// relations: an edge's logit gets what its relation learnt, since "is a kind of" and "suggests" carry different things.
type Model struct {
	config Config
	in     *layer.Linear
	layers []attention
	out    *layer.Norm
}

// attention is one layer.
type attention struct {
	norm           *layer.Norm
	project, merge *layer.Linear
	source, target tensor.T // (heads, Dim/heads): the halves of the paper's vector a, for either end of the concatenation
	relation       tensor.T // (heads, Relations + 1): the last is a node's edge to itself
}

// New builds the net. It keeps no tensor but params'.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	if err := c.Check(); err != nil {
		a.Fail("graph attention", "%v", err)
	}
	m := &Model{config: c, in: layer.NewLinear(a, p.Sub("in"), c.In, c.Dim), out: layer.NewNorm(a, p.Sub("out"), c.Dim)}
	for i := range c.Depth {
		q := p.Sub(fmt.Sprint(i))
		m.layers = append(m.layers, attention{
			norm:     layer.NewNorm(a, q.Sub("norm"), c.Dim),
			project:  layer.NewLinear(a, q.Sub("project"), c.Dim, c.Dim),
			merge:    layer.NewLinear(a, q.Sub("merge"), c.Dim, c.Dim),
			source:   q.Get(a, "source", tensor.Fan(c.Dim/c.Heads), c.Heads, c.Dim/c.Heads),
			target:   q.Get(a, "target", tensor.Fan(c.Dim/c.Heads), c.Heads, c.Dim/c.Heads),
			relation: q.Get(a, "relation", tensor.Constant(0), c.Heads, c.Relations+1),
		})
	}
	return m
}

// Forward reads a batch of graphs: nodes (B, N, In), and edges (B, Relations, N, N), which is 1 where the relation
// leads from the node of the last axis to the node of the axis before and 0 elsewhere; a graph with fewer nodes is padded
// with nodes that no edge touches. Each node also has an edge to itself. It returns the nodes (B, N, Dim) and, for a
// person to look at, the weights of the last layer (B, Heads, N, N), which add up to 1 over the last axis.
func (m *Model) Forward(a *tensor.Arena, nodes, edges tensor.T) (out, weights tensor.T) {
	s, e := a.Shape(nodes), a.Shape(edges)
	if len(s) != 3 || s[2] != m.config.In || len(e) != 4 || e[0] != s[0] || e[1] != m.config.Relations || e[2] != s[1] || e[3] != s[1] {
		a.Fail("graph attention", "nodes of shape %v and edges of shape %v, want [B N %d] and [B %d N N]", s, e, m.config.In, m.config.Relations)
	}
	b, n := s[0], s[1]
	own := make([]float32, n*n)
	for i := range n {
		own[i*n+i] = 1
	}
	self := a.Expand(a.FromFloat32(own, 1, 1, n, n), b, 1, n, n)
	edges = a.Cat(1, edges, self) // (B, Relations + 1, N, N)
	some := a.Clamp(a.Sum(edges, true, 1), 0, 1)
	bias := a.MulScalar(a.AddScalar(some, -1), -hidden) // (B, 1, N, N): 0 for an edge
	kinds := a.Reshape(edges, b, m.config.Relations+1, n*n)

	x := m.in.Forward(a, nodes) // (B, N, Dim)
	for _, l := range m.layers {
		var read tensor.T
		read, weights = l.forward(a, l.norm.Forward(a, x), kinds, bias, m.config.Heads)
		x = a.Add(x, read)
	}
	return m.out.Forward(a, x), weights
}

// forward lets each node of x (B, N, D) read those that an edge leads from. The concatenation of both ends times one vector
// is the sum of each end times half of that vector, so no pair is ever written out.
func (l *attention) forward(a *tensor.Arena, x, kinds, bias tensor.T, heads int64) (out, weights tensor.T) {
	s := a.Shape(x)
	b, n, d := s[0], s[1], s[2]
	values := a.Transpose(a.Reshape(l.project.Forward(a, x), b, n, heads, d/heads), 1, 2) // (B, H, N, D/H)
	end := func(v tensor.T) tensor.T {
		return a.Matmul(values, a.Reshape(v, 1, heads, d/heads, 1)) // (B, H, N, 1)
	}
	relation := a.Reshape(a.Matmul(l.relation, kinds), b, heads, n, n)                  // (B, H, N, N)
	logits := a.Add(a.Add(end(l.target), a.Transpose(end(l.source), 2, 3)), relation)   // (B, H, N, N)
	weights = a.Softmax(a.Add(a.Maximum(logits, a.MulScalar(logits, slope)), bias), -1) // (B, H, N, N)
	read := a.Reshape(a.Transpose(a.Matmul(weights, values), 1, 2), b, n, d)            // (B, N, D)
	return l.merge.Forward(a, a.GeluTanh(read)), weights
}
