package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"consilium/internal/allinone"
)

var upCommand = command{
	name: "up", arguments: "", summary: "start everything on this machine and serve until Ctrl-C",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, _ io.Writer) error {
		if len(args) > 0 {
			return errUsage
		}
		settings, err := allinone.LoadSettings(getenv)
		if err != nil {
			return err
		}
		stack, log, err := start(ctx, settings, getenv, stdout)
		if err != nil {
			return err
		}
		defer log.Close()
		fmt.Fprintf(stdout, "\nConsilium serves at %s\n  docs    %s/docs\n  state   %s\n  log     %s\nCtrl-C stops it.\n",
			stack.URL, stack.URL, settings.State, log.Name())
		select {
		case <-ctx.Done():
			fmt.Fprintln(stdout, "\nstopping")
			return stack.Stop()
		case err := <-stack.Failed():
			return fmt.Errorf("%w; the log %s says why: %w", err, log.Name(), stack.Stop())
		}
	},
}

// start starts the platform and says what it does; the parts log into a file beside their state.
func start(ctx context.Context, settings *allinone.Settings, getenv func(string) string, stdout io.Writer) (*allinone.Stack, *os.File, error) {
	if err := os.MkdirAll(settings.State, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make the state folder (CONSILIUM_STATE): %w", err)
	}
	log, err := os.OpenFile(filepath.Join(settings.State, "consilium.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	fmt.Fprintln(stdout, "Starting the platform")
	stack, err := allinone.Start(ctx, settings, getenv, log, func(step string) { fmt.Fprintln(stdout, "  "+step) })
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return stack, log, nil
}
