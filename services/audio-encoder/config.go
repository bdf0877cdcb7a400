package audioencoder

// Config says how an audio encoder runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// GPUPrecision is what the net computes in on a CUDA device: fp32, also if it is empty, bf16 or fp16.
	GPUPrecision string
	// Threads is how many threads compute together, 0 for half of the cores.
	Threads int
}

// maxThreads is how many threads still find work of their own in a layer of 192 outputs.
const maxThreads = 4

const (
	// TokenDim is the size of a token; there are 12.5 tokens a second.
	TokenDim = 128
	// VectorDim is the size of the pooled vector: the mean over the frames, then the maximum over the tokens.
	VectorDim = 2 * TokenDim
	// MaxSounds is how many sounds one call may hold.
	MaxSounds = 64
)

const (
	// batchFrames bounds a forward pass on the processor to two minutes of sound, which need about 30 MB.
	batchFrames = 12_000
	// frameBytes is thrice what a frame needs in float32, since memory is in pieces.
	frameBytes = 8 << 10
	// maxFrames is how many frames a sound of 30 seconds has.
	maxFrames = 3000
	// queue is how many sounds may wait.
	queue = 256
	// decoders is how many sounds are decoded at the same time, each of which may need 100 MB.
	decoders = 4
)
