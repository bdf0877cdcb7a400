// Command fetch brings the pinned libraries, weights and data into the cache: all of them, or those named.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"consilium/internal/weights"
)

func main() {
	syscall.Umask(0o022) // Postgres runs as another user when root fetched it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := weights.Fetch(ctx, os.Stdout, os.Args[1:]...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
