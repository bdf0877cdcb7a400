package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"consilium/internal/analysis"
)

// maxWaiting is how many calls may wait for one model.
const maxWaiting = 16

// The deadlines are variables for the test that waits for them.
var (
	loadTime    = analysis.MaxModelLoadTime
	forwardTime = analysis.MaxModelForwardTime
)

// Process is one model in a process of its own, which runs one forward pass at a time. Its methods may be called from
// any goroutine.
type Process struct {
	spec    Spec
	cmd     *exec.Cmd
	in      *os.File // brings frames to the child
	out     *os.File // and frames from it
	said    tail
	slot    chan struct{} // holds one token while nobody talks to the child
	waiting atomic.Int32
	done    chan struct{} // closed when the child has ended
}

// Start starts a process, has it check and load the weights, and returns when the model has passed: it then answers
// Forward until Close. The weights are read from their beginning; the caller closes them. An error is InvalidArgument
// if the weights are at fault.
func Start(ctx context.Context, spec Spec, weights *os.File) (*Process, error) {
	if !entered.Load() {
		return nil, errors.New("start the process of a model: the program's main did not call sandbox.Enter")
	}
	p := &Process{spec: spec, slot: make(chan struct{}, 1), done: make(chan struct{})}
	if err := p.launch(weights); err != nil {
		return nil, fmt.Errorf("start the process of a model: %w", err)
	}
	head, err := json.Marshal(spec)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	type outcome struct {
		kind byte
		body []byte
		err  error
	}
	proven := make(chan outcome, 1)
	go func() {
		kind, body, err := p.exchange(frameSpec, head, loadTime, "reading and checking the model")
		proven <- outcome{kind, body, err}
	}()
	var o outcome
	select {
	case o = <-proven:
	case <-ctx.Done():
		p.kill()
		<-proven
		return nil, errors.Join(ctx.Err(), p.Close())
	}
	switch {
	case o.err != nil:
		return nil, errors.Join(o.err, p.Close())
	case o.kind == frameRefused:
		return nil, errors.Join(readComplaint(o.body), p.Close())
	case o.kind == frameFailed:
		return nil, errors.Join(&analysis.Error{Code: analysis.Unavailable, Message: "models that users bring cannot run on this machine",
			Err: errors.New(shown(string(o.body)))}, p.Close())
	case o.kind != frameReady:
		return nil, errors.Join(refused("the model's process said something else than that it is ready"), p.Close())
	}
	p.slot <- struct{}{}
	return p, nil
}

// launch starts the child, which dies with this process.
func (p *Process) launch(weights *os.File) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer inRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inWrite.Close())
	}
	defer outWrite.Close()
	p.in, p.out = inWrite, outRead
	p.cmd = exec.Command(program, Argument)
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "GOTRACEBACK=none", "GOMAXPROCS=2"}
	if path, ok := os.LookupEnv("LD_LIBRARY_PATH"); ok {
		p.cmd.Env = append(p.cmd.Env, "LD_LIBRARY_PATH="+path) // where libtorch may lie
	}
	p.cmd.Stdin, p.cmd.Stderr = inRead, &p.said
	p.cmd.ExtraFiles = []*os.File{weights, outWrite}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		// The kernel ties the death signal to the thread that started the child, so the thread must live on.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // whoever waits on done looks at the state
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return errors.Join(err, inWrite.Close(), outRead.Close())
	}
	return nil
}

// Forward returns the logits, one for each label, of a picture (C, H, W), row-major, that is followed by the vector of
// the text, if the model reads one. A model that fails, does not end in time or ends its process is BadUpstream; a
// process that ended before is NotFound; Overloaded if too many calls wait.
func (p *Process) Forward(ctx context.Context, input []float32) ([]float32, error) {
	if len(input) != p.spec.inputs() {
		return nil, fmt.Errorf("run a model: %d values, want %d", len(input), p.spec.inputs())
	}
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many studies wait for this model",
			Limit: fmt.Sprintf("%d calls", maxWaiting), Value: "more", RetryAfter: time.Second}
	}
	select {
	case <-p.slot:
		p.waiting.Add(-1)
	case <-p.done:
		p.waiting.Add(-1)
		return nil, gone()
	case <-ctx.Done():
		p.waiting.Add(-1)
		return nil, ctx.Err()
	}
	type outcome struct {
		logits []float32
		err    error
	}
	came := make(chan outcome, 1)
	go func() { // goes on to the end of the pass when the caller does not wait for it
		logits, err := p.run(input)
		came <- outcome{logits, err}
		p.slot <- struct{}{}
	}()
	select {
	case o := <-came:
		return o.logits, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *Process) run(input []float32) ([]float32, error) {
	if !p.Alive() {
		return nil, gone()
	}
	kind, body, err := p.exchange(frameInput, packFloats(input), forwardTime, "a forward pass")
	switch {
	case err != nil:
		return nil, failed(err)
	case kind == frameRefused:
		return nil, failed(readComplaint(body))
	case kind != frameLogits || len(body) != 4*p.spec.Labels:
		p.kill()
		return nil, failed(refused("the model's process sent an answer of %d bytes, want %d", len(body), 4*p.spec.Labels))
	}
	logits := unpackFloats(body)
	for i, v := range logits {
		if !finite(v) {
			return nil, failed(refused("the model returns %v for label %d", v, i))
		}
	}
	return logits, nil
}

func gone() error {
	return &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "the model is not loaded"}
}

// failed is an error of a model that passed when it was loaded.
func failed(err error) error {
	var e *analysis.Error
	if !errors.As(err, &e) {
		return err
	}
	shown := *e
	shown.Code, shown.Field = analysis.BadUpstream, "model"
	return &shown
}

// exchange sends one frame and returns the one that answers it. A child that does not answer in time is killed.
func (p *Process) exchange(kind byte, body []byte, limit time.Duration, doing string) (byte, []byte, error) {
	deadline := time.Now().Add(limit)
	err := errors.Join(p.in.SetWriteDeadline(deadline), p.out.SetReadDeadline(deadline))
	if err == nil {
		err = writeFrame(p.in, kind, body)
	}
	var answer byte
	var content []byte
	if err == nil {
		answer, content, err = readFrame(p.out, max(maxComplaint, 4*p.spec.Labels))
	}
	if err == nil {
		return answer, content, nil
	}
	p.kill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e := refused("%s took too long and was ended", doing)
		e.Limit, e.Value = limit.String(), "more"
		return 0, nil, e
	}
	<-p.done
	e := refused("the model ended its process (%s): it crashed, or asked for more memory than it may have", p.cmd.ProcessState)
	e.Limit, e.Value = fmt.Sprintf("%d bytes", analysis.MaxModelMemory), "unknown"
	e.Err = fmt.Errorf("%w; it said: %s", err, &p.said)
	return 0, nil, e
}

func readComplaint(body []byte) *analysis.Error {
	var c complaint
	if err := json.Unmarshal(body, &c); err != nil || c.Message == "" {
		return refused("the model's process sent a complaint that cannot be read")
	}
	return c.error()
}

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process without waiting for it.
func (p *Process) kill() { _ = p.cmd.Process.Kill() }

// Close ends the process and waits for its end. It may be called more than once.
func (p *Process) Close() error {
	p.kill()
	<-p.done
	for _, f := range []*os.File{p.in, p.out} {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("close the pipe of a model: %w", err)
		}
	}
	return nil
}

// A tail keeps the end of what a child says.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailBytes = 1024

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b[max(0, len(b)-tailBytes):]...)
	if extra := len(t.last) - tailBytes; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(bytes.TrimSpace(t.last)), "")
}

var _ io.Writer = (*tail)(nil)
