// Package unet is a U-Net that finds the pixels of organs and of lesions in a grey picture.
package unet

import (
	"encoding/json"
	"fmt"

	"consilium/internal/tensor"
)

// Step is what the sides of a picture are multiples of: the encoder halves it five times.
const Step = 32

// groups is how many groups of channels the decoder's normalisations have.
const groups = 8

// Config is the shape of a Model.
type Config struct {
	Classes []string `json:"classes"` // what is found, one mask each; masks may overlap
	Side    int64    `json:"side"`    // pixels of the pictures that it was trained on, each way
	Widths  []int64  `json:"widths"`  // channels of the decoder's four levels, from the coarsest on
	// Mirrored says that it was trained on mirror images as well, so that a picture can be looked at twice.
	Mirrored bool `json:"mirrored"`
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
		return c, fmt.Errorf("read the U-Net's config: %w", err)
	}
	return c, c.Check()
}

// Check returns an error unless a net can have this shape.
func (c Config) Check() error {
	if len(c.Classes) == 0 || c.Side < Step || c.Side%Step != 0 || len(c.Widths) != len(taps) {
		return fmt.Errorf("a U-Net of %d classes, pictures of %d pixels and %d levels: want a class or more, a multiple of %d and %d",
			len(c.Classes), c.Side, len(c.Widths), Step, len(taps))
	}
	for _, w := range c.Widths {
		if w <= 0 || w%groups != 0 {
			return fmt.Errorf("a U-Net with a level of %d channels: want a multiple of %d", w, groups)
		}
	}
	return nil
}

// Model is a U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) whose contracting half is an
// EfficientNet-Lite0, so that it can begin with what ImageNet teaches: a few hundred films are too few to learn edges
// from. The expanding half is as in the paper, normalised by groups, since batches are small.
type Model struct {
	config  Config
	encoder *encoder
	levels  []level
	head    tensor.T // (classes, width, 1, 1)
	bias    tensor.T // (classes)
}

// New builds the net. It keeps no tensor but params'.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	return decode(a, p, c, newEncoder(a, p.Sub("encoder")))
}

// Extend builds a net of other classes on the encoder of base: the parameters are those of the decoder alone.
func Extend(a *tensor.Arena, p *tensor.Params, c Config, base *Model) *Model {
	return decode(a, p, c, base.encoder)
}

func decode(a *tensor.Arena, p *tensor.Params, c Config, e *encoder) *Model {
	if err := c.Check(); err != nil {
		a.Fail("unet", "%v", err)
	}
	m := &Model{config: c, encoder: e}
	in := m.encoder.out
	for i, width := range c.Widths {
		skip := m.encoder.skips[len(m.encoder.skips)-1-i]
		m.levels = append(m.levels, newLevel(a, p.Sub("decoder").Sub(fmt.Sprint(i)), in+skip, width))
		in = width
	}
	m.head = p.Get(a, "head.weight", tensor.Fan(in), int64(len(c.Classes)), in, 1, 1)
	m.bias = p.Get(a, "head.bias", tensor.Constant(0), int64(len(c.Classes)))
	return m
}

// Config returns the shape.
func (m *Model) Config() Config { return m.config }

// Forward returns the logits (B, classes, H, W) of the grey pictures x (B, 1, H, W); H and W are multiples of Step. Each
// picture is brought to mean 0 and variance 1 first, so that neither its exposure nor its window counts.
func (m *Model) Forward(a *tensor.Arena, x tensor.T) tensor.T {
	return forward(a, x, m)[0]
}

// forward runs the encoder of the first model, which the others share, and the decoder of each.
func forward(a *tensor.Arena, x tensor.T, models ...*Model) []tensor.T {
	s := a.Shape(x)
	if len(s) != 4 || s[1] != 1 || s[2] < Step || s[3] < Step || s[2]%Step != 0 || s[3]%Step != 0 {
		a.Fail("unet", "input of shape %v, want [B 1 H W], H and W multiples of %d", s, Step)
	}
	deepest, skips := models[0].encoder.forward(a, a.ToPrecision(standardise(a, x))) // (B, 320, H/32, W/32)
	logits := make([]tensor.T, len(models))
	for n, m := range models {
		y := deepest
		for i, l := range m.levels {
			y = l.forward(a, y, skips[len(skips)-1-i]) // (B, width, H/16, W/16) and so on to H/2, W/2
		}
		y = a.Conv2d(y, m.head, m.bias, 1, 0, 1) // (B, classes, H/2, W/2)
		logits[n] = a.UpsampleBilinear(a.ToKind(y, tensor.Float), s[2], s[3])
	}
	return logits
}

// Logits runs some models with the same encoder, and returns of each (B, classes, H, W). Where the first was trained on
// mirror images they are the mean of those of the picture and of its mirror image, turned back. Nothing can be
// differentiated by it.
func Logits(a *tensor.Arena, x tensor.T, models ...*Model) []tensor.T {
	const columns = 3
	start := a.Mark()
	straight := forward(a, x, models...)
	a.Release(start, straight...)
	if !models[0].config.Mirrored {
		return straight
	}
	mark := a.Mark()
	mirrored := forward(a, a.Flip(x, columns), models...)
	a.Release(mark, mirrored...)
	for i := range straight {
		straight[i] = a.MulScalar(a.Add(straight[i], a.Flip(mirrored[i], columns)), 0.5)
	}
	a.Release(start, straight...)
	return straight
}

// standardise brings every picture (B, 1, H, W) of values from 0 to 1 to mean 0 and variance 1. A plain one becomes 0.
func standardise(a *tensor.Arena, x tensor.T) tensor.T {
	const darkest = 1.0 / 255 // one step of grey keeps the noise of a plain picture small
	x = a.Sub(x, a.Mean(x, true, 1, 2, 3))
	deviation := a.Sqrt(a.Mean(a.Square(x), true, 1, 2, 3))
	return a.Div(x, a.AddScalar(deviation, darkest))
}

// level enlarges twice, joins the encoder's picture of that size and convolves twice.
type level struct {
	first, second  tensor.T // (width, in, 3, 3) and (width, width, 3, 3)
	weight1, bias1 tensor.T // of the normalisations, (width)
	weight2, bias2 tensor.T
}

func newLevel(a *tensor.Arena, p *tensor.Params, in, width int64) level {
	const kernel = 3
	norm := func(name string) (weight, bias tensor.T) {
		return p.Get(a, name+".weight", tensor.Constant(1), width), p.Get(a, name+".bias", tensor.Constant(0), width)
	}
	var l level
	l.first = p.Get(a, "first.weight", tensor.Fan(in*kernel*kernel), width, in, kernel, kernel)
	l.weight1, l.bias1 = norm("first_norm")
	l.second = p.Get(a, "second.weight", tensor.Fan(width*kernel*kernel), width, width, kernel, kernel)
	l.weight2, l.bias2 = norm("second_norm")
	return l
}

// forward takes x (B, C, h, w) and skip (B, S, 2h, 2w) to (B, width, 2h, 2w).
func (l level) forward(a *tensor.Arena, x, skip tensor.T) tensor.T {
	const eps = 1e-5
	x = a.Cat(1, a.UpsampleNearest(x, a.Size(skip, 2), a.Size(skip, 3)), skip) // (B, C+S, 2h, 2w)
	x = a.Relu(a.GroupNorm(a.Conv2d(x, l.first, tensor.T{}, 1, 1, 1), groups, l.weight1, l.bias1, eps))
	return a.Relu(a.GroupNorm(a.Conv2d(x, l.second, tensor.T{}, 1, 1, 1), groups, l.weight2, l.bias2, eps))
}
