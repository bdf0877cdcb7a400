package train

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
)

// ahead is how many batches may be ready or in the making while the net computes.
const ahead = 3

// position is where a loader stands: enough to go on from there.
type position struct {
	Draws  int    `json:"draws"`  // made so far
	Random []byte `json:"random"` // state of the generator
	Epoch  []byte `json:"epoch"`  // its state before the current epoch's Shuffle
}

// loader draws batches one after the other, in an order that the seed alone decides, and prepares them on other
// goroutines than the one that asks for them.
type loader[B any] struct {
	task   Task[B]
	pcg    *rand.PCG
	rng    *rand.Rand
	at     position
	share  share
	queue  chan promise[B]
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// share says which of every so many draws this process takes.
type share struct{ rank, world int }

// promise is a batch in the making and the loader's position behind it.
type promise[B any] struct {
	ready chan prepared[B]
	after position
}

type prepared[B any] struct {
	batch B
	err   error
}

// newLoader starts a loader from a position; the zero position is the beginning.
func newLoader[B any](ctx context.Context, task Task[B], seed uint64, from position, s share) (*loader[B], error) {
	pcg := task.Random(seed)
	l := &loader[B]{task: task, pcg: pcg, rng: rand.New(pcg), share: s, queue: make(chan promise[B], ahead-1)}
	if from.Draws > 0 {
		if n := task.EpochLength(); n > 0 && from.Draws%n > 0 {
			if err := pcg.UnmarshalBinary(from.Epoch); err != nil {
				return nil, fmt.Errorf("continue the order of the examples: %w", err)
			}
			task.Shuffle(l.rng)
		}
		if err := pcg.UnmarshalBinary(from.Random); err != nil {
			return nil, fmt.Errorf("continue the order of the examples: %w", err)
		}
		l.at = from
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.wait.Go(func() { l.run(ctx) })
	return l, nil
}

func (l *loader[B]) run(ctx context.Context) {
	for {
		var prepare func() (B, error)
		for rank := range l.share.world {
			if p := l.draw(); rank == l.share.rank {
				prepare = p
			}
		}
		p := promise[B]{ready: make(chan prepared[B], 1), after: l.at}
		select {
		case <-ctx.Done():
			return
		case l.queue <- p:
		}
		l.wait.Go(func() {
			b, err := prepare()
			p.ready <- prepared[B]{b, err}
		})
	}
}

// draw makes one draw and moves the position behind it.
func (l *loader[B]) draw() func() (B, error) {
	i := l.at.Draws
	if n := l.task.EpochLength(); n > 0 {
		if i %= n; i == 0 {
			l.at.Epoch = l.state()
			l.task.Shuffle(l.rng)
		}
	}
	p := l.task.Draw(l.rng, i)
	l.at.Draws++
	l.at.Random = l.state()
	return p
}

func (l *loader[B]) state() []byte {
	b, err := l.pcg.MarshalBinary()
	if err != nil {
		panic(err) // it has no way to fail
	}
	return bytes.Clone(b)
}

// next returns the next batch and the position behind it, or the context's error.
func (l *loader[B]) next(ctx context.Context) (batch B, after position, err error) {
	select {
	case <-ctx.Done():
		return batch, after, ctx.Err()
	case p := <-l.queue:
		r := <-p.ready
		return r.batch, p.after, r.err
	}
}

// close stops the loader and waits for its goroutines.
func (l *loader[B]) close() {
	l.cancel()
	l.wait.Wait()
}
