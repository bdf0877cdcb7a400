// Package wavenet is a WaveNet that turns log-mel frames into tokens.
package wavenet

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"consilium/internal/tensor"
)

// FramesPerToken is how many frames a token is the mean of.
const FramesPerToken = 8

// kernel is the width of the dilated convolutions.
const kernel = 2

// Config is the shape of a Model.
type Config struct {
	Bands     int64    `json:"bands"`     // values in a frame
	Channels  int64    `json:"channels"`  // of the residual path
	Dim       int64    `json:"dim"`       // of the skip path and of a token
	Dilations []int64  `json:"dilations"` // of each block, in frames
	Classes   []string `json:"classes"`   // what the head tells apart
}

// configKey is the metadata entry of a weights' file that holds the Config.
const configKey = "config"

// Metadata returns the config as metadata of a weights' file.
func (c Config) Metadata() map[string]string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Config holds nothing that JSON cannot
	}
	return map[string]string{configKey: string(b)}
}

// ParseConfig reads the metadata of a weights' file.
func ParseConfig(metadata map[string]string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(metadata[configKey]), &c); err != nil {
		return c, fmt.Errorf("read the WaveNet's config: %w", err)
	}
	if c.Bands <= 0 || c.Channels <= 0 || c.Dim <= 0 || len(c.Dilations) == 0 || slices.Min(c.Dilations) <= 0 || len(c.Classes) == 0 {
		return c, fmt.Errorf("read the WaveNet's config: impossible sizes in %s", metadata[configKey])
	}
	return c, nil
}

// Model is the network of van den Oord et al. 2016 (https://arxiv.org/abs/1609.03499): causal convolutions whose
// dilation doubles from block to block, gated units tanh * sigmoid, residual and skip connections. The paper runs
// it over single samples to generate sound. Here it listens, over log-mel frames: 100 steps a second instead of
// 8,000 is what a CPU can do in real time many times over, and the receptive field of the same blocks grows from
// a thirtieth of a second to two and a half.
//
// Because it is causal, silence appended to pad a batch changes nothing that comes before it.
type Model struct {
	config Config
	input  conv
	blocks []block
	output conv
	head   conv
}

// block is one gated unit; both is its residual and its skip convolution in one.
type block struct {
	dilation int64
	gated    conv
	both     conv
}

// conv is a convolution along time.
type conv struct{ weight, bias tensor.T }

func newConv(a *tensor.Arena, p *tensor.Params, in, out, width int64) conv {
	return conv{p.Get(a, "weight", tensor.Fan(in*width), out, in, width), p.Get(a, "bias", tensor.Constant(0), out)}
}

// forward maps x (B, in, T) to (B, out, T); padded on the left alone, it never looks ahead.
func (c conv) forward(a *tensor.Arena, x tensor.T, dilation int64) tensor.T {
	if past := (a.Size(c.weight, 2) - 1) * dilation; past > 0 {
		x = a.Pad(x, 0, past, 0)
	}
	return a.Conv1d(x, c.weight, c.bias, 1, 0, dilation, 1)
}

// New takes the parameters from p.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	m := &Model{config: c, input: newConv(a, p.Sub("input"), c.Bands, c.Channels, kernel)}
	for i, d := range c.Dilations {
		q := p.Sub(fmt.Sprintf("block%d", i))
		m.blocks = append(m.blocks, block{
			dilation: d,
			gated:    newConv(a, q.Sub("gated"), c.Channels, 2*c.Channels, kernel),
			both:     newConv(a, q.Sub("both"), c.Channels, c.Channels+c.Dim, 1),
		})
	}
	m.output = newConv(a, p.Sub("output"), c.Dim, c.Dim, 1)
	m.head = newConv(a, p.Sub("head"), 2*c.Dim, int64(len(c.Classes)), 1)
	return m
}

// Config returns the model's shape.
func (m *Model) Config() Config { return m.config }

// ReceptiveField is how many frames, itself included, an output depends on.
func (m *Model) ReceptiveField() int64 {
	field := int64(kernel)
	for _, b := range m.blocks {
		field += (kernel - 1) * b.dilation
	}
	return field
}

// frames returns the output of every frame, (B, Dim, T), never negative. x is (B, Bands, T).
func (m *Model) frames(a *tensor.Arena, x tensor.T) tensor.T {
	c := m.config
	x = m.input.forward(a, a.ToPrecision(x), 1) // (B, C, T)
	var skips tensor.T
	for i, b := range m.blocks {
		g := b.gated.forward(a, x, b.dilation) // (B, 2C, T)
		g = a.Mul(a.Tanh(a.Narrow(g, 1, 0, c.Channels)), a.Sigmoid(a.Narrow(g, 1, c.Channels, c.Channels)))
		g = b.both.forward(a, g, 1) // (B, C + Dim, T)
		x = a.Add(x, a.Narrow(g, 1, 0, c.Channels))
		skip := a.Narrow(g, 1, c.Channels, c.Dim)
		if i == 0 {
			skips = skip
			continue
		}
		skips = a.Add(skips, skip)
	}
	skips = a.MulScalar(skips, 1/math.Sqrt(float64(len(m.blocks))))
	return a.Relu(m.output.forward(a, a.Relu(skips), 1)) // (B, Dim, T)
}

// Output is what Forward returns. Tokens past Tokens[i]'s own count are zero.
type Output struct {
	Tokens tensor.T // (B, N, Dim)
	Vector tensor.T // (B, 2 Dim): mean over the frames, then maximum over the tokens
	Counts []int    // tokens of each row: frames / FramesPerToken, rounded up
}

// Forward encodes a batch. x is (B, Bands, T), of which row i has frames[i] >= 1; what follows is padding of any
// finite value. A last token of fewer than FramesPerToken frames is their mean.
func (m *Model) Forward(a *tensor.Arena, x tensor.T, frames []int) Output {
	shape := a.Shape(x)
	if len(shape) != 3 || shape[0] != int64(len(frames)) || shape[1] != m.config.Bands {
		a.Fail("wavenet", "want (%d, %d, T), found %v", len(frames), m.config.Bands, shape)
	}
	n := (shape[2] + FramesPerToken - 1) / FramesPerToken
	t := n * FramesPerToken
	out := Output{Counts: make([]int, len(frames))}
	mask := make([]float32, int64(len(frames))*t)
	perToken := make([]float32, int64(len(frames))*n)
	total := make([]float32, len(frames))
	for i, f := range frames {
		if f < 1 || int64(f) > shape[2] {
			a.Fail("wavenet", "row %d has %d frames, want 1 to %d", i, f, shape[2])
		}
		for j := range f {
			mask[int64(i)*t+int64(j)] = 1
		}
		for j := range n {
			perToken[int64(i)*n+j] = float32(min(max(int64(f)-j*FramesPerToken, 1), FramesPerToken))
		}
		total[i] = float32(f)
		out.Counts[i] = (f + FramesPerToken - 1) / FramesPerToken
	}
	b, d := shape[0], m.config.Dim
	x = a.Pad(x, 0, 0, t-shape[2])
	h := a.Mul(m.frames(a, x), a.FromFloat32(mask, b, 1, t))         // (B, D, T), in float32 from here on
	sums := a.Sum(a.Reshape(h, b, d, n, FramesPerToken), false, 3)   // (B, D, N)
	tokens := a.Div(sums, a.FromFloat32(perToken, b, 1, n))          // (B, D, N)
	mean := a.Div(a.Sum(sums, false, 2), a.FromFloat32(total, b, 1)) // (B, D)
	out.Vector = a.Cat(1, mean, a.Amax(tokens, false, 2))            // (B, 2D)
	out.Tokens = a.Contiguous(a.Transpose(tokens, 1, 2))             // (B, N, D)
	return out
}

// Classify returns the logits (B, Classes) of vectors (B, 2 Dim).
func (m *Model) Classify(a *tensor.Arena, vector tensor.T) tensor.T {
	return a.Squeeze(m.head.forward(a, a.ToPrecision(a.Unsqueeze(vector, 2)), 1), 2)
}
