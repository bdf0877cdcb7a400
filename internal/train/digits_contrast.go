package train

import (
	"math/rand/v2"

	"consilium/internal/dataset/triples"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// tripleBatch is the parts of triples whose common space is learnt.
type tripleBatch struct {
	parts  [triples.Parts]packed
	digits []int
}

// drawPairs draws n triples, whose features d holds. Their pictures and sounds are whole or, a quarter of them,
// corrupted lightly, so that a picture finds its sound when neither is perfect.
func (t *digitTriples) drawPairs(rng *rand.Rand, d *vqaData, n int) tripleBatch {
	var rows [triples.Parts][]int
	var digits []int
	for range n {
		digit := rng.IntN(10)
		digits = append(digits, digit)
		for part := range rows {
			strength := 0
			if part != triples.Text && rng.IntN(4) == 0 {
				strength = 1
			}
			rows[part] = append(rows[part], pick(rng, t.train[part][digit][strength]))
		}
	}
	return d.tripleBatch(rows, digits)
}

func (d *vqaData) tripleBatch(rows [triples.Parts][]int, digits []int) tripleBatch {
	b := tripleBatch{digits: digits}
	for part, set := range []*featureSet{d.text, d.image, d.audio} {
		b.parts[part] = set.gather(nil, rows[part])
	}
	return b
}

// contrast is the mean InfoNCE of the three pairs of modalities.
func (b tripleBatch) contrast(a *tensor.Arena, m *fusion.Model) tensor.T {
	x := b.align(a, m)
	var loss tensor.T
	for i := range x {
		loss = sum(a, loss, infoNCE(a, m, x[i], x[(i+1)%len(x)], b.digits))
	}
	return a.DivScalar(loss, triples.Parts)
}

// align returns the contrastive vectors (n, C) of each part.
func (b tripleBatch) align(a *tensor.Arena, m *fusion.Model) (x [triples.Parts]tensor.T) {
	for part, p := range b.parts {
		x[part] = m.Align(a, part, p.tokens(a))
	}
	return x
}
