package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"consilium/internal/analysis"
)

// engine is a Run that a test steps through: each batch is announced and waits until it is let go.
type engine struct {
	started chan []int
	proceed chan struct{}
}

func newEngine() *engine {
	return &engine{started: make(chan []int), proceed: make(chan struct{})}
}

// run doubles each item but 13, which fails on its own.
func (e *engine) run(items []int) ([]Result[int], error) {
	e.started <- slices.Clone(items)
	<-e.proceed
	return double(items)
}

func double(items []int) ([]Result[int], error) {
	results := make([]Result[int], len(items))
	for i, v := range items {
		if v == 13 {
			results[i].Err = analysis.Invalid("text", "thirteen")
		} else {
			results[i].Value = 2 * v
		}
	}
	return results, nil
}

func identity(v int) int { return v }

// outcome is what one call of Do came to.
type outcome struct {
	value int
	err   error
}

// do calls Do in the background and returns when the item is queued or answered.
func do(t *testing.T, b *Batcher[int, int], ctx context.Context, v int) <-chan outcome {
	t.Helper()
	before := queued(b)
	answer := make(chan outcome, 1)
	go func() {
		value, err := b.Do(ctx, v)
		answer <- outcome{value, err}
	}()
	waitFor(b, func() bool { return len(b.queues[urgent]) > before })
	return answer
}

func queued(b *Batcher[int, int]) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queues[urgent])
}

// waitFor returns when condition, which may read b, holds.
func waitFor(b *Batcher[int, int], condition func() bool) {
	for {
		b.mu.Lock()
		ok := condition()
		b.mu.Unlock()
		if ok {
			return
		}
		runtime.Gosched()
	}
}

// busy starts a Batcher whose one worker is held in a batch of the item 1.
func busy(t *testing.T, config Config) (*Batcher[int, int], *engine, <-chan outcome) {
	t.Helper()
	e := newEngine()
	b := New(config, identity, e.run)
	first := make(chan outcome, 1)
	go func() {
		value, err := b.Do(context.Background(), 1)
		first <- outcome{value, err}
	}()
	if got := <-e.started; !slices.Equal(got, []int{1}) {
		t.Fatalf("first batch is %v, want [1]", got)
	}
	return b, e, first
}

func TestBatchFormsWhileTheEngineIsBusy(t *testing.T) {
	b, e, first := busy(t, Config{MaxCost: 10, Queue: 10, Workers: 1})
	defer b.Close()
	var answers []<-chan outcome
	for _, v := range []int{2, 3, 4, 5, 50, 6} {
		answers = append(answers, do(t, b, context.Background(), v))
	}
	e.proceed <- struct{}{}
	if got := <-first; got.value != 2 || got.err != nil {
		t.Errorf("first answer is %v, want 2", got)
	}
	// 2+3+4 fit into 10, 5 alone as 50 does not fit beside it, and 50 alone though it exceeds the bound.
	for _, want := range [][]int{{2, 3, 4}, {5}, {50}, {6}} {
		if got := <-e.started; !slices.Equal(got, want) {
			t.Errorf("batch is %v, want %v", got, want)
		}
		e.proceed <- struct{}{}
	}
	for i, v := range []int{2, 3, 4, 5, 50, 6} {
		if got := <-answers[i]; got.value != 2*v || got.err != nil {
			t.Errorf("answer to %d is %v, want %d", v, got, 2*v)
		}
	}
}

func TestOneFailingItemLeavesItsBatchMates(t *testing.T) {
	b, e, first := busy(t, Config{MaxCost: 100, Queue: 10, Workers: 1})
	defer b.Close()
	good, bad := do(t, b, context.Background(), 2), do(t, b, context.Background(), 13)
	e.proceed <- struct{}{}
	<-first
	<-e.started
	e.proceed <- struct{}{}
	if got := <-good; got.value != 4 || got.err != nil {
		t.Errorf("batch mate of a failing item got %v, want 4", got)
	}
	if got := <-bad; analysis.CodeOf(got.err) != analysis.InvalidArgument {
		t.Errorf("failing item got %v, want invalid_argument", got)
	}
}

func TestRunFailures(t *testing.T) {
	for name, test := range map[string]struct {
		run  Run[int, int]
		want string
	}{
		"error":     {func([]int) ([]Result[int], error) { return nil, errors.New("out of memory") }, "out of memory"},
		"panic":     {func([]int) ([]Result[int], error) { panic("index") }, ""},
		"too short": {func([]int) ([]Result[int], error) { return nil, nil }, "run a batch: 0 results of 1 items"},
	} {
		t.Run(name, func(t *testing.T) {
			b := New(Config{MaxCost: 1, Queue: 1, Workers: 1}, identity, test.run)
			defer b.Close()
			for range 2 { // the worker outlives the first one
				_, err := b.Do(context.Background(), 1)
				if analysis.CodeOf(err) != analysis.Internal || test.want != "" && err.Error() != test.want {
					t.Errorf("got %v, want an internal error %q", err, test.want)
				}
			}
		})
	}
}

func TestFullQueueIsRefusedAtOnceWithTheTimeToDrain(t *testing.T) {
	b, e, first := busy(t, Config{MaxCost: 1000, Queue: 2, Workers: 1})
	b.mu.Lock()
	clock := time.Now()
	b.now = func() time.Time { return clock }
	b.rate = 10 // per second, as if measured
	b.mu.Unlock()
	waiting := []<-chan outcome{do(t, b, context.Background(), 20), do(t, b, context.Background(), 30)}
	for _, call := range []func() error{
		func() error { _, err := b.Do(context.Background(), 1); return err },
		func() error { _, err := b.DoAll(context.Background(), []int{1, 2, 3}); return err },
	} {
		err := call()
		var e *analysis.Error
		if !errors.As(err, &e) || e.Code != analysis.Overloaded || e.Limit != "2 waiting" {
			t.Fatalf("got %v, want overloaded at 2 waiting", err)
		}
		if want := 5 * time.Second; e.RetryAfter != want { // 20 + 30 at 10 per second
			t.Errorf("retry after %s, want %s", e.RetryAfter, want)
		}
	}
	e.proceed <- struct{}{}
	<-e.started
	e.proceed <- struct{}{}
	<-first
	for _, w := range waiting {
		if got := <-w; got.err != nil {
			t.Errorf("a queued item got %v", got.err)
		}
	}
	b.Close()
}

func TestRateIsMeasured(t *testing.T) {
	clock := time.Unix(0, 0)
	b := New(Config{MaxCost: 100, Queue: 1, Workers: 1}, identity, double)
	b.mu.Lock()
	b.now = func() time.Time { clock = clock.Add(time.Second); return clock } // every batch takes a second
	b.mu.Unlock()
	for _, v := range []int{10, 20} {
		if _, err := b.Do(context.Background(), v); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	if want := 12.0; b.rate != want { // 10, then a fifth of the way to 20
		t.Errorf("rate is %v, want %v", b.rate, want)
	}
}

func TestCanceledItemsAreDropped(t *testing.T) {
	b, e, first := busy(t, Config{MaxCost: 100, Queue: 1, Workers: 1})
	defer b.Close()
	ctx, cancel := context.WithCancel(context.Background())
	gone := do(t, b, ctx, 7)
	cancel()
	if got := <-gone; analysis.CodeOf(got.err) != analysis.Canceled {
		t.Errorf("canceled item got %v, want canceled", got)
	}
	waitFor(b, func() bool { return len(b.queues[urgent]) == 0 && b.waiting[urgent] == 0 }) // its place is free at once
	next := do(t, b, context.Background(), 8)
	e.proceed <- struct{}{}
	<-first
	if got := <-e.started; !slices.Equal(got, []int{8}) {
		t.Errorf("batch is %v, want [8]", got)
	}
	e.proceed <- struct{}{}
	<-next
	if _, err := b.Do(ctx, 9); analysis.CodeOf(err) != analysis.Canceled {
		t.Errorf("an item with an ended context got %v, want canceled", err)
	}
}

func TestDoAllReturnsTheFirstError(t *testing.T) {
	b := New(Config{MaxCost: 5, Queue: 10, Workers: 2}, identity, double)
	defer b.Close()
	values, err := b.DoAll(context.Background(), []int{1, 2, 3, 4, 5})
	if err != nil || !slices.Equal(values, []int{2, 4, 6, 8, 10}) {
		t.Errorf("got %v, %v", values, err)
	}
	if _, err := b.DoAll(context.Background(), []int{1, 13, 3}); analysis.CodeOf(err) != analysis.InvalidArgument {
		t.Errorf("got %v, want invalid_argument", err)
	}
	large := make([]int, 25) // more than the queue holds, taken as nothing waits
	if _, err := b.DoAll(context.Background(), large); err != nil {
		t.Errorf("a call larger than the idle queue got %v", err)
	}
}

func TestCloseDrains(t *testing.T) {
	b, e, first := busy(t, Config{MaxCost: 100, Queue: 5, Workers: 1})
	queuedItem := do(t, b, context.Background(), 2)
	closed := make(chan struct{})
	go func() { b.Close(); close(closed) }()
	waitFor(b, func() bool { return b.closed })
	if _, err := b.Do(context.Background(), 3); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("after Close got %v, want unavailable", err)
	}
	e.proceed <- struct{}{}
	<-e.started
	e.proceed <- struct{}{}
	<-closed
	for want, answer := range map[int]<-chan outcome{2: first, 4: queuedItem} {
		if got := <-answer; got.value != want || got.err != nil {
			t.Errorf("got %v, want %d", got, want)
		}
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	b := New(Config{MaxCost: 50, Queue: 1000, Workers: 3}, identity, double)
	var callers sync.WaitGroup
	failures := make(chan error, 64)
	for c := range 64 {
		callers.Go(func() {
			for i := range 100 {
				v := 100 + (c+i)%7
				ctx, cancel := context.WithCancel(context.Background())
				if i%10 == 0 {
					go cancel()
				}
				got, err := b.Do(ctx, v)
				cancel()
				if err != nil && analysis.CodeOf(err) != analysis.Canceled || err == nil && got != 2*v {
					failures <- fmt.Errorf("answer to %d is %d, %w", v, got, err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.Close()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if len(b.queues[urgent]) != 0 || b.waiting[urgent] != 0 {
		t.Errorf("%d items of cost %d are left", len(b.queues[urgent]), b.waiting[urgent])
	}
}

// TestBulkGivesWay queues both kinds while the engine is busy.
func TestBulkGivesWay(t *testing.T) {
	b, e, first := busy(t, Config{MaxCost: 8, Queue: 3, Workers: 1})
	defer b.Close()
	later := analysis.WithBulk(context.Background())
	var answers []<-chan outcome
	for i, v := range []int{2, 1, 3} {
		answer := make(chan outcome, 1)
		go func() {
			value, err := b.Do(later, v)
			answer <- outcome{value, err}
		}()
		waitFor(b, func() bool { return len(b.queues[bulk]) > i })
		answers = append(answers, answer)
	}
	if _, err := b.Do(later, 1); analysis.CodeOf(err) != analysis.Overloaded {
		t.Errorf("a full queue took an item: %v", err)
	}
	for _, v := range []int{4, 4, 5} {
		answers = append(answers, do(t, b, context.Background(), v))
	}
	e.proceed <- struct{}{}
	<-first
	for _, want := range [][]int{{4, 4}, {5}, {2}, {1}, {3}} { // of the bulk at most a quarter of the cost
		if got := <-e.started; !slices.Equal(got, want) {
			t.Errorf("the next batch is %v, want %v", got, want)
		}
		e.proceed <- struct{}{}
	}
	for _, answer := range answers {
		if got := <-answer; got.err != nil {
			t.Error(got.err)
		}
	}
}

func TestBulkIsNotLeftOut(t *testing.T) {
	b := &Batcher[int, int]{config: Config{MaxCost: 1}}
	b.queues[urgent], b.queues[bulk] = make([]*item[int, int], 100), make([]*item[int, int], 100)
	turns := 0
	for range 10 * (patience + 1) {
		if class, _ := b.turn(); class == bulk {
			turns++
		}
	}
	if turns != 10 {
		t.Errorf("the bulk had %d turns", turns)
	}
}
