package bench

import (
	"context"
	"time"

	"consilium/internal/analysis"
)

// own is a contender of this process: the platform's.
type own struct {
	name string
	// begin returns what does one iteration of a case.
	begin     func(c *Case) func(ctx context.Context) ([][]float32, error)
	iteration func(ctx context.Context) ([][]float32, error)
}

// Name implements Contender.
func (o *own) Name() string { return o.name }

// Take implements Contender.
func (o *own) Take(ctx context.Context, c *Case) ([][]float32, error) {
	o.iteration = o.begin(c)
	return o.iteration(ctx)
}

// Run implements Contender.
func (o *own) Run(ctx context.Context, n int) ([]float64, error) {
	seconds := make([]float64, n)
	for i := range seconds {
		start := time.Now()
		if _, err := o.iteration(ctx); err != nil {
			return nil, err
		}
		seconds[i] = time.Since(start).Seconds()
	}
	return seconds, nil
}

// Close implements Contender. What works here belongs to someone else.
func (o *own) Close() error { return nil }

// vectors returns the vectors of features.
func vectors(features []*analysis.Features) [][]float32 {
	out := make([][]float32, len(features))
	for i, f := range features {
		out[i] = f.Vector
	}
	return out
}
