package allinone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A part is one server of the platform that runs in this process, by the same function as in a process of its own.
type part struct {
	name string
	url  string // known once it listens
	stop context.CancelFunc
	done chan struct{}
	err  error // valid once done is closed
}

// launch runs body until the part is stopped and returns when it has written its address, http://host:port, as
// one line to its standard output. ctx bounds the start only.
func launch(ctx context.Context, name string, body func(ctx context.Context, stdout *addressLine) error) (*part, error) {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &part{name: name, stop: stop, done: make(chan struct{})}
	line := &addressLine{found: make(chan string, 1)}
	go func() {
		defer close(p.done)
		p.err = body(running, line)
	}()
	select {
	case p.url = <-line.found:
		return p, nil
	case <-p.done:
		stop()
		if p.err == nil {
			p.err = errors.New("it ended before it listened")
		}
		return nil, fmt.Errorf("start the %s: %w", name, p.err)
	case <-ctx.Done():
		stop()
		<-p.done
		return nil, fmt.Errorf("start the %s: %w", name, ctx.Err())
	}
}

// Stop lets the part finish what it is doing and returns its error.
func (p *part) Stop() error {
	p.stop()
	<-p.done
	if p.err != nil {
		return fmt.Errorf("stop the %s: %w", p.name, p.err)
	}
	return nil
}

// addressLine is the standard output of a part: its first line is the address.
type addressLine struct {
	mu    sync.Mutex
	line  []byte
	found chan string
}

func (a *addressLine) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.found == nil {
		return len(b), nil
	}
	a.line = append(a.line, b...)
	if end := bytes.IndexByte(a.line, '\n'); end >= 0 {
		a.found <- strings.TrimSpace(string(a.line[:end]))
		a.found = nil
	}
	return len(b), nil
}
