// Package smolwriter writes sentences of reports with SmolLM2, which stays as it is but for narrow adapters.
//
// What a sentence is to state, the image and the graph of the observations reach the language model as vectors in front of
// the first word (prefix-tuning, Li and Liang 2021, https://arxiv.org/abs/2101.00190).
package smolwriter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"consilium/internal/bpe"
	"consilium/internal/gguf"
	"consilium/internal/layer"
	"consilium/internal/model/graphattention"
	"consilium/internal/model/sentence"
	"consilium/internal/model/smollm"
	"consilium/internal/tensor"
)

// Config is what the weights' file says about the prefix and the adapters.
type Config struct {
	// Sentence has the words, the observations and the sizes of the image; Dim and Heads are those of the prefix before its
	// projection, and Length bounds the tokens of a sentence. Depth is not used.
	Sentence sentence.Config `json:"sentence"`
	Queries  int64           `json:"queries"` // vectors that read image and graph
	Rank     int64           `json:"rank"`    // of the adapters
	Alpha    float64         `json:"alpha"`   // their scale is Alpha / Rank
}

// Metadata returns the config as metadata of a weights' file.
func (c Config) Metadata() map[string]string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Config holds nothing that JSON cannot
	}
	return map[string]string{sentence.ConfigKey: string(b)}
}

// ParseConfig reads the metadata of a weights' file.
func ParseConfig(metadata map[string]string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(metadata[sentence.ConfigKey]), &c); err != nil {
		return c, fmt.Errorf("read the config of SmolLM2's prefix: %w", err)
	}
	s := c.Sentence
	if min(s.Dim, s.Heads, s.Length, s.Grid, s.ImageDim, c.Queries, c.Rank) < 1 || s.Dim%s.Heads != 0 || c.Alpha <= 0 || len(s.Observations) == 0 || len(s.Words) < 2 {
		return c, fmt.Errorf("read the config of SmolLM2's prefix: impossible sizes in %.200s", metadata[sentence.ConfigKey])
	}
	return c, nil
}

// Base is the published language model.
type Base struct {
	config    smollm.Config
	params    *tensor.Params
	tokenizer *bpe.Tokenizer
	end       int // the id that ends a sentence
	begin     int // the id before the first word
}

// NewBase takes the net out of the published file.
func NewBase(a *tensor.Arena, path string) (*Base, error) {
	f, err := gguf.Read(path)
	if err != nil {
		return nil, err
	}
	b := &Base{}
	if b.config, err = smollm.ReadConfig(f); err != nil {
		return nil, err
	}
	if b.tokenizer, err = smollm.ReadTokenizer(f); err != nil {
		return nil, err
	}
	raw, err := smollm.Weights(f)
	if err != nil {
		return nil, err
	}
	return b, b.take(a, tensor.FromRaw(raw))
}

func (b *Base) take(a *tensor.Arena, p *tensor.Params) error {
	var ok, ok2 bool
	b.begin, ok = b.tokenizer.ID("<|im_start|>")
	b.end, ok2 = b.tokenizer.ID("<|im_end|>")
	if !ok || !ok2 {
		return fmt.Errorf("the vocabulary has no <|im_start|> or no <|im_end|>")
	}
	smollm.New(a, p, b.config)
	b.params = p.Replace(nil) // without what the file holds, half a gigabyte
	return nil
}

// Free frees the net.
func (b *Base) Free(a *tensor.Arena) { b.params.Free(a) }

// Model is the language model with adapters and a prefix.
type Model struct {
	config Config
	base   *Base
	vocab  *vocabulary
	lora   *layer.LoRA
	fixed  *smollm.Model // with the adapters merged, nil as long as they change
	merged []tensor.T    // of fixed

	image    *layer.Linear
	norm     *layer.Norm
	row, col tensor.T // (G, D) each, where a cell lies
	graph    *graphattention.Model
	queries  tensor.T // (Q, D)
	begin    *layer.Linear
	read     *layer.Attention
	readNorm *layer.Norm
	memory   *layer.Norm
	mlp      *layer.MLP
	mlpNorm  *layer.Norm
	out      *layer.Linear
	polarity tensor.T // (2, E), in front of what is there and of what is not
	names    []int64  // ids of what can be stated by its name: the observations and then the places
	nameOf   []int    // which of those each belongs to
}

// New builds the prefix and the adapters from p, which is a weights' file or a random start.
func New(a *tensor.Arena, p *tensor.Params, c Config, base *Base) *Model {
	s := c.Sentence
	prefix := p.Sub("prefix")
	m := &Model{
		config: c, base: base, vocab: newVocabulary(base, s.Words),
		lora:  layer.NewLoRAOf(a, p.Sub("adapters"), base.params, smollm.Adaptable(base.params), c.Rank, c.Alpha),
		norm:  layer.NewNorm(a, prefix.Sub("image.norm"), s.ImageDim),
		image: layer.NewLinear(a, prefix.Sub("image.project"), s.ImageDim, s.Dim),
		row:   prefix.Get(a, "image.row", tensor.Normal(0.1), s.Grid, s.Dim),
		col:   prefix.Get(a, "image.col", tensor.Normal(0.1), s.Grid, s.Dim),
		graph: graphattention.New(a, prefix.Sub("graph"), graphattention.Config{
			In: s.NodeDim(), Dim: s.Dim, Heads: s.Heads, Depth: 2, Relations: 2}),
		queries:  prefix.Get(a, "queries", tensor.Normal(1), c.Queries, s.Dim),
		begin:    layer.NewLinear(a, prefix.Sub("begin"), s.BeginDim(), s.Dim),
		read:     layer.NewAttention(a, prefix.Sub("read"), s.Dim, s.Heads),
		readNorm: layer.NewNorm(a, prefix.Sub("read.norm"), s.Dim),
		memory:   layer.NewNorm(a, prefix.Sub("memory"), s.Dim),
		mlp:      layer.NewMLP(a, prefix.Sub("mlp"), s.Dim, 2*s.Dim),
		mlpNorm:  layer.NewNorm(a, prefix.Sub("mlp.norm"), s.Dim),
		out:      layer.NewLinear(a, prefix.Sub("out"), s.Dim, base.config.Dim),
		polarity: prefix.Get(a, "polarity", tensor.Normal(embeddingScale), 2, base.config.Dim),
	}
	for i, name := range slices.Concat(s.Observations, places) {
		for _, id := range base.tokenizer.Encode(" " + strings.ToLower(name)) {
			m.names, m.nameOf = append(m.names, int64(id)), append(m.nameOf, i)
		}
	}
	return m
}

// places are where something can be stated to be, and how it looks, by name.
var places = []string{"right", "left", "both", "ground glass"}

// states reports whether an input states name i of observations and places to be there, or not to be there.
func (m *Model) states(in *sentence.Input, i int, present bool) bool {
	if o := m.config.Sentence.Observations; i < len(o) {
		p, ok := in.Asserts[o[i]]
		return ok && p == present
	} else if place := places[i-len(o)]; place != "ground glass" {
		return present && in.Side == place
	}
	return present && in.GroundGlass
}

// embeddingScale is about the standard deviation of the published embeddings.
const embeddingScale = 0.1

// prefix returns what stands in front of the first word (B, P, E): what is there and what is not, by the names of
// observations and places, what the queries read, and the token that begins.
func (m *Model) prefix(a *tensor.Arena, net *smollm.Model, in []*sentence.Input, dropout float64) tensor.T {
	s, b := m.config.Sentence, int64(len(in))
	batch := s.Batch(a, in)
	g := s.Grid
	image := m.image.Forward(a, m.norm.Forward(a, a.Dropout(batch.Image, dropout)))                  // (B, G*G, D)
	image = a.Add(image, a.Reshape(a.Add(a.Unsqueeze(m.row, 1), a.Unsqueeze(m.col, 0)), g*g, s.Dim)) // (B, G*G, D)
	edges := a.Expand(batch.Edges, append([]int64{b}, a.Shape(batch.Edges)[1:]...)...)               // (B, 2, N, N)
	nodes, _ := m.graph.Forward(a, batch.Nodes, edges)                                               // (B, N, D)
	x := a.Add(m.queries, a.Unsqueeze(m.begin.Forward(a, batch.Begin), 1))                           // (B, Q, D)
	seen, _ := m.read.Forward(a, m.readNorm.Forward(a, x), m.read.Memorise(a, m.memory.Forward(a, a.Cat(1, image, nodes))), a.Zeros(1, 1, 1, 1))
	x = a.Add(x, seen)
	x = a.Add(x, m.mlp.Forward(a, m.mlpNorm.Forward(a, x)))
	x = a.MulScalar(m.out.Forward(a, x), embeddingScale) // (B, Q, E)

	shares := m.shares(a, in)                                                                    // (B, 2, M)
	named := a.Matmul(shares, net.Embed(a, m.names, int64(len(m.names))))                        // (B, 2, E)
	begin := a.Expand(net.Embed(a, []int64{int64(m.base.begin)}, 1, 1), b, 1, m.base.config.Dim) // (B, 1, E)
	return a.Cat(1, x, a.Add(named, m.polarity), begin)
}

// shares says for each input which of the names' ids make up what is there and what is not: (B, 2, M), rows of sum 1 or 0.
func (m *Model) shares(a *tensor.Arena, in []*sentence.Input) tensor.T {
	n := len(m.names)
	values := make([]float32, len(in)*2*n)
	for i, input := range in {
		for wanted, present := range [...]bool{true, false} {
			row := values[(2*i+wanted)*n:][:n]
			sum := float32(0)
			for j, name := range m.nameOf {
				if m.states(input, name, present) {
					row[j] = 1
					sum++
				}
			}
			for j := range row {
				row[j] /= max(sum, 1)
			}
		}
	}
	return a.FromFloat32(values, int64(len(in)), 2, int64(n))
}

// net builds the language model of the base and the adapters, as they are now.
func (m *Model) net(a *tensor.Arena) *smollm.Model {
	if m.fixed != nil {
		return m.fixed
	}
	return smollm.New(a, m.lora.Merged(a), m.base.config)
}

// Fix merges the adapters into the language model once and for all, for a model that is not trained any more.
func (m *Model) Fix(a *tensor.Arena) {
	merged := m.lora.Merged(a)
	for _, name := range m.lora.Names() {
		m.merged = append(m.merged, a.Keep(merged.Tensor(name)))
	}
	m.fixed = smollm.New(a, merged, m.base.config)
}

// Free frees what Fix made.
func (m *Model) Free(a *tensor.Arena) {
	a.Free(m.merged...)
	m.merged, m.fixed = nil, nil
}

// Forward returns the logits (B, T+1, V) of the token at each position, given the tokens (B, T) before it, in ids of the
// small vocabulary that Tokens gives.
func (m *Model) Forward(a *tensor.Arena, in []*sentence.Input, tokens []int64, dropout float64) tensor.T {
	net := m.net(a)
	prefix := m.prefix(a, net, in, dropout)
	b, p := int64(len(in)), a.Size(prefix, 1)
	t := int64(len(tokens)) / b
	x := prefix
	if t > 0 {
		x = a.Cat(1, prefix, net.Embed(a, m.vocab.full(tokens), b, t))
	}
	hidden := net.Forward(a, x, nil)
	return net.LogitsOf(a, a.Narrow(hidden, 1, p-1, t+1), m.vocab.ids)
}

// Size is that of the small vocabulary, V.
func (m *Model) Size() int { return len(m.vocab.ids) }

// Tokens returns a sentence's words in ids of the small vocabulary, of which the last is End; nil if a word is unknown or
// there are more than Length of them.
func (m *Model) Tokens(words []string) []int64 {
	return m.vocab.tokens(words, int(m.config.Sentence.Length))
}
