package sentence

import (
	"slices"

	"consilium/internal/tensor"
)

// Input is what one sentence is written from.
type Input struct {
	Image []float32 // (G*G, ImageDim)
	// Judged has the probability of each observation that was judged, and Present those that are there.
	Judged  map[string]float64
	Present map[string]bool
	// Asserts is what the sentence is to state: whether each of these observations is there.
	Asserts     map[string]bool
	Side        string // right, left or both, "" if it is not to name one
	GroundGlass bool   // whether it may say ground glass
}

const (
	stateValues = 3 // of a node: whether it was judged, whether it is present, its probability
	placeValues = 4 // right, left, both, ground glass
)

// Batch is the input of a batch as tensors.
type Batch struct {
	Image tensor.T // (B, G*G, ImageDim)
	Nodes tensor.T // (B, N, N + 3): which observation it is, and its state
	Edges tensor.T // (1, 2, N, N): from parents to children and back
	Begin tensor.T // (B, 2 N + 4): what to state as present, what as absent, where
}

// Batch makes tensors of inputs.
func (c Config) Batch(a *tensor.Arena, inputs []*Input) Batch {
	b, n := int64(len(inputs)), int64(len(c.Observations))
	var image, nodes, begin []float32
	flag := func(on bool) float32 {
		if on {
			return 1
		}
		return 0
	}
	for _, in := range inputs {
		image = append(image, in.Image...)
		for i, o := range c.Observations {
			row := make([]float32, n, n+stateValues)
			row[i] = 1
			p, judged := in.Judged[o]
			nodes = append(nodes, append(row, flag(judged), flag(in.Present[o]), float32(p))...)
		}
		for _, wanted := range []bool{true, false} {
			for _, o := range c.Observations {
				present, ok := in.Asserts[o]
				begin = append(begin, flag(ok && present == wanted))
			}
		}
		begin = append(begin, flag(in.Side == "right"), flag(in.Side == "left"), flag(in.Side == "both"), flag(in.GroundGlass))
	}
	return Batch{
		Image: a.FromFloat32(image, b, c.Grid*c.Grid, c.ImageDim),
		Nodes: a.FromFloat32(nodes, b, n, n+stateValues),
		Edges: a.FromFloat32(c.edges(), 1, 2, n, n),
		Begin: a.FromFloat32(begin, b, 2*n+placeValues),
	}
}

// edges are those of the graph, (2, N, N).
func (c Config) edges() []float32 {
	n := len(c.Observations)
	out := make([]float32, 2*n*n)
	for child, o := range c.Observations {
		if parent := slices.Index(c.Observations, c.Parents[o]); parent >= 0 {
			out[child*n+parent] = 1
			out[n*n+parent*n+child] = 1
		}
	}
	return out
}

// NodeDim is the number of values of a node.
func (c Config) NodeDim() int64 { return int64(len(c.Observations)) + stateValues }

// BeginDim is the number of values of what is to be stated.
func (c Config) BeginDim() int64 { return 2*int64(len(c.Observations)) + placeValues }
