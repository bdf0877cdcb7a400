package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	maxHeaderBytes    = 32 << 10
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
)

// Run serves handler on config.Listen until ctx ends, then stops listening, lets the requests in flight
// finish for config.DrainTimeout, and returns nil if they did. listening, if not nil, is called once with
// the address when connections are accepted. The requests' context does not end with ctx.
func Run(ctx context.Context, config Config, handler http.Handler, log *slog.Logger, listening func(net.Addr)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (%sLISTEN): %w", config.Listen, Prefix, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: min(readHeaderTimeout, config.ReadTimeout),
		ReadTimeout:       config.ReadTimeout,
		WriteTimeout:      config.WriteTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String())
	if listening != nil {
		listening(listener.Addr())
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	log.Info("draining", "timeout", config.DrainTimeout.String())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("drain requests within %s: %w", config.DrainTimeout, err), server.Close())
	}
	log.Info("stopped")
	return nil
}
