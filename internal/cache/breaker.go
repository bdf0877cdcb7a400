package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// breaker leaves Redis alone for a while after an error, so that a dead Redis does not slow down every call. It
// logs when Redis goes and when it comes back.
type breaker struct {
	cooldown time.Duration
	log      *slog.Logger

	mu    sync.Mutex
	down  bool
	until time.Time
}

// closed reports whether Redis may be asked.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.down || !time.Now().Before(b.until)
}

// report takes the outcome of one call and reports whether it succeeded. A caller that went away says nothing
// about Redis.
func (b *breaker) report(ctx context.Context, doing string, err error) bool {
	if err != nil && !errors.Is(err, redis.Nil) {
		if ctx.Err() != nil {
			return false
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.down {
			b.log.WarnContext(ctx, "cache is off until Redis answers again", "doing", doing, "error", err.Error())
		}
		b.down, b.until = true, time.Now().Add(b.cooldown)
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		b.log.InfoContext(ctx, "cache is on again")
	}
	b.down = false
	return true
}
