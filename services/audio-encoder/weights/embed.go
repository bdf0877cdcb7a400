// Package weights holds the trained weights of the audio encoder.
package weights

import _ "embed"

// WaveNet is what the service runs: trained on every speaker's training recordings.
//
//go:embed wavenet.safetensors
var WaveNet []byte
