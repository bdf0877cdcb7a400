// Package batch puts a bounded queue in front of work that runs cheaper in batches.
package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"consilium/internal/analysis"
)

// Config bounds a Batcher. Every field has to be positive.
type Config struct {
	// MaxCost is the most that the items of one batch may cost together; a dearer item runs alone.
	MaxCost int
	// Queue is how many items may wait. A call with more items than that is taken only when nothing waits.
	Queue int
	// Workers is how many batches run at the same time.
	Workers int
}

// Result is what came of one item.
type Result[Out any] struct {
	Value Out
	Err   error
}

// Run works on a batch and returns one Result for each item, in order. An error fails every item. Run is called
// by as many goroutines as there are workers.
type Run[In, Out any] func(items []In) ([]Result[Out], error)

// Batcher runs items in batches. A batch is whatever waits when a worker becomes free, in order of arrival:
// nothing is held back to wait for company, and batches grow by themselves when work arrives faster than it is
// done. Items that nobody waits for any more are dropped before they run.
//
// Items of analysis.WithBulk wait in a queue of their own, from which batches are taken while the other is empty. They are
// small, since whoever comes next waits for the one that runs.
type Batcher[In, Out any] struct {
	config Config
	cost   func(In) int
	run    Run[In, Out]
	now    func() time.Time

	mu      sync.Mutex
	arrived sync.Cond           // the queue is not empty, or closed is set
	queues  [2][]*item[In, Out] // of the urgent and of the rest
	waiting [2]int              // cost of each queue
	passed  int                 // urgent batches that ran since the rest had its turn
	closed  bool
	rate    float64 // cost per second that one worker gets done, 0 until measured
	workers sync.WaitGroup
}

// The queues.
const (
	urgent = iota
	bulk
)

const (
	// bulkShare is the part of a batch's cost that one of the bulk may have.
	bulkShare = 4
	// patience is how many urgent batches the bulk lets go first, so that it is never left out altogether.
	patience = 16
)

type item[In, Out any] struct {
	in   In
	cost int
	ctx  context.Context
	done chan Result[Out] // buffered, so that a worker never waits for a caller
}

// New starts a Batcher. cost is the cost of an item, in the unit of Config.MaxCost.
func New[In, Out any](config Config, cost func(In) int, run Run[In, Out]) *Batcher[In, Out] {
	if config.MaxCost <= 0 || config.Queue <= 0 || config.Workers <= 0 {
		panic(fmt.Sprintf("batch: want positive bounds, found %+v", config))
	}
	b := &Batcher[In, Out]{config: config, cost: cost, run: run, now: time.Now}
	b.arrived.L = &b.mu
	for range config.Workers {
		b.workers.Go(b.work)
	}
	return b
}

// Do runs one item. Its error is the item's own, Overloaded when the queue is full, Unavailable after Close, or
// the context's.
func (b *Batcher[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	values, err := b.DoAll(ctx, []In{in})
	if err != nil {
		var zero Out
		return zero, err
	}
	return values[0], nil
}

// DoAll runs items, which may be spread over several batches, and returns their values in order. They are queued
// all or not at all; the first error stands for all. Errors are as for Do.
func (b *Batcher[In, Out]) DoAll(ctx context.Context, in []In) ([]Out, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // an item that fails makes its sisters superfluous
	defer cancel()
	items := make([]*item[In, Out], len(in))
	for i, v := range in {
		items[i] = &item[In, Out]{in: v, cost: b.cost(v), ctx: ctx, done: make(chan Result[Out], 1)}
	}
	class := urgent
	if analysis.Bulk(ctx) {
		class = bulk
	}
	if err := b.enqueue(class, items); err != nil {
		return nil, err
	}
	values := make([]Out, len(items))
	for i, it := range items {
		select {
		case result := <-it.done:
			if result.Err != nil {
				b.forget(class, items[i+1:])
				return nil, result.Err
			}
			values[i] = result.Value
		case <-ctx.Done():
			b.forget(class, items[i:])
			return nil, ctx.Err()
		}
	}
	return values, nil
}

func (b *Batcher[In, Out]) enqueue(class int, items []*item[In, Out]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return analysis.Errorf(analysis.Unavailable, "the service is stopping")
	}
	waiting := len(b.queues[class])
	if waiting > 0 && waiting+len(items) > b.config.Queue {
		return &analysis.Error{
			Code: analysis.Overloaded, Message: "the queue is full",
			Limit: fmt.Sprintf("%d waiting", b.config.Queue), Value: fmt.Sprintf("%d waiting", waiting),
			RetryAfter: b.drainTime(class),
		}
	}
	b.queues[class] = append(b.queues[class], items...)
	for _, it := range items {
		b.waiting[class] += it.cost
	}
	b.arrived.Broadcast()
	return nil
}

// drainTime is how long the workers need for what waits now and goes first, by the rate that was measured.
func (b *Batcher[In, Out]) drainTime(class int) time.Duration {
	const least, most = 100 * time.Millisecond, time.Minute
	if b.rate == 0 {
		return time.Second
	}
	waiting := 0
	for _, cost := range b.waiting[:class+1] {
		waiting += cost
	}
	seconds := float64(waiting) / (b.rate * float64(b.config.Workers))
	return min(max(time.Duration(seconds*float64(time.Second)), least), most)
}

// forget takes those of items that still wait out of the queue, so that they do not fill it.
func (b *Batcher[In, Out]) forget(class int, items []*item[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queues[class] = slices.DeleteFunc(b.queues[class], func(it *item[In, Out]) bool {
		if !slices.Contains(items, it) {
			return false
		}
		b.waiting[class] -= it.cost
		return true
	})
}

// work runs batches until the queue is closed and empty.
func (b *Batcher[In, Out]) work() {
	for {
		batch := b.take()
		if batch == nil {
			return
		}
		in, cost := make([]In, len(batch)), 0
		for i, it := range batch {
			in[i] = it.in
			cost += it.cost
		}
		start := b.now()
		results, err := b.protect(in)
		b.measure(cost, b.now().Sub(start))
		for i, it := range batch {
			if err != nil {
				it.done <- Result[Out]{Err: err}
			} else {
				it.done <- results[i]
			}
		}
	}
}

// take waits for items and returns the next batch, nil when the Batcher is closed and nothing is left.
func (b *Batcher[In, Out]) take() []*item[In, Out] {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		for len(b.queues[urgent])+len(b.queues[bulk]) == 0 {
			if b.closed {
				return nil
			}
			b.arrived.Wait()
		}
		class, most := b.turn()
		var batch []*item[In, Out]
		taken, cost := 0, 0
		for _, it := range b.queues[class] {
			if it.ctx.Err() == nil {
				if len(batch) > 0 && cost+it.cost > most {
					break
				}
				batch = append(batch, it)
				cost += it.cost
			}
			taken++
			b.waiting[class] -= it.cost
		}
		b.queues[class] = slices.Delete(b.queues[class], 0, taken)
		if len(batch) > 0 {
			return batch
		}
	}
}

// turn says which queue the next batch is of, and what it may cost at most.
func (b *Batcher[In, Out]) turn() (class, most int) {
	if len(b.queues[bulk]) == 0 {
		b.passed = 0
		return urgent, b.config.MaxCost
	}
	if len(b.queues[urgent]) == 0 || b.passed >= patience {
		b.passed = 0
		return bulk, b.config.MaxCost / bulkShare
	}
	b.passed++
	return urgent, b.config.MaxCost
}

// protect calls run and turns a panic, and a wrong number of results, into an error.
func (b *Batcher[In, Out]) protect(in []In) (results []Result[Out], err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &analysis.Error{Code: analysis.Internal, Message: "the batch failed", Err: fmt.Errorf("panic: %v\n%s", reason, debug.Stack())}
		}
	}()
	results, err = b.run(in)
	if err == nil && len(results) != len(in) {
		err = fmt.Errorf("run a batch: %d results of %d items", len(results), len(in))
	}
	return results, err
}

// measure updates the rate with one batch; the last few batches count most.
func (b *Batcher[In, Out]) measure(cost int, took time.Duration) {
	if took <= 0 {
		return
	}
	const weight = 0.2
	rate := float64(cost) / took.Seconds()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		b.rate = rate
		return
	}
	b.rate += weight * (rate - b.rate)
}

// Close takes no more items, waits until those that are queued have run, and returns.
func (b *Batcher[In, Out]) Close() {
	b.mu.Lock()
	b.closed = true
	b.arrived.Broadcast()
	b.mu.Unlock()
	b.workers.Wait()
}
