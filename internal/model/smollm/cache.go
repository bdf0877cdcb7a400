package smollm

import "consilium/internal/tensor"

// Cache keeps the keys and values of tokens that were read, so that each is computed once. Its tensors belong to the
// arena.
type Cache struct{ layers []Memory }

// Memory is what the queries of one layer attend to: keys and values (B, K, S, D/H).
type Memory struct{ keys, values tensor.T }

// with returns the memory with further keys and values behind its own.
func (m Memory) with(a *tensor.Arena, keys, values tensor.T) Memory {
	if !m.keys.Defined() {
		return Memory{keys, values}
	}
	return Memory{a.Cat(2, m.keys, keys), a.Cat(2, m.values, values)}
}

// Length is the number of tokens in the cache.
func (c *Cache) Length(a *tensor.Arena) int64 {
	if len(c.layers) == 0 {
		return 0
	}
	return a.Size(c.layers[0].keys, 2)
}

// Tensors lists what has to outlive a step.
func (c *Cache) Tensors() []tensor.T {
	var all []tensor.T
	for _, m := range c.layers {
		all = append(all, m.keys, m.values)
	}
	return all
}

// Pick returns a cache of the rows of the batch at the given positions, of which one may stand there several times.
func (c *Cache) Pick(a *tensor.Arena, rows []int64) *Cache {
	index := a.FromInt64(rows, int64(len(rows)))
	picked := &Cache{}
	for _, m := range c.layers {
		picked.layers = append(picked.layers, Memory{a.IndexSelect(m.keys, 0, index), a.IndexSelect(m.values, 0, index)})
	}
	return picked
}
