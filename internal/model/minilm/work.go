package minilm

import "strings"

// Work returns the floating-point operations of one sequence of that many tokens, two for a multiplication with its
// addition: those of the linear layers and of attention, beside which the rest is small.
func (c Config) Work(tokens int) float64 {
	t, d, inner := float64(tokens), float64(c.Dim), float64(c.Inner)
	linear := 4*d*d + 2*d*inner // of one token and layer: query, key, value, out; up, down
	attention := 2 * t * d      // scores, and the sum that they weigh
	return 2 * t * float64(c.Layers) * (linear + attention)
}

// LayerWork returns the multiplications with an addition that a token costs in a layer of a Plan.
func (c Config) LayerWork(layer string) float64 {
	d, inner := float64(c.Dim), float64(c.Inner)
	_, name, _ := strings.Cut(layer, ".")
	return map[string]float64{"qkv": 3 * d * d, "out": d * d, "up": d * inner, "down": d * inner}[name]
}
