package visionencoder

import "consilium/internal/media"

// Config says how a vision encoder runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// Threads is how many threads of the CPU encode, 0 for one per core: on its kernels together, up to maxThreads of them, with
	// libtorch and in the segmentation each a picture of its own. A CUDA device encodes batches instead.
	Threads int
}

const (
	// MaxImages is how many pictures one call may hold.
	MaxImages = 64
	// MaxImageBytes bounds one picture.
	MaxImageBytes = media.MaxImageBytes
)

const (
	// queue is how many pictures may wait to be decoded, and how many to be encoded.
	queue = 256
	// decodeMemory bounds what is allocated for decoding at any time: the costliest picture, or many ordinary ones.
	decodeMemory = media.MaxImageMemory
	// maxThreads is how many threads compute a picture together on the processor's kernels, if it has as many cores.
	maxThreads = 8
	// cudaBatch is how many pictures a CUDA device encodes together. With libtorch on a CPU one by one is fastest, because a
	// layer of one picture stays in the cache: 20 ms a picture against 48 ms in batches of 8.
	cudaBatch = 16
)
