package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/eval"
	"consilium/internal/tensor"
	"consilium/internal/train"
	"consilium/internal/train/allreduce"
	"consilium/internal/weights"
	audioencoder "consilium/services/audio-encoder"
	fusion "consilium/services/fusion"
	textencoder "consilium/services/text-encoder"
	visionencoder "consilium/services/vision-encoder"
)

// trained is where each recipe's weights belong: where the service embeds them from.
var trained = map[string]string{
	"audio":         "services/audio-encoder/weights/wavenet.safetensors",
	"lesions":       "services/vision-encoder/weights/lesions.safetensors",
	"lungs":         "services/vision-encoder/weights/lungs.safetensors",
	"report":        "services/fusion/weights/report.safetensors",
	"report-smollm": "services/fusion/weights/report-smollm.safetensors",
	"radiographs":   "services/vision-encoder/weights/radiographs.safetensors",
	"vqa":           "services/fusion/weights/fusion.safetensors",
	"vqa-rad":       "services/fusion/weights/vqa-rad.safetensors",
}

var trainCommand = command{
	name: "train", arguments: strings.Join(train.RecipeNames(), "|") + "|FILE.recipe [FLAG…]", summary: "train a model on the data folder (CONSILIUM_DATA)",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		if len(args) < 1 || strings.HasPrefix(args[0], "-") {
			return errUsage
		}
		flags := flag.NewFlagSet("consilium train "+args[0], flag.ContinueOnError)
		flags.SetOutput(stderr)
		var overrides []string
		flags.Func("set", "`key=value` of the recipe, as often as needed", func(s string) error {
			overrides = append(overrides, s)
			return nil
		})
		out := flags.String("out", "", "`file` to write the weights to; the default is where the service embeds them from")
		threads := flags.Int("threads", 0, "threads of the computation, 0 for half of the cores")
		device := flags.String("device", "cpu", "cpu, cuda or cuda:N")
		rank := flags.Int("rank", 0, "which of -world processes this is, from 0")
		world := flags.Int("world", 1, "processes that train together, each on its share of a batch that is as many times as large")
		peers := flags.String("peers", "", "`address` where rank 0 listens for the others: HOST:PORT on a private network, or unix:PATH")
		if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
			return errUsage
		}
		recipe, err := train.ReadRecipe(args[0], overrides)
		if err != nil {
			return err
		}
		env := train.Env{Data: getenv("CONSILIUM_DATA"), Out: *out, Threads: *threads, Log: stdout}
		if env.Data == "" {
			return fmt.Errorf("consilium train %s: CONSILIUM_DATA is not set; it names the folder of the data sets", args[0])
		}
		if env.Out == "" {
			if env.Out = trained[recipe.Name]; env.Out == "" {
				return fmt.Errorf("consilium train %s: -out is not set; it names the file of weights to write", args[0])
			}
		}
		if env.Device, err = tensor.ParseDevice(*device); err != nil {
			return err
		}
		if env.EasyVQA, err = easyVQA(); err != nil {
			return err
		}
		root, err := weights.Root()
		if err != nil {
			return err
		}
		env.Cache = filepath.Join(root, "features")
		env.Encoders = func() (train.Encoders, func(), error) {
			m, closeAll, err := encoders(*device)
			return train.Encoders{Text: m.Text, Vision: m.Vision, Radiographs: m.Radiographs, Audio: m.Audio}, closeAll, err
		}
		if *world != 1 || *peers != "" {
			if *peers == "" {
				return fmt.Errorf("consilium train %s: -world %d without -peers, the address where rank 0 listens", args[0], *world)
			}
			fmt.Fprintf(stdout, "rank %d of %d, meeting at %s\n", *rank, *world, *peers)
			if env.Group, err = allreduce.Join(ctx, *rank, *world, *peers); err != nil {
				return err
			}
		}
		err = train.Train(ctx, recipe, env)
		if env.Group != nil {
			env.Group.Close(err) // the others are told why, wherever it ended
		}
		return err
	},
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
	m = eval.Models{Text: text, Vision: vision, Radiographs: vision.Radiographs(), Audio: audio, Segmenter: vision.Segmenter()}
	folds, err := vision.Folds()
	if err != nil {
		closeAll()
		return m, nil, err
	}
	for _, f := range folds {
		m.Folds = append(m.Folds, eval.Fold{LeftOut: f.LeftOut, Segmenter: f.Segmenter})
	}
	return m, closeAll, nil
}

// models starts the encoders and the fusion, which is told its settings, in this process.
func models(device string, config fusion.Config) (m eval.Models, closeAll func(), err error) {
	m, closeEncoders, err := encoders(device)
	if err != nil {
		return m, nil, err
	}
	config.Device = device
	f, err := fusion.New(config)
	if err != nil {
		closeEncoders()
		return m, nil, err
	}
	short, err := textencoder.New(textencoder.Config{Device: "cpu", Precision: analysis.Int8})
	if err != nil {
		f.Close()
		closeEncoders()
		return m, nil, err
	}
	closeAll = func() { short.Close(); f.Close(); closeEncoders() }
	if device == "cpu" && visionencoder.HasInt8() {
		vision, err := visionencoder.New(visionencoder.Config{Device: device, Precision: analysis.Int8})
		if err != nil {
			closeAll()
			return m, nil, err
		}
		others := closeAll
		closeAll = func() { vision.Close(); others() }
		m.VisionInt8, m.RadiographsInt8 = vision, vision.Radiographs()
	}
	m.Fuser, m.TextInt8 = f, short
	m.Writers = []eval.NamedWriter{{Name: "decoder", Writer: f.Writer()}}
	return m, closeAll, nil
}
