package textencoder

import "consilium/internal/analysis"

// Config says how a text encoder runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// GPUPrecision is what the net computes in on a CUDA device: fp32, also if it is empty, bf16 or fp16.
	GPUPrecision string
	// Threads is how many threads compute together, 0 for one a core, at most maxThreads, on the kernels of the
	// processor, which give no piece of the work to a thread that is kept waiting; else for half of the cores.
	Threads int
	// Precision is what the linear layers compute in; int8.json names those that have 8 bits.
	Precision analysis.Precision `env:"TEXT_PRECISION" envDefault:"fp32"`
}

// maxThreads is how many threads still find work of their own in a layer of 384 outputs.
const maxThreads = 8

const (
	// MaxTokens is the longest sequence, with [CLS] and [SEP]; the net was tuned on no longer ones.
	MaxTokens = 256
	// MaxTexts is how many texts one call may hold.
	MaxTexts = 128
	// MaxTextBytes bounds one text.
	MaxTextBytes = analysis.MaxTextBytes
)

const (
	// batchTokens bounds a forward pass on the processor: 4096 tokens need about 90 MB.
	batchTokens = 4096
	// tokenBytes is thrice what a token needs in float32, since memory is in pieces.
	tokenBytes = 64 << 10
	// queue is how many texts may wait.
	queue = 1024
)
