package textencoder

import "consilium/internal/analysis"

// Config says how a text encoder runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// Threads is the size of the OpenMP team, 0 for half of the cores.
	Threads int
}

const (
	// MaxTokens is the longest sequence, with [CLS] and [SEP]; the net was tuned on no longer ones.
	MaxTokens = 256
	// MaxTexts is how many texts one call may hold.
	MaxTexts = 128
	// MaxTextBytes bounds one text.
	MaxTextBytes = analysis.MaxTextBytes
)

const (
	// batchTokens bounds a forward pass: 4096 tokens need about 90 MB.
	batchTokens = 4096
	// queue is how many texts may wait.
	queue = 1024
)
