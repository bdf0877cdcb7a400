package wavenet

import (
	"fmt"
	"math"

	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
)

// Fast is the net of a Model on kernels that are made for it, frame after frame: the same function, on the processor
// only. Channels and Dim are multiples of 16.
type Fast struct {
	config        Config
	team          *kernels.Team
	input, output *kernels.Linear
	blocks        []fastBlock
	// What up to fastFrames frames are computed in.
	pairs, gates, gated, path, skips []float32 // (n, 2 in), (n, 2 C) or (n, D), (n, C), (n, C + D), (n, D)
}

// fastBlock is a block whose dilated convolution is a product with the frame and the one that lies the dilation before.
type fastBlock struct {
	dilation    int
	gated, both *kernels.Linear
}

// fastFrames is how many frames go through the net at a time: what lies between two layers then stays in the cache, and
// a sound takes no more memory however long it is.
const fastFrames = 128

// NewFast copies the parameters of m. Free frees them.
func NewFast(a *tensor.Arena, m *Model, threads int, level kernels.Level) *Fast {
	c := m.config
	f := &Fast{
		config: c,
		team:   kernels.NewTeam(threads, level),
		input:  newFastConv(a, m.input, "input", 1),
		// The sum of the skip connections is divided after the rectifier, which is the same.
		output: newFastConv(a, m.output, "output", 1/math.Sqrt(float64(len(m.blocks)))),
		pairs:  make([]float32, fastFrames*2*max(c.Bands, c.Channels)),
		gates:  make([]float32, fastFrames*max(2*c.Channels, c.Dim)),
		gated:  make([]float32, fastFrames*c.Channels),
		path:   make([]float32, fastFrames*(c.Channels+c.Dim)),
		skips:  make([]float32, fastFrames*c.Dim),
	}
	for i, b := range m.blocks {
		f.blocks = append(f.blocks, fastBlock{
			dilation: int(b.dilation),
			gated:    newFastConv(a, b.gated, fmt.Sprintf("block%d.gated", i), 1),
			both:     newFastConv(a, b.both, fmt.Sprintf("block%d.both", i), 1),
		})
	}
	return f
}

// newFastConv packs the weight (out, in, width) of a convolution as a product with the frames under it, the earliest
// first.
func newFastConv(a *tensor.Arena, c conv, name string, scale float64) *kernels.Linear {
	w := a.MulScalar(c.weight, scale)
	out, in := int(a.Size(w, 0)), int(a.Size(w, 1)*a.Size(w, 2))
	l := kernels.NewLinear(a.Float32s(a.Transpose(w, 1, 2)), a.Float32s(c.bias), in, out)
	l.Name = name
	return l
}

// Config returns the net's shape.
func (f *Fast) Config() Config { return f.config }

// Free frees the net.
func (f *Fast) Free() {
	for _, b := range f.blocks {
		b.gated.Free()
		b.both.Free()
	}
	f.input.Free()
	f.output.Free()
	f.team.Free()
	*f = Fast{}
}

// Stream is a sound on its way through the net. What it gives does not depend on how the sound is cut, to the bit.
type Stream struct {
	net    *Fast
	before [][]float32 // of the input and of each block, what lies its dilation before the next frame and later
	frames int
	sums   []float32 // (D), of the frames of the token that is not complete
	total  []float32 // (D), of the tokens before
	most   []float32 // (D), of the tokens before
}

// Stream begins a sound. Streams of one Fast take turns: one goroutine at a time may call any of them.
func (f *Fast) Stream() *Stream {
	c := f.config
	s := &Stream{
		net: f, before: [][]float32{make([]float32, c.Bands)},
		sums: make([]float32, c.Dim), total: make([]float32, c.Dim), most: make([]float32, c.Dim),
	}
	for _, b := range f.blocks {
		s.before = append(s.before, make([]float32, b.dilation*int(c.Channels)))
	}
	return s
}

// Write takes the next frames, (n, Bands), and returns the tokens (m, Dim) that they complete.
func (s *Stream) Write(frames []float32) (tokens []float32) {
	bands := int(s.net.config.Bands)
	if len(frames)%bands != 0 {
		panic(fmt.Sprintf("wavenet: %d values are no frames of %d", len(frames), bands))
	}
	for len(frames) > 0 {
		n := min(len(frames)/bands, fastFrames)
		tokens = s.pool(s.forward(frames[:n*bands], n), tokens)
		frames = frames[n*bands:]
	}
	return tokens
}

// forward returns the output (n, Dim) of n frames, before its rectifier.
func (s *Stream) forward(frames []float32, n int) []float32 {
	f, channels, dim := s.net, int(s.net.config.Channels), int(s.net.config.Dim)
	wide := channels + dim
	x := f.gated // until the first block
	f.team.Multiply(f.input, s.pair(0, frames, int(f.config.Bands), n, 1), n, kernels.Keep, nil, x)
	clear(f.path[:n*wide])
	for i := range n {
		copy(f.path[i*wide:], x[i*channels:(i+1)*channels])
	}
	for i, b := range f.blocks {
		pairs := s.pair(1+i, f.path, wide, n, b.dilation)
		f.team.Multiply(b.gated, pairs, n, kernels.Keep, nil, f.gates)
		f.team.Gate(f.gates, n, channels, f.gated)
		f.team.Multiply(b.both, f.gated, n, kernels.Add, f.path, f.path) // the residual and the skip connection
	}
	for i := range n {
		for j, v := range f.path[i*wide+channels : (i+1)*wide] {
			f.skips[i*dim+j] = max(v, 0)
		}
	}
	out := f.gates[:n*dim]
	f.team.Multiply(f.output, f.skips, n, kernels.Keep, nil, out)
	return out
}

// pair returns (n, 2 in): beside each of n rows, the one that lies the dilation before it. The rows are the first values of
// those of x, which are wide; number says what the rows before are remembered by, and these take their place.
func (s *Stream) pair(number int, x []float32, wide, n, dilation int) []float32 {
	before := s.before[number]
	in := len(before) / dilation
	pairs := s.net.pairs
	for i := range n {
		row := x[i*wide : i*wide+in]
		copy(pairs[(2*i+1)*in:], row)
		if i < dilation {
			copy(pairs[2*i*in:], before[i*in:(i+1)*in])
		} else {
			copy(pairs[2*i*in:(2*i+1)*in], x[(i-dilation)*wide:])
		}
	}
	kept := copy(before, before[min(n, dilation)*in:]) / in
	for i := kept; i < dilation; i++ {
		copy(before[i*in:(i+1)*in], x[(n-dilation+i)*wide:])
	}
	return pairs
}

// pool rectifies the output h (n, Dim) and appends the means of the tokens that it completes.
func (s *Stream) pool(h, tokens []float32) []float32 {
	for dim := len(s.sums); len(h) > 0; h = h[dim:] {
		for j, v := range h[:dim] {
			s.sums[j] += max(v, 0)
		}
		if s.frames++; s.frames%FramesPerToken == 0 {
			tokens = s.token(tokens, FramesPerToken)
		}
	}
	return tokens
}

// token appends the mean of the frames of one token.
func (s *Stream) token(tokens []float32, frames int) []float32 {
	for j, v := range s.sums {
		mean := v / float32(frames)
		tokens = append(tokens, mean)
		s.total[j] += v
		s.most[j] = max(s.most[j], mean)
	}
	clear(s.sums)
	return tokens
}

// Close ends the sound, of at least one frame, and returns its last token if Write has not, and its vector (2 Dim), as
// Output has them.
func (s *Stream) Close() (tokens, vector []float32) {
	if s.frames == 0 {
		panic("wavenet: a sound without a frame")
	}
	if rest := s.frames % FramesPerToken; rest > 0 {
		tokens = s.token(nil, rest)
	}
	for _, v := range s.total {
		vector = append(vector, v/float32(s.frames))
	}
	return tokens, append(vector, s.most...)
}
