package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"consilium/internal/eval"
	"consilium/internal/tensor"
	"consilium/internal/train"
	"consilium/internal/weights"
	audioencoder "consilium/services/audio-encoder"
	fusion "consilium/services/fusion"
	textencoder "consilium/services/text-encoder"
	visionencoder "consilium/services/vision-encoder"
)

var trainCommand = command{
	name: "train", arguments: "audio|vqa [FLAG…]", summary: "train a model on the data folder (CONSILIUM_DATA)",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		if len(args) < 1 {
			return errUsage
		}
		flags := flag.NewFlagSet("consilium train "+args[0], flag.ContinueOnError)
		flags.SetOutput(stderr)
		out := flags.String("out", "", "file to write the weights to; the default is where the service embeds them from")
		seed := flags.Uint64("seed", 1, "seed of everything that is random")
		threads := flags.Int("threads", runtime.NumCPU(), "threads of the computation")
		device := flags.String("device", "cpu", "cpu, cuda or cuda:N")
		leaveOut := flags.String("leave-out", "", "audio: a speaker whose recordings are not trained on")
		steps := flags.Int("steps", 3000, "vqa: training steps")
		if err := flags.Parse(args[1:]); err != nil {
			return errUsage
		}
		data := getenv("CONSILIUM_DATA")
		if data == "" {
			return fmt.Errorf("consilium train %s: CONSILIUM_DATA is not set; it names the folder of radiographs and sounds", args[0])
		}
		d, err := tensor.ParseDevice(*device)
		if err != nil {
			return err
		}
		switch args[0] {
		case "audio":
			return train.Audio(ctx, train.AudioOptions{Data: data, Out: *out, Seed: *seed, LeaveOut: *leaveOut, Threads: *threads, Device: d}, stdout)
		case "vqa":
			return trainVQA(ctx, train.VQAOptions{Data: data, Out: *out, Seed: *seed, Steps: *steps, Threads: *threads, Device: d}, stdout)
		}
		return fmt.Errorf("consilium train %s: no such recipe, want audio or vqa", args[0])
	},
}

func trainVQA(ctx context.Context, o train.VQAOptions, stdout io.Writer) error {
	m, closeAll, err := encoders(o.Device.String())
	if err != nil {
		return err
	}
	defer closeAll()
	if o.EasyVQA, err = easyVQA(); err != nil {
		return err
	}
	root, err := weights.Root()
	if err != nil {
		return err
	}
	o.Cache = filepath.Join(root, "features")
	if o.Out == "" {
		o.Out = "services/fusion/weights/fusion.safetensors"
	}
	return train.VQA(ctx, o, train.Encoders{Text: m.Text, Vision: m.Vision, Audio: m.Audio}, stdout)
}

// easyVQA is the folder that holds train/ and test/ of the pinned package.
func easyVQA() (string, error) {
	folder, err := weights.Path("easy-vqa")
	return filepath.Join(folder, "data"), err
}

// encoders starts the three encoders in this process.
func encoders(device string) (m eval.Models, closeAll func(), err error) {
	var closers []io.Closer
	closeAll = func() {
		for _, c := range closers {
			c.Close()
		}
	}
	text, err := textencoder.New(textencoder.Config{Device: device})
	if err != nil {
		return m, nil, err
	}
	closers = append(closers, text)
	vision, err := visionencoder.New(visionencoder.Config{Device: device})
	if err != nil {
		closeAll()
		return m, nil, err
	}
	closers = append(closers, vision)
	audio, err := audioencoder.New(audioencoder.Config{Device: device})
	if err != nil {
		closeAll()
		return m, nil, err
	}
	closers = append(closers, audio)
	return eval.Models{Text: text, Vision: vision, Audio: audio}, closeAll, nil
}

// models starts the encoders and the fusion in this process.
func models(device string) (m eval.Models, closeAll func(), err error) {
	m, closeEncoders, err := encoders(device)
	if err != nil {
		return m, nil, err
	}
	f, err := fusion.New(fusion.Config{Device: device})
	if err != nil {
		closeEncoders()
		return m, nil, err
	}
	m.Fuser = f
	return m, func() { f.Close(); closeEncoders() }, nil
}
