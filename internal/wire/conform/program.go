package conform

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

// Program starts the run function of a program's main on a free port, with no settings but those of the
// environment that say where things lie, and returns the address it printed. It is stopped, and has to end
// without an error, when the test ends.
func Program(t *testing.T, run func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error) string {
	t.Helper()
	getenv := func(name string) string {
		switch name {
		case "CONSILIUM_LISTEN":
			return "127.0.0.1:0"
		case "CONSILIUM_LOG_FORMAT":
			return "text"
		case "CONSILIUM_CACHE":
			return os.Getenv(name)
		}
		return ""
	}
	ctx, stop := context.WithCancel(context.Background())
	lines, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, nil, getenv, stdout, testLog{t})
		stdout.Close()
		done <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the program ended with: %v", err)
		}
	})
	address, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		t.Fatalf("read the program's address: %v", err)
	}
	return strings.TrimSpace(address)
}

// testLog puts a program's log into the test's.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
