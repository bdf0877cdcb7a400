// Command audio-encoder serves the audio encoder over the Open Inference Protocol.
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
	audioencoder "consilium/services/audio-encoder"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "audio-encoder: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	process := wire.Process{
		Name: "audio-encoder", Listen: "127.0.0.1:8083",
		Args: args, Getenv: getenv, Stdout: stdout, Stderr: stderr,
	}
	open := func(s wire.Settings) (*audioencoder.Service, error) {
		return audioencoder.New(audioencoder.Config{Device: s.Device, GPUPrecision: s.GPUPrecision})
	}
	return wire.Run(ctx, process, open, func(s *audioencoder.Service, info wire.ModelInfo) http.Handler {
		return wire.NewAudioServer(s, info)
	})
}
