package minilm

// Work returns the floating-point operations of one sequence of that many tokens, two for a multiplication with its
// addition: those of the linear layers and of attention, beside which the rest is small.
func (c Config) Work(tokens int) float64 {
	t, d, inner := float64(tokens), float64(c.Dim), float64(c.Inner)
	linear := 4*d*d + 2*d*inner // of one token and layer: query, key, value, out; up, down
	attention := 2 * t * d      // scores, and the sum that they weigh
	return 2 * t * float64(c.Layers) * (linear + attention)
}
