package main

import (
	"context"
	"fmt"

	"consilium/internal/model/sentence"
	"consilium/internal/model/wavenet"
	"consilium/internal/tensor"
	"consilium/internal/tensor/kernels"
	"consilium/services/audio-encoder/weights"
)

// nets are nets without the service around them, on one thread.
type nets struct {
	engine  *tensor.Engine
	params  *tensor.Params
	audio   *wavenet.Fast
	decoder *sentence.Model
}

// longest is how many words the timed decoder may write; the shipped one is told fewer.
const longest = 128

// newNets loads the shipped WaveNet and draws a decoder of a shape.
func newNets(config sentence.Config) (*nets, error) {
	raw, metadata, err := tensor.DecodeSafetensors(weights.WaveNet)
	if err != nil {
		return nil, fmt.Errorf("read the audio encoder's weights: %w", err)
	}
	shape, err := wavenet.ParseConfig(metadata)
	if err != nil {
		return nil, err
	}
	n := &nets{engine: tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1}), params: tensor.Random(1)}
	config.Length = longest
	err = n.engine.Do(context.Background(), func(a *tensor.Arena) error {
		own := tensor.FromRaw(raw)
		defer own.Free(a)
		n.audio = wavenet.NewFast(a, wavenet.New(a, own, shape), 1, kernels.Best())
		n.decoder = sentence.New(a, n.params, config)
		if level := kernels.Best(); level > kernels.Plain { // as the service does
			n.decoder.Hasten(a, n.params, level)
		}
		return nil
	})
	if err != nil {
		n.engine.Close()
		return nil, err
	}
	return n, nil
}

// sound implements bench.Env.Sound.
func (n *nets) sound(frames []float32, piece int) []float32 {
	stream := n.audio.Stream()
	for values := piece * int(n.audio.Config().Bands); len(frames) > 0; {
		part := frames[:min(values, len(frames))]
		stream.Write(part)
		frames = frames[len(part):]
	}
	_, vector := stream.Close()
	return vector
}

// words implements bench.Env.Words.
func (n *nets) words(ctx context.Context, count int, remember bool) (logits [][]float32, err error) {
	err = n.engine.Do(ctx, func(a *tensor.Arena) error {
		c := n.decoder.Config()
		words := make([]int64, count)
		for i := range words {
			words[i] = int64(1 + i%(len(c.Words)-1))
		}
		in := c.Batch(a, []*sentence.Input{{Image: make([]float32, c.Grid*c.Grid*c.ImageDim)}})
		logits = n.decoder.Follow(a, in, words, remember)
		return nil
	})
	return logits, err
}

// Close frees the nets.
func (n *nets) Close() error {
	err := n.engine.Do(context.Background(), func(a *tensor.Arena) error {
		n.audio.Free()
		n.decoder.Free()
		n.params.Free(a)
		return nil
	})
	n.engine.Close()
	return err
}
