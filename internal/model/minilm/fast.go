package minilm

import (
	"fmt"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// Fast is the net of a Model on kernels that are made for it: the same function, on the processor only.
type Fast struct {
	config                    Config
	team                      *kernels.Team
	words, positions, segment []float32 // (V, D), (P, D), (D)
	norm                      fastNorm
	layers                    []fastBlock
	// What a forward pass of up to rows tokens writes to.
	rows             int
	qkv, seen, inner []float32      // (rows, 3 D), (rows, D), (rows, inner)
	bytes            *kernels.Bytes // (rows, inner)
	ids              []int32        // (rows)
}

// fastBlock is a block with the query, the key and the value as one layer.
type fastBlock struct {
	qkv, out      *kernels.Linear
	attentionNorm fastNorm
	up, down      *kernels.Linear
	norm          fastNorm
}

type fastNorm struct {
	weight, bias []float32
	epsilon      float64
}

// fastRows is how many tokens go through the net at a time, unless a sequence is longer: what lies between two layers
// then stays in the processor's cache.
const fastRows = 256

// Plan names the linear layers that compute in 8 bits: the layer of the net and one of Linears, as in "0.up". Their
// weights have a scale for each output and their inputs one for each token.
type Plan map[string]bool

// Linears are the linear layers of a block; qkv is the query, the key and the value.
var Linears = []string{"qkv", "out", "up", "down"}

// Words is the name of the vectors of the word pieces (V, D).
const Words = "embeddings.word_embeddings.weight"

// NewFast copies the parameters of m but those of Words, which it reads where they lie. Free frees them.
func NewFast(a *tensor.Arena, m *Model, words []float32, threads int, level kernels.Level, plan Plan) *Fast {
	if want := int(m.config.Vocabulary * m.config.Dim); len(words) != want {
		panic(fmt.Sprintf("minilm: the word pieces have %d values, want %d", len(words), want))
	}
	f := &Fast{
		config:    m.config,
		team:      kernels.NewTeam(threads, level),
		words:     words,
		positions: a.Float32s(m.positions),
		segment:   a.Float32s(a.Select(m.seg, 0, 0)),
		norm:      newFastNorm(a, m.norm),
	}
	for i, b := range m.layers {
		linear := func(name string, layers ...linear) *kernels.Linear {
			name = fmt.Sprintf("%d.%s", i, name)
			l := newFastLinear(a, plan[name], layers...)
			l.Name = name
			return l
		}
		f.layers = append(f.layers, fastBlock{
			qkv:           linear("qkv", b.query, b.key, b.value),
			out:           linear("out", b.out),
			attentionNorm: newFastNorm(a, b.attentionNorm),
			up:            linear("up", b.up),
			down:          linear("down", b.down),
			norm:          newFastNorm(a, b.norm),
		})
	}
	return f
}

// newFastLinear packs layers of the same input as one, their outputs side by side.
func newFastLinear(a *tensor.Arena, bits8 bool, layers ...linear) *kernels.Linear {
	var weight, bias []float32
	for _, l := range layers {
		weight, bias = append(weight, a.Float32s(l.weight)...), append(bias, a.Float32s(l.bias)...)
	}
	in, out := len(weight)/len(bias), len(bias)
	if bits8 {
		return kernels.NewLinear8(weight, bias, in, out)
	}
	return kernels.NewLinear(weight, bias, in, out)
}

func newFastNorm(a *tensor.Arena, n norm) fastNorm {
	return fastNorm{a.Float32s(n.weight), a.Float32s(n.bias), n.epsilon}
}

// Free frees the net.
func (f *Fast) Free() {
	for _, b := range f.layers {
		for _, l := range []*kernels.Linear{b.qkv, b.out, b.up, b.down} {
			l.Free()
		}
	}
	if f.bytes != nil {
		f.bytes.Free()
	}
	f.team.Free()
	*f = Fast{}
}

// Forward is Model.Forward. One goroutine at a time may call it.
func (f *Fast) Forward(p *Packing) (tokens, vectors []float32) {
	d := int(f.config.Dim)
	tokens, vectors = make([]float32, len(p.ids)*d), make([]float32, len(p.Order)*d)
	x, v, ids := tokens, vectors, p.ids
	for _, start := range p.parts(fastRows) {
		text := kernels.Text{Start: start, Dim: d, Heads: int(f.config.Heads)}
		n := int(start[len(start)-1])
		f.forward(text, ids[:n], x, v)
		x, v, ids = x[n*d:], v[(len(start)-1)*d:], ids[n:]
	}
	return tokens, vectors
}

// forward writes the token vectors of ids (N) to x and the sentence vectors to v.
func (f *Fast) forward(text kernels.Text, ids []int64, x, v []float32) {
	n := len(ids)
	f.reserve(n)
	for i, id := range ids {
		f.ids[i] = int32(id)
	}
	f.team.Embed(text, f.ids, f.words, f.positions, f.segment, x)
	f.normalise(f.norm, x, n)
	for _, b := range f.layers {
		f.multiply(b.qkv, x, n, kernels.Keep, nil, f.qkv)
		if b.out.Bytes() { // which keeps less of them than rounding does
			f.team.AttendRounded(text, f.qkv, f.seen)
		} else {
			f.team.Attend(text, f.qkv, f.seen)
		}
		f.multiply(b.out, f.seen, n, kernels.Add, x, x)
		f.normalise(b.attentionNorm, x, n)
		f.multiply(b.up, x, n, kernels.Gelu, nil, f.inner)
		f.multiply(b.down, f.inner, n, kernels.Add, x, x)
		f.normalise(b.norm, x, n)
	}
	f.team.Pool(text, x, v)
}

// reserve makes room for n tokens.
func (f *Fast) reserve(n int) {
	if n <= f.rows {
		return
	}
	d, inner := int(f.config.Dim), int(f.config.Inner)
	f.rows = max(n, fastRows)
	f.qkv, f.seen, f.inner = make([]float32, f.rows*3*d), make([]float32, f.rows*d), make([]float32, f.rows*inner)
	f.ids = make([]int32, f.rows)
	if f.bytes != nil {
		f.bytes.Free()
	}
	f.bytes = kernels.NewBytes(f.rows, max(d, inner))
}

func (f *Fast) multiply(l *kernels.Linear, x []float32, n int, after kernels.After, residual, y []float32) {
	if !l.Bytes() {
		f.team.Multiply(l, x, n, after, residual, y)
		return
	}
	f.team.Quantise(x, n, l.In, f.bytes)
	f.team.MultiplyBytes(l, f.bytes, n, after, residual, y)
}

func (f *Fast) normalise(n fastNorm, x []float32, rows int) {
	f.team.Norm(x, rows, n.weight, n.bias, n.epsilon)
}
