// Package sentence is the decoder that writes one sentence of a report.
//
// It is a Transformer decoder of one block that is applied Depth times, as in package fusion. The sentence begins with what
// it is to state; its words read the cells of the image and the graph of all observations with what was judged of each.
package sentence

import (
	"encoding/json"
	"fmt"

	"consilium/internal/layer"
	"consilium/internal/model/graphattention"
	"consilium/internal/tensor"
)

// Config is what the weights' file says about the net.
type Config struct {
	Dim      int64 `json:"dim"`       // D, of every token
	Heads    int64 `json:"heads"`     // H, of every attention
	Depth    int   `json:"depth"`     // how often the block is applied
	Length   int64 `json:"length"`    // the most words of a sentence
	Grid     int64 `json:"grid"`      // G, an image is G x G tokens
	ImageDim int64 `json:"image_dim"` // of an image token
	// Words is the vocabulary; the first is End. Observations are the nodes of the graph, of which Parents are the edges.
	Words        []string          `json:"words"`
	Observations []string          `json:"observations"`
	Parents      map[string]string `json:"parents"`
}

// End is the word that ends a sentence, and the first in every vocabulary.
const End = ""

// ConfigKey is where the weights' file keeps the Config.
const ConfigKey = "config"

// Metadata returns the config as metadata of a weights' file.
func (c Config) Metadata() map[string]string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Config holds nothing that JSON cannot
	}
	return map[string]string{ConfigKey: string(b)}
}

// ParseConfig reads the metadata of a weights' file.
func ParseConfig(metadata map[string]string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(metadata[ConfigKey]), &c); err != nil {
		return c, fmt.Errorf("read the report decoder's config: %w", err)
	}
	if c.Heads <= 0 || c.Dim <= 0 || c.Dim%c.Heads != 0 || min(c.Depth, int(c.Length), int(c.Grid), int(c.ImageDim), len(c.Observations)) <= 0 || len(c.Words) < 2 || c.Words[0] != End {
		return c, fmt.Errorf("read the report decoder's config: impossible sizes in %.200s", metadata[ConfigKey])
	}
	return c, nil
}

// Model is the net.
type Model struct {
	config Config

	norm     *layer.Norm
	image    *layer.Linear
	row, col tensor.T // (G, D) each, where a cell lies
	graph    *graphattention.Model
	begin    *layer.Linear // of what is to be stated
	words    tensor.T      // (V, D)
	place    tensor.T      // (1 + Length, D), the position in the sentence

	self, cross                        *layer.Attention
	mlp                                *layer.MLP
	norm1, norm2, norm3, memory, final *layer.Norm
	out                                *layer.Linear

	fast *Fast // takes the steps of Write in place of the layers, if there is one
}

// New builds the net from p, which is a weights' file or a random start.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	block := p.Sub("decoder")
	return &Model{
		config: c,
		norm:   layer.NewNorm(a, p.Sub("image.norm"), c.ImageDim),
		image:  layer.NewLinear(a, p.Sub("image.project"), c.ImageDim, c.Dim),
		row:    p.Get(a, "image.row", tensor.Normal(0.1), c.Grid, c.Dim),
		col:    p.Get(a, "image.col", tensor.Normal(0.1), c.Grid, c.Dim),
		graph: graphattention.New(a, p.Sub("graph"), graphattention.Config{
			In: c.NodeDim(), Dim: c.Dim, Heads: c.Heads, Depth: 2, Relations: 2}),
		begin:  layer.NewLinear(a, p.Sub("begin"), c.BeginDim(), c.Dim),
		words:  p.Get(a, "words", tensor.Normal(0.1), int64(len(c.Words)), c.Dim),
		place:  p.Get(a, "place", tensor.Normal(0.1), 1+c.Length, c.Dim),
		self:   layer.NewAttention(a, block.Sub("self"), c.Dim, c.Heads),
		cross:  layer.NewAttention(a, block.Sub("cross"), c.Dim, c.Heads),
		mlp:    layer.NewMLP(a, block.Sub("mlp"), c.Dim, 2*c.Dim),
		norm1:  layer.NewNorm(a, block.Sub("norm1"), c.Dim),
		norm2:  layer.NewNorm(a, block.Sub("norm2"), c.Dim),
		norm3:  layer.NewNorm(a, block.Sub("norm3"), c.Dim),
		memory: layer.NewNorm(a, block.Sub("memory"), c.Dim),
		final:  layer.NewNorm(a, block.Sub("final"), c.Dim),
		out:    layer.NewLinear(a, p.Sub("out"), c.Dim, int64(len(c.Words))),
	}
}

// Config returns the net's config.
func (m *Model) Config() Config { return m.config }

// hidden is added to the attention logits of a word that is not written yet.
const hidden = -1e4

// Forward returns the logits (B, T+1, V) of the word at each position, given the words (B, T) before it: the first follows
// from what is to be stated alone.
func (m *Model) Forward(a *tensor.Arena, in Batch, words tensor.T) tensor.T {
	read, begin := m.read(a, in)
	return m.decode(a, read, begin, words)
}

// decode returns what Forward does of what read returned.
func (m *Model) decode(a *tensor.Arena, read layer.Memory, begin, words tensor.T) tensor.T {
	x := a.Cat(1, begin, a.Embedding(m.words, words)) // (B, T+1, D)
	t := a.Size(x, 1)
	x = a.Add(x, a.Narrow(m.place, 0, 0, t))
	future := make([]float32, t*t)
	for i := range t {
		for j := i + 1; j < t; j++ {
			future[i*t+j] = hidden
		}
	}
	mask := a.FromFloat32(future, 1, 1, t, t)
	for range m.config.Depth {
		y := m.norm1.Forward(a, x)
		x = m.block(a, x, y, m.self.Memorise(a, y), mask, read)
	}
	return m.out.Forward(a, m.final.Forward(a, x))
}

// block applies the block once to x (B, T, D), whose normalised form is y, and which reads itself by own.
func (m *Model) block(a *tensor.Arena, x, y tensor.T, own layer.Memory, mask tensor.T, read layer.Memory) tensor.T {
	before, _ := m.self.Forward(a, y, own, mask)
	x = a.Add(x, before)
	seen, _ := m.cross.Forward(a, m.norm2.Forward(a, x), read, a.Zeros(1, 1, 1, 1))
	x = a.Add(x, seen)
	return a.Add(x, m.mlp.Forward(a, m.norm3.Forward(a, x)))
}

// read returns what the words of each row can read, and the token (B, 1, D) that the sentence begins with.
func (m *Model) read(a *tensor.Arena, in Batch) (layer.Memory, tensor.T) {
	g := m.config.Grid
	image := m.image.Forward(a, m.norm.Forward(a, in.Image))                                                                        // (B, G*G, D)
	image = a.Add(image, a.Reshape(a.Add(a.Unsqueeze(m.row, 1), a.Unsqueeze(m.col, 0)), g*g, m.config.Dim))                         // (B, G*G, D)
	nodes, _ := m.graph.Forward(a, in.Nodes, a.Expand(in.Edges, append([]int64{a.Size(in.Nodes, 0)}, a.Shape(in.Edges)[1:]...)...)) // (B, N, D)
	memory := m.cross.Memorise(a, m.memory.Forward(a, a.Cat(1, image, nodes)))
	return memory, a.Unsqueeze(m.begin.Forward(a, in.Begin), 1)
}
