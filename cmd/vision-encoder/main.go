// Command vision-encoder serves the vision encoder over the Open Inference Protocol.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"consilium/internal/sandbox"
	"consilium/internal/wire"
	visionencoder "consilium/services/vision-encoder"
)

func main() {
	sandbox.Enter() // does not return in the process of a model
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "vision-encoder: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var config visionencoder.Config
	process := wire.Process{
		Name: "vision-encoder", Listen: "127.0.0.1:8082",
		Args: args, Getenv: getenv, Stdout: stdout, Stderr: stderr, Own: &config,
	}
	open := func(s wire.Settings) (*visionencoder.Service, error) {
		config.Device, config.GPUPrecision = s.Device, s.GPUPrecision
		return visionencoder.New(config)
	}
	return wire.Run(ctx, process, open, func(s *visionencoder.Service, info wire.ModelInfo) http.Handler {
		models := wire.Beside(wire.NewVisionServer(s, info), wire.NewRadiographServer(s.Radiographs(), info.Of(s.Radiographs())),
			wire.NewSegmentationServer(s.Segmenter(), info.Of(s.Segmenter())))
		return wire.WithModels(models, s.Models(), info)
	})
}
