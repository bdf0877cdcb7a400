package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"consilium/internal/cache"
	"consilium/internal/postgres"
)

// Forgetter makes the cache forget what was deleted. What it could not tell the cache stays noted in the database.
type Forgetter struct {
	Store *postgres.Store
	Cache *cache.Cache
}

// forgetTime bounds one attempt, forgetEvery is how often one is made.
const (
	forgetTime  = 10 * time.Second
	forgetEvery = time.Minute
)

// Forget makes the cache forget everything that is noted.
func (f *Forgetter) Forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, forgetTime)
	defer cancel()
	err := f.Store.EachForgotten(ctx, func(digests []string) error { return f.Cache.Forget(ctx, digests) })
	if err != nil {
		return fmt.Errorf("make the cache forget: %w", err)
	}
	return nil
}

// Run tries until ctx ends: what was deleted while the cache was away is forgotten when it is back.
func (f *Forgetter) Run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		if err := f.Forget(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "the cache still remembers what was deleted", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
