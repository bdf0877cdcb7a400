// Package childproc runs Postgres and Valkey as private child processes that die with this one.
package childproc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a child may take over a polite request to stop before it is killed.
const patience = 20 * time.Second

// A process is a running child.
type process struct {
	name string
	cmd  *exec.Cmd
	said *tail
	done chan struct{} // closed when the child has ended
}

// launch starts cmd in a process group of its own, so that a Ctrl-C reaches this process only, and asks the
// kernel to send it death when this process ends, however it ends.
func launch(name string, cmd *exec.Cmd, death syscall.Signal, account *account, logw io.Writer) (*process, error) {
	p := &process{name: name, cmd: cmd, said: &tail{next: logw}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.said, p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: account.credential()}
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	started := make(chan error)
	go func() {
		// The kernel ties the death signal to the thread that started the child, so the thread must live on.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // whoever waits on done looks at what it said
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// stop sends polite and waits; a child that does not end is killed.
func (p *process) stop(polite syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(polite); err != nil && !errors.Is(err, syscall.ESRCH) {
		select {
		case <-p.done:
			return nil
		default:
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("stop %s: it did not end within %s and was killed", p.name, patience)
	}
}

// A tail passes on what a child says and keeps the end of it for an error message.
type tail struct {
	mu   sync.Mutex
	next io.Writer // nil: nobody listens
	last []byte
}

// tailBytes is how much of a child's words an error message may quote.
const tailBytes = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if extra := len(t.last) - tailBytes; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	if t.next != nil {
		_, _ = t.next.Write(b) // a log that is full must not stop a database
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(bytes.TrimSpace(t.last)), "")
}
