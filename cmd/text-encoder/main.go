// Command text-encoder serves the text encoder over the Open Inference Protocol.
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
	textencoder "consilium/services/text-encoder"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "text-encoder: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var config textencoder.Config
	process := wire.Process{
		Name: "text-encoder", Listen: "127.0.0.1:8081",
		Args: args, Getenv: getenv, Stdout: stdout, Stderr: stderr, Own: &config,
	}
	open := func(s wire.Settings) (*textencoder.Service, error) {
		config.Device, config.GPUPrecision = s.Device, s.GPUPrecision
		return textencoder.New(config)
	}
	return wire.Run(ctx, process, open, func(s *textencoder.Service, info wire.ModelInfo) http.Handler {
		return wire.NewTextServer(s, info)
	})
}
