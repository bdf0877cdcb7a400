package pipeline

import (
	"context"
	"testing"

	"consilium/internal/analysis"
)

func TestBulkWaitsForWhoeverWaits(t *testing.T) {
	c := &courtesy{}
	later := analysis.WithBulk(context.Background())
	c.wait(later) // for nobody
	first, second := c.enter(context.Background()), c.enter(context.Background())
	c.enter(later)()             // counts for nothing
	c.wait(context.Background()) // never waits
	waited := make(chan struct{})
	go func() {
		c.wait(later)
		close(waited)
	}()
	first()
	select {
	case <-waited:
		t.Error("it did not wait for the second")
	default:
	}
	second()
	<-waited
	ended, cancel := context.WithCancel(later)
	cancel()
	defer c.enter(context.Background())()
	c.wait(ended)
}
