package pipeline

import (
	"context"
	"sync"
	"time"

	"consilium/internal/analysis"
)

type timingKey struct{}

// Timing collects how long the stages of one analysis took. It is safe for concurrent use.
type Timing struct {
	mu     sync.Mutex
	stages []analysis.Stage
}

// WithTiming returns a context in which the stages of an analysis are timed.
func WithTiming(ctx context.Context) (context.Context, *Timing) {
	t := &Timing{}
	return context.WithValue(ctx, timingKey{}, t), t
}

// Stages returns what was measured so far, in the order in which the stages ended.
func (t *Timing) Stages() []analysis.Stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]analysis.Stage{}, t.stages...)
}

// Stages returns what was measured so far in a context of WithTiming.
func Stages(ctx context.Context) []analysis.Stage {
	if t, ok := ctx.Value(timingKey{}).(*Timing); ok {
		return t.Stages()
	}
	return []analysis.Stage{}
}

// Stage starts the clock of one stage; the returned function stops it.
func Stage(ctx context.Context, name string) func() {
	t, ok := ctx.Value(timingKey{}).(*Timing)
	if !ok {
		return func() {}
	}
	start := time.Now()
	return func() {
		seconds := time.Since(start).Seconds()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.stages = append(t.stages, analysis.Stage{Name: name, Seconds: seconds})
	}
}
