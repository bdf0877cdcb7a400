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
	// Precision is what Params.Get and ToPrecision round to: Float (which the zero Options mean as well), Half or BFloat16. A
	// net that calls ToPrecision with its input computes in it; libtorch adds up in float32 meanwhile.
	Precision Kind
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
	opt    Options
	jobs   chan job
	closed chan struct{}
	once   sync.Once
	done   chan struct{}
}

type job struct {
	fn   func(*Arena) error
	errc chan error
}

// NewEngine starts an engine. Close ends it. On a CUDA device it has a stream of its own, so that engines do not wait for
// each other; where that cannot be had, Do returns the error.
func NewEngine(opt Options) *Engine {
	if opt.Precision != Half && opt.Precision != BFloat16 {
		opt.Precision = Float
	}
	if opt.Threads <= 0 {
		opt.Threads = max(1, runtime.NumCPU()/2)
	}
	e := &Engine{opt: opt, jobs: make(chan job), closed: make(chan struct{}), done: make(chan struct{})}
	go e.loop()
	return e
}

// Device returns where the engine's tensors live.
func (e *Engine) Device() Device { return e.opt.Device }

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

func (e *Engine) loop() {
	// The thread is never unlocked: when the goroutine ends, the runtime ends the thread, and with it the
	// thread-local state of libtorch.
	runtime.LockOSThread()
	defer close(e.done)
	setNumThreads(e.opt.Threads)
	grad := 0
	if e.opt.Grad {
		grad = 1
	}
	libtch.AtGradSetEnabled(grad)
	var err error
	if e.opt.Device != CPU {
		err = e.run((*Arena).ownStream)
	}
	for {
		select {
		case <-e.closed:
			return
		case j := <-e.jobs:
			if err != nil {
				j.errc <- err
			} else {
				j.errc <- e.run(j.fn)
			}
		}
	}
}

// run calls fn with a fresh arena and turns a panic into an error: of an operator into that operator's error,
// of anything else into one that carries the stack for the log.
func (e *Engine) run(fn func(*Arena) error) (err error) {
	a := &Arena{device: e.opt.Device, precision: e.opt.Precision}
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
