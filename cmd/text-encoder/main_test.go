package main

import (
	"testing"

	"consilium/internal/wire"
	"consilium/internal/wire/conform"
	textencoder "consilium/services/text-encoder"
)

// TestProgram runs the program itself: what its clients, ours and Triton's, get is what the service makes in process.
func TestProgram(t *testing.T) {
	url := conform.Program(t, run)
	local, err := textencoder.New(textencoder.Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	remote, err := wire.NewTextEncoder(url, wire.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if digest, err := remote.Digest(t.Context()); err != nil || digest != local.Digest() {
		t.Errorf("digest %s over the wire, %v; %s in process", digest, err, local.Digest())
	}
	conform.Text(t, local, remote)

	t.Run("tritonclient", func(t *testing.T) {
		texts := []string{"No focal consolidation, effusion or pneumothorax.", "右肺 opacité"}
		answer := conform.Triton(t, url, wire.TextModel, map[string]any{"strict": true}, conform.TritonInput{
			Name: "text", Datatype: "BYTES", Shape: []int{2}, Text: true, Data: [][]byte{[]byte(texts[0]), []byte(texts[1])},
		})
		want, err := local.EncodeText(t.Context(), texts, true)
		if err != nil {
			t.Fatal(err)
		}
		conform.CheckTritonFeatures(t, answer, want)
	})
}
