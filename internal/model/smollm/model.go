// Package smollm is the language model SmolLM2, a Transformer decoder that goes on with a text.
//
// It is a Llama (Touvron et al. 2023, https://arxiv.org/abs/2302.13971) with grouped queries (Ainslie et al. 2023,
// https://arxiv.org/abs/2305.13245) and one table of embeddings for what it reads and what it writes (Allal et al. 2025,
// https://arxiv.org/abs/2502.02737).
package smollm

import (
	"fmt"
	"math"
	"strconv"

	"consilium/internal/tensor"
)

// Config is the size of the net.
type Config struct {
	Vocabulary int64   // V
	Positions  int64   // the longest sequence
	Dim        int64   // of a token's vector, D
	Layers     int64   //
	Heads      int64   // of the queries, H; divides Dim
	KeyHeads   int64   // of the keys and values, K; divides Heads
	Inner      int64   // hidden units of the feed-forward half
	Base       float64 // of the rotary positions
	Epsilon    float64
}

// check refuses sizes that no net has.
func (c Config) check() error {
	for _, n := range []int64{c.Vocabulary, c.Positions, c.Dim, c.Layers, c.Heads, c.KeyHeads, c.Inner} {
		if n < 1 || n > 1<<24 {
			return fmt.Errorf("sizes %+v: want each from 1 to %d", c, 1<<24)
		}
	}
	if c.Dim%(2*c.Heads) != 0 || c.Heads%c.KeyHeads != 0 || !(c.Base > 1) || !(c.Epsilon > 0) {
		return fmt.Errorf("sizes %+v: want heads of an even width, a whole number of them to a key head, a base above 1 and an epsilon above 0", c)
	}
	return nil
}

// Model is the net.
type Model struct {
	config Config
	words  tensor.T // (V, D)
	layers []*block
	norm   tensor.T // (D)
}

// New takes the parameters under the names of GGUF files. The rows of queries and keys stand in the order of such files
// too: the two values that turn together are neighbours.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	if err := c.check(); err != nil {
		a.Fail("load", "%v", err)
	}
	m := &Model{
		config: c,
		words:  p.Get(a, "token_embd.weight", tensor.Normal(0.02), c.Vocabulary, c.Dim),
		norm:   p.Get(a, "output_norm.weight", tensor.Constant(1), c.Dim),
	}
	for i := range c.Layers {
		m.layers = append(m.layers, newBlock(a, p.Sub("blk."+strconv.FormatInt(i, 10)), c))
	}
	return m
}

// Embed returns the vectors of ids, row-major in the given shape, with D as a further dimension.
func (m *Model) Embed(a *tensor.Arena, ids []int64, shape ...int64) tensor.T {
	return a.Embedding(m.words, a.FromInt64(ids, shape...))
}

// Forward returns the hidden states (B, T, D) of the vectors x (B, T, D), which go on behind what cache holds; it puts
// them into cache. A nil cache is an empty one that nobody needs. A position sees itself and those before it, so that
// sequences of a batch are padded at their ends.
func (m *Model) Forward(a *tensor.Arena, x tensor.T, cache *Cache) tensor.T {
	if cache == nil {
		cache = &Cache{}
	}
	past, length := cache.Length(a), a.Size(x, 1)
	if past+length > m.config.Positions {
		a.Fail("forward", "a sequence of %d tokens, the limit is %d", past+length, m.config.Positions)
	}
	at := m.place(a, past, length)
	for i, b := range m.layers {
		mark := a.Mark()
		var own Memory
		if i < len(cache.layers) {
			own = cache.layers[i]
		}
		y, memory := b.forward(a, x, own, at)
		if i < len(cache.layers) {
			cache.layers[i] = memory
		} else {
			cache.layers = append(cache.layers, memory)
		}
		a.Release(mark, y, memory.keys, memory.values)
		x = y
	}
	return a.RMSNorm(x, m.norm, m.config.Epsilon)
}

// Logits returns what each id gets after hidden states (..., D): (..., V).
func (m *Model) Logits(a *tensor.Arena, hidden tensor.T) tensor.T {
	return a.Linear(hidden, m.words, tensor.T{})
}

// LogitsOf returns what some ids (M) get after hidden states (..., D): (..., M).
func (m *Model) LogitsOf(a *tensor.Arena, hidden tensor.T, ids []int64) tensor.T {
	return a.Linear(hidden, m.Embed(a, ids, int64(len(ids))), tensor.T{})
}

// place is where tokens stand: cosines and sines of their rotations (T, D/2H) and what hides later tokens from earlier
// ones, (T, S).
type place struct{ cos, sin, mask tensor.T }

func (m *Model) place(a *tensor.Arena, past, length int64) place {
	half := m.config.Dim / m.config.Heads / 2
	cos, sin := make([]float32, 0, length*half), make([]float32, 0, length*half)
	mask := make([]float32, length*(past+length))
	for t := range length {
		for i := range half {
			angle := float64(past+t) * math.Pow(m.config.Base, -float64(i)/float64(half))
			cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
		}
		for s := past + t + 1; s < past+length; s++ {
			mask[t*(past+length)+s] = float32(math.Inf(-1))
		}
	}
	return place{
		cos:  a.FromFloat32(cos, length, half),
		sin:  a.FromFloat32(sin, length, half),
		mask: a.FromFloat32(mask, length, past+length),
	}
}
