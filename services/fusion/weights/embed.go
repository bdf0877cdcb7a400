// Package weights holds the trained weights that only measurements read.
package weights

import _ "embed"

// VQARAD is the fusion gone on with VQA-RAD by the recipe of that name. No service answers with it.
//
//go:embed vqa-rad.safetensors
var VQARAD []byte

// ReportSmolLM is SmolLM2's prefix and adapters by the recipe report-smollm. No service answers with it.
//
//go:embed report-smollm.safetensors
var ReportSmolLM []byte
