package fusion

import (
	"math"

	"consilium/internal/tensor/kernels"
)

// maps are Model.Activations of a request whose heads were decoded from a row on: the gradient of each finding's logit by the
// weights (H, F, count) of the last reading, by hand. A finding's query is alone from there on, so each row has its own gradient.
func (c *call) maps(r request, weights, keys []float32, out decoded, row int32) []float32 {
	d, findings, heads := int(c.config.Dim), int(r.joined.queries.heads), int(c.config.Heads)
	rows := func(x []float32) []float32 { return x[int(row)*d : (int(row)+findings)*d] }
	seen := rows(out.seen)
	// The logit is the product of the normalised row with the finding's weight.
	g := c.arena.take(findings * d)
	copy(g, c.findWeight)
	backNorm(c.decoder.final, rows(out.x), g)
	// Through the MLP, beside the residual.
	up := c.multiply(c.decoder.up, c.normalise(c.decoder.norm3, seen), kernels.Keep)
	inner := c.multiply(c.decoder.downBack, g, kernels.Keep)
	for i, v := range up {
		s := 1 / (1 + math.Exp(-float64(v)))
		inner[i] *= float32(s * (1 + float64(v)*(1-s)))
	}
	through := c.multiply(c.decoder.upBack, inner, kernels.Keep)
	backNorm(c.decoder.norm3, seen, through)
	sum(g, through)
	read := c.multiply(c.decoder.toldBack, g, kernels.Keep) // (F, D), by what each head has read

	first, cells := c.image(r)
	count, head := int(r.joined.count), d/heads
	maps := make([]float32, findings*cells)
	for f := range findings {
		grid := maps[f*cells : (f+1)*cells]
		for h := range heads {
			for i := range grid {
				value := keys[(int(r.joined.memory)+first+i)*2*d+d+h*head:]
				gradient := float32(0)
				for k, v := range read[f*d+h*head : f*d+(h+1)*head] {
					gradient += v * value[k]
				}
				grid[i] += max(0, gradient*weights[(h*findings+f)*count+first+i])
			}
		}
		most := float32(0)
		for i := range grid {
			grid[i] /= float32(heads)
			most = max(most, grid[i])
		}
		for i := range grid {
			grid[i] /= min(max(most, nothing), 1/nothing)
		}
	}
	return maps
}

// backNorm turns gradients g (rows, D) by normalised rows into those by the rows x before.
func backNorm(n fastNorm, x, g []float32) {
	d := len(n.weight)
	for ; len(x) > 0; x, g = x[d:], g[d:] {
		mean, square := 0.0, 0.0
		for _, v := range x[:d] {
			mean += float64(v) / float64(d)
		}
		for _, v := range x[:d] {
			square += (float64(v) - mean) * (float64(v) - mean) / float64(d)
		}
		scale := 1 / math.Sqrt(square+normEpsilon)
		var total, along float64 // means of the gradient, and of its product with the normalised row
		for i, v := range x[:d] {
			by := float64(g[i]) * float64(n.weight[i])
			total += by / float64(d)
			along += by * (float64(v) - mean) * scale / float64(d)
		}
		for i, v := range x[:d] {
			by := float64(g[i]) * float64(n.weight[i])
			g[i] = float32(scale * (by - total - (float64(v)-mean)*scale*along))
		}
	}
}
