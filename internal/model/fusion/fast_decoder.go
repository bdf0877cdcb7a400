package fusion

import "consilium/internal/tensor/kernels"

// fastDecoder is a decoder on kernels. The keys and values of an attention are one layer.
type fastDecoder struct {
	norm1, norm2, norm3, memory, final fastNorm

	query, own, ownOut, ask, memorise, told, up, down *kernels.Linear
	toldBack, upBack, downBack                        *kernels.Linear // transposed
}

// queries are the rows of queries that are decoded together.
type queries struct {
	first, count int32 // rows
	heads        int32 // how many, from the first on, an output is made of; the others are a question's words
}

// asked is what decoding begins with, the same for every memory: queries behind the first block's attention to themselves.
type asked struct {
	x   []float32 // (N, D)
	ask []float32 // (N, D), the queries of what is read
}

// decoding decodes queries against some rows of a memory.
type decoding struct {
	queries       queries
	memory, count int32
	bias          int32 // the place of what is added to the logits of each row of the memory, -1 for nothing
	weights       int32 // the place of the last weights (H, heads, count), -1 if nobody wants them
}

// decoded is what came of decodings: of each its heads, in order.
type decoded struct {
	seen  []float32 // (M, D), what the last block had before its MLP
	x     []float32 // (M, D), behind it
	final []float32 // (M, D), normalised
}

// begin lets each of the queries x (N, D) attend to itself.
func (f *Fast) begin(all []queries, x []float32) asked {
	d := &f.decoder
	var own []kernels.Reading
	for _, q := range all {
		own = append(own, kernels.Reading{Query: q.first, Queries: q.count, Memory: q.first, Count: q.count, Out: q.first, Bias: -1, Weights: -1})
	}
	y := f.normalise(d.norm1, x)
	f.add(d.ownOut, f.read(own, f.rows(f.multiply(d.query, y, kernels.Keep)), f.memories(f.multiply(d.own, y, kernels.Keep)), nil, nil), x)
	return asked{x, f.multiply(d.ask, f.normalise(d.norm2, x), kernels.Keep)}
}

// memorise returns the keys and values (N, 2 D) of a memory (N, D).
func (f *Fast) memorise(memory []float32) []float32 {
	return f.multiply(f.decoder.memorise, f.normalise(f.decoder.memory, memory), kernels.Keep)
}

// decode runs decodings. Of the last block only the heads are computed.
func (f *Fast) decode(all []decoding, from asked, memory, bias, weights []float32) decoded {
	d, dim := &f.decoder, int32(f.config.Dim)
	var out decoded
	var x, ask []float32
	for block := range f.config.Depth {
		last := block == f.config.Depth-1
		// How many rows of each decoding there were and go on.
		had, rows := func(q queries) int32 { return q.count }, func(q queries) int32 { return q.count }
		if last {
			rows = func(q queries) int32 { return q.heads }
		}
		var own, cross []kernels.Reading
		in, to := int32(0), int32(0) // rows
		for _, c := range all {
			n := rows(c.queries)
			own = append(own, kernels.Reading{Query: to, Queries: n, Memory: in, Count: had(c.queries), Out: to, Bias: -1, Weights: -1})
			cross = append(cross, kernels.Reading{Query: to, Queries: n, Memory: c.memory, Count: c.count, Out: to, Bias: c.bias, Weights: -1})
			if last {
				cross[len(cross)-1].Weights = c.weights
			}
			in, to = in+had(c.queries), to+n
		}
		// What goes on, of x or, at first, of what all have in common.
		keep := func(from []float32, first func(i int) int32) []float32 {
			y := f.arena.take(int(to * dim))
			for i, r := range cross {
				copy(y[r.Out*dim:(r.Out+r.Queries)*dim], from[first(i)*dim:])
			}
			return y
		}
		if block == 0 {
			common := func(i int) int32 { return all[i].queries.first }
			x, ask = keep(from.x, common), keep(from.ask, common)
		} else {
			same := func(i int) int32 { return own[i].Memory }
			y := f.normalise(d.norm1, x)
			keys := f.multiply(d.own, y, kernels.Keep)
			x = keep(x, same)
			f.add(d.ownOut, f.read(own, f.rows(f.multiply(d.query, keep(y, same), kernels.Keep)), f.memories(keys), nil, nil), x)
			ask = f.multiply(d.ask, f.normalise(d.norm2, x), kernels.Keep)
		}
		f.add(d.told, f.read(cross, f.rows(ask), f.memories(memory), bias, weights), x)
		out.seen = x
		if last { // gradients go through both
			x = f.arena.take(len(x))
			copy(x, out.seen)
		}
		f.add(d.down, f.multiply(d.up, f.normalise(d.norm3, x), kernels.Silu), x)
	}
	out.x, out.final = x, f.normalise(d.final, x)
	return out
}

// rows are rows of D values, memories of 2 D.
func (f *Fast) rows(x []float32) kernels.Rows {
	return kernels.Rows{Values: x, Step: int(f.config.Dim)}
}
func (f *Fast) memories(x []float32) kernels.Rows {
	return kernels.Rows{Values: x, Step: 2 * int(f.config.Dim)}
}
