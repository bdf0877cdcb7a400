package tensor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/sugarme/gotch/libtch"
)

// Options configure an Engine.
type Options struct {
	Device Device
	// Threads is the size of the OpenMP team of this engine's thread, 0 for half of the cores. A team that has to
	// share a core with another busy thread waits for it at every barrier and can slow down a hundredfold, and an
	// engine is seldom the only one on its machine.
	Threads int
	// Grad records operators for Backward. A server leaves it off.
	Grad bool
}

// ErrClosed is returned by Do after Close.
var ErrClosed = errors.New("tensor engine is closed")

// Engine is one goroutine, locked to one operating system thread, that runs computations one after the other.
// Its methods may be called from any goroutine.
type Engine struct {
	device Device
	jobs   chan job
	closed chan struct{}
	once   sync.Once
	done   chan struct{}
}

type job struct {
	fn   func(*Arena) error
	errc chan error
}

// NewEngine starts an engine. Close ends it.
func NewEngine(opt Options) *Engine {
	if opt.Threads <= 0 {
		opt.Threads = max(1, runtime.NumCPU()/2)
	}
	e := &Engine{device: opt.Device, jobs: make(chan job), closed: make(chan struct{}), done: make(chan struct{})}
	go e.loop(opt)
	return e
}

// Device returns where the engine's tensors live.
func (e *Engine) Device() Device { return e.device }

// Do runs fn on the engine's thread and waits for it. It returns fn's error, the error of the first operator
// that failed, or, if the context was over before or the engine busy until then, the context's error; fn that has begun is
// not interrupted.
// Every tensor that fn made and did not Keep is freed when fn returns.
func (e *Engine) Do(ctx context.Context, fn func(*Arena) error) error {
	if err := ctx.Err(); err != nil {
		return err // an idle engine would be as ready as the context, and select draws lots
	}
	j := job{fn: fn, errc: make(chan error, 1)}
	select {
	case <-e.closed:
		return ErrClosed
	case <-e.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case e.jobs <- j:
	}
	select {
	case err := <-j.errc:
		return err
	case <-e.done:
	}
	select {
	case err := <-j.errc: // it came just before the engine ended
		return err
	default: // fn ended its goroutine, as testing.T.Fatal does, and the engine with it
		return ErrClosed
	}
}

// Close ends the engine after the computation that is running. It may be called more than once.
func (e *Engine) Close() {
	e.once.Do(func() { close(e.closed) })
	<-e.done
}

func (e *Engine) loop(opt Options) {
	// The thread is never unlocked: when the goroutine ends, the runtime ends the thread, and with it the
	// thread-local state of libtorch.
	runtime.LockOSThread()
	defer close(e.done)
	setNumThreads(opt.Threads)
	grad := 0
	if opt.Grad {
		grad = 1
	}
	libtch.AtGradSetEnabled(grad)
	for {
		select {
		case <-e.closed:
			return
		case j := <-e.jobs:
			j.errc <- run(e.device, j.fn)
		}
	}
}

// run calls fn with a fresh arena and turns a panic into an error: of an operator into that operator's error,
// of anything else into one that carries the stack for the log.
func run(device Device, fn func(*Arena) error) (err error) {
	a := &Arena{device: device}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *OpError:
			err = r
		default:
			err = fmt.Errorf("panic in a tensor computation: %v\n%s", r, debug.Stack())
		}
		a.freeTape()
		a.release(0)
	}()
	return fn(a)
}
