package weights

import _ "embed"

// Holdout is the same recipe without one speaker, whose name its metadata gives under "left_out". It only measures how
// well a voice is understood that was never heard.
//
//go:embed wavenet-holdout.safetensors
var Holdout []byte
