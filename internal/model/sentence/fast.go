package sentence

import (
	"slices"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// Fast takes the steps of a Model on kernels that are made for them: the same function, on the processor only. What is read
// still comes from the Model, once a sentence.
type Fast struct {
	config       Config
	team         *kernels.Team
	words, place []float32 // (V, D), (1 + Length, D)

	own, ownOut, ask, answer, up, down, out *kernels.Linear
	norm1, norm2, norm3, final              fastNorm
}

type fastNorm struct{ weight, bias []float32 }

// normEpsilon is that of layer.Norm.
const normEpsilon = 1e-5

// Hasten has Write take its steps on kernels from now on; p are the parameters that m was made of. A head has a
// multiple of 16 values. Free frees them.
func (m *Model) Hasten(a *tensor.Arena, p *tensor.Params, level kernels.Level) {
	values := func(name string) []float32 { return a.Float32s(p.Tensor(name)) }
	// linear packs layers of the same input, their outputs side by side, and zeros up to a multiple of 16 behind them.
	linear := func(name string, layers ...string) *kernels.Linear {
		var weight, bias []float32
		for _, l := range layers {
			weight, bias = append(weight, values(l+".weight")...), append(bias, values(l+".bias")...)
		}
		in, out := len(weight)/len(bias), (len(bias)+15)/16*16
		l := kernels.NewLinear(append(weight, make([]float32, out*in-len(weight))...), append(bias, make([]float32, out-len(bias))...), in, out)
		l.Name = name
		return l
	}
	norm := func(name string) fastNorm {
		return fastNorm{values("decoder." + name + ".weight"), values("decoder." + name + ".bias")}
	}
	m.fast = &Fast{
		config: m.config, team: kernels.NewTeam(1, level), words: values("words"), place: values("place"),
		own:    linear("decoder.self", "decoder.self.query", "decoder.self.key", "decoder.self.value"),
		ownOut: linear("decoder.self.out", "decoder.self.out"),
		ask:    linear("decoder.cross.query", "decoder.cross.query"),
		answer: linear("decoder.cross.out", "decoder.cross.out"),
		up:     linear("decoder.mlp.up", "decoder.mlp.up"),
		down:   linear("decoder.mlp.down", "decoder.mlp.down"),
		out:    linear("out", "out"),
		norm1:  norm("norm1"), norm2: norm("norm2"), norm3: norm("norm3"), final: norm("final"),
	}
}

// Free frees what Hasten made.
func (m *Model) Free() {
	if f := m.fast; f != nil {
		for _, l := range []*kernels.Linear{f.own, f.ownOut, f.ask, f.answer, f.up, f.down, f.out} {
			l.Free()
		}
		f.team.Free()
		m.fast = nil
	}
}

// fastSteps is a sentence that a Fast writes.
type fastSteps struct {
	net          *Fast
	keys, values []float32   // of what every row reads, (S, D)
	own          [][]written // of each application of the block, what each row has written
	at           int         // position of the next word
}

// written is the keys and values (t, D) of the words of one row.
type written struct{ keys, values []float32 }

func (s *fastSteps) next(words []int64) []float32 {
	d := int(s.net.config.Dim)
	x := make([]float32, 0, len(words)*d)
	for _, word := range words {
		x = append(x, s.net.words[int(word)*d:int(word+1)*d]...)
	}
	return s.step(x)
}

// step returns the logits (R, V) of the word that follows the tokens x (R, D), which it overwrites.
func (s *fastSteps) step(x []float32) []float32 {
	f, d := s.net, int(s.net.config.Dim)
	rows := len(x) / d
	place := f.place[s.at*d : (s.at+1)*d]
	for i := range x {
		x[i] += place[i%d]
	}
	s.at++
	if s.own == nil {
		s.own = make([][]written, f.config.Depth)
		for i := range s.own {
			s.own[i] = make([]written, rows)
		}
	}
	y, all, seen, inner := make([]float32, rows*d), make([]float32, 3*rows*d), make([]float32, rows*d), make([]float32, rows*f.up.Out)
	heads := int(f.config.Heads)
	for _, own := range s.own {
		f.normalise(f.norm1, x, y)
		f.team.Multiply(f.own, y, rows, kernels.Keep, nil, all)
		for r := range own {
			w, row := &own[r], all[3*r*d:3*(r+1)*d]
			w.keys, w.values = append(w.keys, row[d:2*d]...), append(w.values, row[2*d:]...)
			f.team.Look(row[:d], w.keys, w.values, heads, seen[r*d:])
		}
		f.team.Multiply(f.ownOut, seen, rows, kernels.Add, x, x)
		f.normalise(f.norm2, x, y)
		f.team.Multiply(f.ask, y, rows, kernels.Keep, nil, all)
		for r := range rows {
			f.team.Look(all[r*d:(r+1)*d], s.keys, s.values, heads, seen[r*d:])
		}
		f.team.Multiply(f.answer, seen, rows, kernels.Add, x, x)
		f.normalise(f.norm3, x, y)
		f.team.Multiply(f.up, y, rows, kernels.Silu, nil, inner)
		f.team.Multiply(f.down, inner, rows, kernels.Add, x, x)
	}
	f.normalise(f.final, x, y)
	wide, vocabulary := make([]float32, rows*f.out.Out), len(f.config.Words)
	f.team.Multiply(f.out, y, rows, kernels.Keep, nil, wide)
	logits := make([]float32, 0, rows*vocabulary)
	for r := range rows {
		logits = append(logits, wide[r*f.out.Out:r*f.out.Out+vocabulary]...)
	}
	return logits
}

func (f *Fast) normalise(n fastNorm, x, y []float32) {
	copy(y, x)
	f.team.Norm(y, len(x)/len(n.weight), n.weight, n.bias, normEpsilon)
}

func (s *fastSteps) pick(rows []int64) {
	for i, own := range s.own {
		picked, gone := make([]written, len(rows)), make([]bool, len(own))
		for j, row := range rows {
			w := own[row]
			if gone[row] { // it goes on in more than one way
				w = written{slices.Clone(w.keys), slices.Clone(w.values)}
			}
			picked[j], gone[row] = w, true
		}
		s.own[i] = picked
	}
}
