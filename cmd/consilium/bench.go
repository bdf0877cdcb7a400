package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"consilium/internal/allinone"
	"consilium/internal/analysis"
	"consilium/internal/bench"
	"consilium/internal/model/efficientnet"
	"consilium/internal/model/minilm"
	"consilium/internal/tensor"
	"consilium/internal/wire"
	audioencoder "consilium/services/audio-encoder"
	"consilium/services/fusion"
	textencoder "consilium/services/text-encoder"
	visionencoder "consilium/services/vision-encoder"
)

// benchmarks is where `consilium bench` keeps its figures; what people read lies beside it.
const benchmarks = "docs/bench.json"

var benchCommand = command{
	name: "bench", arguments: "[--json FILE] [--only GROUP,…]", summary: "time the platform beside its peers, into docs/benchmarks.md",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		flags := flag.NewFlagSet("consilium bench", flag.ContinueOnError)
		flags.SetOutput(stderr)
		only := flags.String("only", "", "`groups` to run, divided by commas: "+strings.Join(bench.GroupNames(), ", "))
		file := flags.String("json", benchmarks, "`file` of the figures, in which the groups that ran are replaced; benchmarks.md beside it is written anew")
		if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
			return errUsage
		}
		groups, err := bench.Find(*only)
		if err != nil {
			return err
		}
		env, closeAll, err := contestants(getenv, stderr)
		if err != nil {
			return err
		}
		defer closeAll()
		report, err := bench.Measure(ctx, env, groups)
		if err != nil {
			return err
		}
		bench.Table(stdout, report)
		before := &bench.Report{}
		switch file, err := os.ReadFile(*file); {
		case err == nil:
			if err := json.Unmarshal(file, before); err != nil {
				return fmt.Errorf("read the benchmarks before: %w", err)
			}
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("read the benchmarks before: %w", err)
		}
		report = before.With(report)
		figures, err := json.MarshalIndent(report, "", " ")
		if err != nil {
			return err
		}
		var page bytes.Buffer
		bench.Markdown(&page, report)
		markdown := filepath.Join(filepath.Dir(*file), "benchmarks.md")
		if err := errors.Join(os.WriteFile(*file, append(figures, '\n'), 0o644), os.WriteFile(markdown, page.Bytes(), 0o644)); err != nil {
			return fmt.Errorf("write the benchmarks: %w", err)
		}
		fmt.Fprintf(stderr, "wrote %s and %s\n", *file, markdown)
		return nil
	},
}

// contestants are the services, as a program that serves one of them starts it, and the ways to them.
func contestants(getenv func(string) string, stderr io.Writer) (env bench.Env, closeAll func(), err error) {
	var closers []io.Closer
	closeAll = func() {
		for _, c := range closers {
			c.Close()
		}
	}
	self, err := os.Executable()
	if err != nil {
		return env, nil, err
	}
	text, err := textencoder.New(textencoder.Config{Device: "cpu"})
	if err != nil {
		return env, nil, err
	}
	closers = append(closers, text)
	short, err := textencoder.New(textencoder.Config{Device: "cpu", Precision: analysis.Int8})
	if err != nil {
		closeAll()
		return env, nil, err
	}
	closers = append(closers, short)
	vision, err := visionencoder.New(visionencoder.Config{Device: "cpu"})
	if err != nil {
		closeAll()
		return env, nil, err
	}
	closers = append(closers, vision)
	var shortTensors func(context.Context, [][]float32) ([]*analysis.Features, error)
	if visionencoder.HasInt8() {
		short, err := visionencoder.New(visionencoder.Config{Device: "cpu", Precision: analysis.Int8})
		if err != nil {
			closeAll()
			return env, nil, err
		}
		closers = append(closers, short)
		shortTensors = short.EncodeTensors
	}
	fuser, err := fusion.New(fusion.Config{Device: "cpu"})
	if err != nil {
		closeAll()
		return env, nil, err
	}
	closers = append(closers, fuser)
	audio, err := audioencoder.New(audioencoder.Config{Device: "cpu", Threads: 1})
	if err != nil {
		closeAll()
		return env, nil, err
	}
	closers = append(closers, audio)
	alone, err := newNets(fuser.Writer().Config())
	if err != nil {
		closeAll()
		return env, nil, err
	}
	closers = append(closers, alone)
	return bench.Env{
		Text: text, TextInt8: short, Vision: vision, Fusion: fuser, Tensors: vision.EncodeTensors, TensorsInt8: shortTensors,
		Radiographs: vision.Radiographs(), Segmenter: vision.Segmenter(), Writer: fuser.Writer(), Audio: audio,
		Sound: alone.sound, Words: alone.words, Programs: filepath.Dir(self),
		Wire: func(ctx context.Context) (analysis.TextEncoder, func() error, error) {
			return overWire(ctx, text)
		},
		Platform: func(ctx context.Context) (string, func() error, error) { return guest(ctx, getenv, stderr) },
		Peak:     func(ctx context.Context) (float64, error) { return peak(ctx, tensor.CPU) },
		TextWork: minilm.L6.Work, ImageWork: efficientnet.Work(),
		Out: stderr,
	}, closeAll, nil
}

// overWire serves the text encoder as its own program does and returns its client.
func overWire(ctx context.Context, text *textencoder.Service) (analysis.TextEncoder, func() error, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: wire.NewTextServer(text, wire.ModelInfo{}.Of(text)), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until Close
	encoder, err := wire.NewTextEncoder("http://"+listener.Addr().String(), wire.ClientOptions{})
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	return encoder, server.Close, nil
}

// guest starts a platform whose state is gone when it is stopped, and returns its address.
func guest(ctx context.Context, getenv func(string) string, stderr io.Writer) (string, func() error, error) {
	folder, err := os.MkdirTemp("", "consilium-bench")
	if err != nil {
		return "", nil, err
	}
	remove := func() error { return os.RemoveAll(folder) }
	if err := os.Chmod(folder, 0o755); err != nil { // root's databases run as another user
		return "", nil, errors.Join(err, remove())
	}
	own := func(name string) string {
		switch name {
		case "CONSILIUM_STATE":
			return folder
		case "CONSILIUM_LISTEN":
			return "127.0.0.1:0"
		}
		return getenv(name)
	}
	settings, err := allinone.LoadSettings(own)
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	stack, log, err := start(ctx, settings, own, stderr)
	if err != nil {
		showLog(stderr, filepath.Join(folder, "consilium.log"))
		return "", nil, errors.Join(err, remove())
	}
	return stack.URL, func() error { return errors.Join(stack.Stop(), log.Close(), remove()) }, nil
}

// peak returns how many floating-point operations a second the product of two square fp32 matrices reaches on a device, on
// the CPU with a thread for each processor.
func peak(ctx context.Context, device tensor.Device) (float64, error) {
	const side, times = 1024, 40
	engine := tensor.NewEngine(tensor.Options{Device: device, Threads: runtime.NumCPU()})
	defer engine.Close()
	var best float64
	err := engine.Do(ctx, func(a *tensor.Arena) error {
		x := a.FromFloat32(make([]float32, side*side), side, side)
		for range times {
			mark, start := a.Mark(), time.Now()
			a.Matmul(x, x)
			a.Synchronize()
			best = max(best, 2*side*side*side/time.Since(start).Seconds())
			a.Release(mark)
		}
		return nil
	})
	return best, err
}
