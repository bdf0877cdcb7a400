package wire

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// freshProbe is how long the result of a probe answers for the next ones: a forward pass a second costs
	// nothing, one for every caller would let callers starve the model.
	freshProbe   = time.Second
	probeTimeout = 30 * time.Second
)

// readiness runs a probe, once for all who ask at the same time.
type readiness struct {
	probe func(context.Context) error
	group singleflight.Group

	mu   sync.Mutex
	at   time.Time
	last error
}

// check returns the result of a probe that is at most a second old.
func (r *readiness) check(ctx context.Context) error {
	r.mu.Lock()
	at, last := r.at, r.last
	r.mu.Unlock()
	if !at.IsZero() && time.Since(at) < freshProbe {
		return last
	}
	probed := r.group.DoChan("", func() (_ any, err error) {
		// The probe answers for everybody, so it does not end with the caller who came first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("the probe panicked: %v", reason)
			}
			r.mu.Lock()
			r.at, r.last = time.Now(), err
			r.mu.Unlock()
		}()
		return nil, r.probe(ctx)
	})
	select {
	case result := <-probed:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
