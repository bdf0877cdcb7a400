package layer

import "consilium/internal/tensor"

// Steps is attention of a causal decoder to the tokens that it has written, one a step, in as few operators as that takes: each
// costs more than its arithmetic on a single token.
type Steps struct {
	all   *Linear // the query, the key and the value side by side
	out   *Linear
	heads int64
	seen  tensor.T // keys and values (B, 2, H, S, D/H); no tensor before the first step
}

// Steps returns attentions that have seen nothing, of the same weights, of which a decoder has one for each time that it applies m.
func (m *Attention) Steps(a *tensor.Arena, n int) []*Steps {
	all := &Linear{
		weight: a.Cat(0, m.query.weight, m.key.weight, m.value.weight),
		bias:   a.Cat(0, m.query.bias, m.key.bias, m.value.bias),
	}
	steps := make([]*Steps, n)
	for i := range steps {
		steps[i] = &Steps{all: all, out: m.out, heads: m.heads}
	}
	return steps
}

// Next remembers x (B, 1, D) and returns what it reads from itself and all before it, (B, 1, D).
func (s *Steps) Next(a *tensor.Arena, x tensor.T) tensor.T {
	shape := a.Shape(x)
	b, d := shape[0], shape[2]
	all := a.Reshape(s.all.Forward(a, x), b, 3, s.heads, 1, d/s.heads)
	if now := a.Narrow(all, 1, 1, 2); s.seen.Defined() {
		s.seen = a.Cat(3, s.seen, now)
	} else {
		s.seen = now
	}
	y := a.AttentionUnmasked(a.Select(all, 1, 0), a.Select(s.seen, 1, 0), a.Select(s.seen, 1, 1)) // (B, H, 1, D/H)
	return s.out.Forward(a, a.Reshape(y, b, 1, d))
}

// Pick goes on with some rows (R) of the batch, in their order.
func (s *Steps) Pick(a *tensor.Arena, rows tensor.T) { s.seen = a.IndexSelect(s.seen, 0, rows) }

// Seen is what has to be kept between two steps.
func (s *Steps) Seen() tensor.T { return s.seen }
