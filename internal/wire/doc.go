// Package wire carries the encoders and the fusion over HTTP in the Open Inference Protocol v2.
//
// The servers (NewTextServer and its like) put a process's implementation on the network; the clients
// (NewTextEncoder and its like) implement the same interfaces of package analysis, and an *analysis.Error
// crosses unchanged. Tensors travel as raw little-endian bytes by the binary tensor data extension, or as JSON
// for whoever asks for that, so that Triton and KServe clients can call an encoder and a Triton or KServe
// server can stand in for one. docs/wire.md describes the models and their tensors.
//
// The protocol: https://github.com/kserve/open-inference-protocol; its binary extension:
// https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
package wire
