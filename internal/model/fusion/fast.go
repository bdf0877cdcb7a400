package fusion

import (
	"math"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// Fast is the net of a Model on kernels that are made for it: the same function, on the processor only. What requests of one call
// have in common is computed once. A head has a multiple of 32 values.
type Fast struct {
	config Config
	gate   Gate
	team   *kernels.Team

	inputs      [sources]fastInput
	kind, place []float32 // (3, D), (G*G, D)
	weight      []float32 // (H, 3, 3), the modality weight matrix
	crossing    struct {
		norm1, norm2       fastNorm
		all, out, up, down *kernels.Linear
	}
	contrast [modalities]*kernels.Linear

	decoder     fastDecoder
	answerQuery []float32 // (D)
	answer      *kernels.Linear
	findQueries []float32 // (F, D)
	findWeight  []float32 // (F, D)
	findBias    []float32 // (F)

	layers []*kernels.Linear // all of the above
	arena  arena
}

// fastInput brings the tokens of one source to D values.
type fastInput struct {
	norm    fastNorm
	project *kernels.Linear
}

type fastNorm struct{ weight, bias []float32 }

// normEpsilon is that of layer.Norm.
const normEpsilon = 1e-5

// NewFast copies the parameters p, which are those of m. Free frees them.
func NewFast(a *tensor.Arena, m *Model, p *tensor.Params, threads int, level kernels.Level) *Fast {
	c := m.config
	f := &Fast{config: c, gate: m.Gate(a), team: kernels.NewTeam(threads, level)}
	values := func(name string) []float32 { return a.Float32s(p.Tensor(name)) }
	// linear packs layers of the same input, their outputs side by side, and zeros up to a multiple of 16 behind them.
	linear := func(name string, layers ...string) *kernels.Linear {
		if layers == nil {
			layers = []string{name}
		}
		var weight, bias []float32
		for _, l := range layers {
			weight, bias = append(weight, values(l+".weight")...), append(bias, values(l+".bias")...)
		}
		return f.pack(name, weight, bias)
	}
	// back packs the transposed weight of a layer, for gradients.
	back := func(name string) *kernels.Linear {
		w := p.Tensor(name + ".weight")
		return f.pack(name+" back", a.Float32s(a.Transpose(w, 0, 1)), make([]float32, a.Size(w, 1)))
	}
	norm := func(name string) fastNorm { return fastNorm{values(name + ".weight"), values(name + ".bias")} }

	for from, name := range [sources]string{"text", "image", "audio", "radiograph"} {
		f.inputs[from] = fastInput{norm("bridge." + name + ".norm"), linear("bridge." + name + ".project")}
	}
	for i, name := range names {
		f.contrast[i] = linear("bridge." + name + ".contrast")
	}
	f.kind, f.weight = values("bridge.kind"), values("bridge.modality_weight")
	row, col, d := values("bridge.row"), values("bridge.col"), int(c.Dim)
	for y := range int(c.Grid) {
		for x := range int(c.Grid) {
			for i := range d {
				f.place = append(f.place, row[y*d+i]+col[x*d+i])
			}
		}
	}
	f.crossing.norm1, f.crossing.norm2 = norm("bridge.norm1"), norm("bridge.norm2")
	f.crossing.all = linear("bridge.attend", "bridge.attend.query", "bridge.attend.key", "bridge.attend.value")
	f.crossing.out = linear("bridge.attend.out")
	f.crossing.up, f.crossing.down = linear("bridge.mlp.up"), linear("bridge.mlp.down")

	f.decoder = fastDecoder{
		norm1: norm("decoder.norm1"), norm2: norm("decoder.norm2"), norm3: norm("decoder.norm3"),
		memory: norm("decoder.memory"), final: norm("decoder.final"),
		query: linear("decoder.self.query"), own: linear("decoder.self", "decoder.self.key", "decoder.self.value"), ownOut: linear("decoder.self.out"),
		ask: linear("decoder.cross.query"), memorise: linear("decoder.cross", "decoder.cross.key", "decoder.cross.value"),
		told: linear("decoder.cross.out"), up: linear("decoder.mlp.up"), down: linear("decoder.mlp.down"),
		toldBack: back("decoder.cross.out"), upBack: back("decoder.mlp.up"), downBack: back("decoder.mlp.down"),
	}
	f.answerQuery, f.answer = values("answer.query"), linear("answer")
	f.findQueries, f.findWeight, f.findBias = values("finding.query"), values("finding.weight"), values("finding.bias")
	return f
}

// pack makes a layer of weight (out, in) and bias (out).
func (f *Fast) pack(name string, weight, bias []float32) *kernels.Linear {
	in, out := len(weight)/len(bias), (len(bias)+15)/16*16
	l := kernels.NewLinear(append(weight, make([]float32, out*in-len(weight))...), append(bias, make([]float32, out-len(bias))...), in, out)
	l.Name = name
	f.layers = append(f.layers, l)
	return l
}

// Free frees the net.
func (f *Fast) Free() {
	for _, l := range f.layers {
		l.Free()
	}
	f.team.Free()
	*f = Fast{}
}

// Read answers requests, each as if it were alone. One goroutine at a time may call it or Align.
func (f *Fast) Read(inputs []Input) []Result {
	f.arena.reset()
	c := f.plan(inputs)
	c.embed()
	c.alone()
	c.weigh()
	c.cross()
	c.together()
	return c.results
}

// Align returns the contrastive vector (C) of one modality's tokens, as Model.Align does.
func (f *Fast) Align(modality int, tokens []float32) []float32 {
	f.arena.reset()
	in := f.inputs[modality]
	rows, d := len(tokens)/in.project.In, int(f.config.Dim)
	x := f.multiply(in.project, f.normalise(in.norm, tokens), kernels.Keep)
	mean := f.arena.take(d)
	clear(mean)
	for r := range rows {
		for i, v := range x[r*d : (r+1)*d] {
			if mean[i] += v + f.kind[modality*d+i]; modality == Image {
				mean[i] += f.place[r*d+i]
			}
		}
	}
	for i := range mean {
		mean[i] /= float32(rows) + 1e-6
	}
	vector := append([]float32(nil), f.multiply(f.contrast[modality], mean, kernels.Keep)[:f.config.ContrastDim]...)
	square := 1e-8
	for _, v := range vector {
		square += float64(v) * float64(v)
	}
	for i := range vector {
		vector[i] /= float32(math.Sqrt(square))
	}
	return vector
}

// multiply returns f(x W + b), (rows, out), of x (rows, in).
func (f *Fast) multiply(l *kernels.Linear, x []float32, after kernels.After) []float32 {
	rows := len(x) / l.In
	y := f.arena.take(rows * l.Out)
	f.team.Multiply(l, x, rows, after, nil, y)
	return y
}

// add adds y W + b to x (rows, out).
func (f *Fast) add(l *kernels.Linear, y, x []float32) {
	f.team.Multiply(l, y, len(x)/l.Out, kernels.Add, x, x)
}

// normalise returns x normalised, (rows, D).
func (f *Fast) normalise(n fastNorm, x []float32) []float32 {
	y := f.arena.take(len(x))
	copy(y, x)
	f.team.Norm(y, len(x)/len(n.weight), n.weight, n.bias, normEpsilon)
	return y
}

// read returns what readings read, rows of D values.
func (f *Fast) read(readings []kernels.Reading, q, memory kernels.Rows, bias, weights []float32) []float32 {
	last, d := readings[len(readings)-1], int(f.config.Dim)
	y := f.arena.take(int(last.Out+last.Queries) * d)
	f.team.Read(readings, d, int(f.config.Heads), q, memory, bias, y, weights)
	return y
}

// arena is memory for what lies between the layers, until the next call.
type arena struct {
	memory []float32
	used   int
}

// kept is how many values an arena keeps from call to call: those of a question with a picture, asked thrice.
const kept = 1 << 20

func (a *arena) reset() { a.used = 0 }

// take returns n values, which may hold anything.
func (a *arena) take(n int) []float32 {
	if a.memory == nil {
		a.memory = make([]float32, kept)
	}
	if a.used+n > len(a.memory) {
		return make([]float32, n)
	}
	a.used += n
	return a.memory[a.used-n : a.used : a.used]
}
