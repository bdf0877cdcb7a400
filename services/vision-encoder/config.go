package visionencoder

import (
	"consilium/internal/analysis"
	"consilium/internal/media"
	"consilium/internal/tensor/kernels"
)

// Config says how a vision encoder runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// GPUPrecision is what the nets compute in on a CUDA device: fp32, also if it is empty, bf16 or fp16.
	GPUPrecision string
	// Threads is how many threads of the CPU encode, 0 for one per core: on its kernels together, up to maxThreads of them, with
	// libtorch and in the segmentation each a picture of its own. A CUDA device encodes batches instead.
	Threads int
	// Precision is what the encoders compute in, 8 bits as weights/int8.md says and where HasInt8; the segmentation computes in fp32.
	Precision analysis.Precision `env:"VISION_PRECISION" envDefault:"fp32"`
}

// HasInt8 reports whether this processor has the instructions that 8 bits need: AVX-512 with VNNI.
func HasInt8() bool { return kernels.Best() > kernels.Plain }

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
	// pictureBytes and maskBytes are thrice what the layers of a picture need at a time in float32, 10 and 15 MiB, since memory
	// is in pieces: as many as fit go through a CUDA device together. With libtorch on a CPU one by one is fastest, because a
	// layer of one picture stays in the cache: 20 ms a picture against 48 ms in batches of 8.
	pictureBytes, maskBytes = 32 << 20, 48 << 20
)
