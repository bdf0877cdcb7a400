// Command fusion serves the fusion over the Open Inference Protocol.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"consilium/internal/wire"
	"consilium/services/fusion"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "fusion: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var config fusion.Config
	process := wire.Process{
		Name: "fusion", Listen: "127.0.0.1:8084",
		Args: args, Getenv: getenv, Stdout: stdout, Stderr: stderr, Own: &config,
	}
	open := func(s wire.Settings) (*fusion.Service, error) {
		config.Device = s.Device
		return fusion.New(config)
	}
	return wire.Run(ctx, process, open, func(s *fusion.Service, info wire.ModelInfo) http.Handler {
		return wire.Beside(wire.NewFusionServer(s, info), wire.NewWriterServer(s.Writer(), info.Of(s.Writer())),
			wire.NewAlignServer(s.Aligner(), info.Of(s.Aligner())))
	})
}
