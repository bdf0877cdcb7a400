package layer

import "consilium/internal/tensor"

// Append returns a memory with that of later tokens behind it: a causal decoder keeps what it has memorised and adds one
// token a step.
func (m Memory) Append(a *tensor.Arena, later Memory) Memory {
	if !m.keys.Defined() {
		return later
	}
	return Memory{keys: a.Cat(2, m.keys, later.keys), values: a.Cat(2, m.values, later.values)}
}

// Pick returns the memory of some rows (R) of the batch, in their order.
func (m Memory) Pick(a *tensor.Arena, rows tensor.T) Memory {
	return Memory{keys: a.IndexSelect(m.keys, 0, rows), values: a.IndexSelect(m.values, 0, rows)}
}

// Tensors returns what has to be kept of the memory.
func (m Memory) Tensors() []tensor.T { return []tensor.T{m.keys, m.values} }
