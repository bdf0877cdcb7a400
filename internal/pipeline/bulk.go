package pipeline

import (
	"context"
	"sync"
	"time"

	"consilium/internal/analysis"
)

// bulkPatience is how long a step of bulk work waits while somebody is waiting for an answer. Then it goes on, so that
// those who ask without a pause do not stop it altogether.
const bulkPatience = time.Second

// courtesy lets what somebody waits for go first: bulk work begins no step meanwhile. The zero value is ready.
type courtesy struct {
	mu     sync.Mutex
	urgent int
	idle   chan struct{} // closed when urgent falls to 0; nil while it is 0
}

// enter says that ctx's work begins; the returned function says that it ended.
func (c *courtesy) enter(ctx context.Context) (leave func()) {
	if analysis.Bulk(ctx) {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.urgent == 0 {
		c.idle = make(chan struct{})
	}
	c.urgent++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.urgent--; c.urgent == 0 {
			close(c.idle)
			c.idle = nil
		}
	}
}

// wait returns when a step of ctx's work may begin.
func (c *courtesy) wait(ctx context.Context) {
	if !analysis.Bulk(ctx) {
		return
	}
	patience := time.NewTimer(bulkPatience)
	defer patience.Stop()
	for {
		c.mu.Lock()
		idle := c.idle
		c.mu.Unlock()
		if idle == nil {
			return
		}
		select {
		case <-idle:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
