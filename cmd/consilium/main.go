// Command consilium runs the platform on one machine and talks to a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"consilium/internal/sandbox"
)

// A command is one thing that a person can ask for. Each lives in a file of its own.
type command struct {
	name, arguments, summary string
	run                      func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error
}

// commands is what `consilium` lists.
var commands = []command{upCommand, demoCommand, askCommand, reportCommand, jobCommand, importCommand, exportCommand, restoreCommand, trainCommand, calibrateCommand, evalCommand, benchCommand, profileCommand}

// errUsage says that the arguments were wrong and the usage has been shown.
var errUsage = errors.New("wrong arguments")

func main() {
	sandbox.Enter() // does not return in the process of a model
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				err := c.run(ctx, args[1:], getenv, stdout, stderr)
				if errors.Is(err, errUsage) {
					return fmt.Errorf("usage: consilium %s %s", c.name, c.arguments)
				}
				return err
			}
		}
		return fmt.Errorf("consilium %s: no such command; `consilium` lists them", args[0])
	}
	fmt.Fprintln(stdout, "usage: consilium COMMAND [ARGUMENT…]")
	for _, c := range commands {
		fmt.Fprintf(stdout, "  %-40s %s\n", c.name+" "+c.arguments, c.summary)
	}
	return nil
}
