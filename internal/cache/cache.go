// Package cache remembers features and fused results in Redis, behind the interfaces that make them.
//
// Everything is keyed by what determines it: the digest of the model and the SHA-256 of the input, so an entry
// is never stale. It goes with its time, or when an input that it was made of is to be forgotten. Without Redis every call
// still works, slower.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"consilium/internal/analysis"
)

// Options bounds a cache.
type Options struct {
	TTL           time.Duration // how long an entry is kept
	MaxValueBytes int           // a larger entry is not stored
	Cooldown      time.Duration // how long Redis is left alone after an error
}

// DefaultOptions is right for a Redis in the same network.
var DefaultOptions = Options{TTL: 24 * time.Hour, MaxValueBytes: 4 << 20, Cooldown: 5 * time.Second}

// redisTimeout bounds every step of a call to Redis: an answer that takes longer is not worth waiting for.
const redisTimeout = 500 * time.Millisecond

// Cache is shared by the decorators of one process. The zero value is not usable; New is.
type Cache struct {
	redis   *redis.Client // nil: nothing is remembered, but equal calls at the same time still share one result
	options Options
	breaker breaker
	flights singleflight.Group
	answers Recent[*analysis.Result] // in front of Redis
	lookups *prometheus.CounterVec
	writing chan struct{} // holds a token for each entry that is on its way to Redis
	flush   sync.Mutex
}

// writers is how many entries may be on their way to Redis; whoever has one more waits.
const writers = 16

// New returns a cache on client, which may be nil. Its counter is registered with metrics.
func New(client *redis.Client, options Options, log *slog.Logger, metrics prometheus.Registerer) *Cache {
	c := &Cache{
		redis: client, options: options, writing: make(chan struct{}, writers),
		breaker: breaker{cooldown: options.Cooldown, log: log},
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consilium_cache_lookups_total", Help: "Looked-up entries by kind and outcome: hit, miss, or bypass when Redis or the model's digest is not there.",
		}, []string{"kind", "outcome"}),
	}
	metrics.MustRegister(c.lookups)
	return c
}

// Connect returns a client of the Redis at url, redis://user:password@host:port/db or unix://…, with timeouts
// that fit a cache. It makes no connection yet.
func Connect(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("want redis://host:port, rediss://host:port or unix:///path") // the cause may quote the password
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = redisTimeout, redisTimeout, redisTimeout, redisTimeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries = -1 // computing the value is the retry
	options.DialerRetries = 1
	return redis.NewClient(options), nil
}

// Ready returns an error unless Redis answers.
func (c *Cache) Ready(ctx context.Context) error {
	if c.redis == nil {
		return analysis.Errorf(analysis.Unavailable, "no Redis is configured")
	}
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return &analysis.Error{Code: analysis.Unavailable, Message: "Redis does not answer", Err: err}
	}
	return nil
}

// key names an entry by its kind and everything that determines its value.
func key(kind string, determinants ...string) string {
	h := sha256.New()
	for _, d := range determinants {
		fmt.Fprintf(h, "%d:", len(d)) // no two lists of determinants hash the same bytes
		io.WriteString(h, d)
	}
	return "consilium:" + kind + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// get returns the value of each key, nil for what is not there. ok is false if Redis could not be asked.
func (c *Cache) get(ctx context.Context, keys []string) (values [][]byte, ok bool) {
	values = make([][]byte, len(keys))
	if c.redis == nil || !c.breaker.closed() {
		return values, false
	}
	found, err := c.redis.MGet(ctx, keys...).Result()
	if !c.breaker.report(ctx, "read", err) {
		return values, false
	}
	for i, value := range found {
		if s, ok := value.(string); ok {
			values[i] = []byte(s)
		}
	}
	return values, true
}

// count records n lookups.
func (c *Cache) count(kind, outcome string, n int) {
	if n > 0 {
		c.lookups.WithLabelValues(kind, outcome).Add(float64(n))
	}
}

// once runs compute for the first of the calls that come with the same key at the same time and gives the
// others its result, which nobody may change. A caller that goes away does not take the others' result with it.
func once[T any](ctx context.Context, c *Cache, key string, compute func() (T, error)) (T, error) {
	var zero T
	for {
		led := false
		flight := c.flights.DoChan(key, func() (value any, err error) {
			led = true
			defer func() { // a panic on this goroutine would end the process
				if reason := recover(); reason != nil {
					err = fmt.Errorf("compute %s: panic: %v", key, reason)
				}
			}()
			return compute()
		})
		select {
		case <-ctx.Done():
			return zero, ctx.Err()
		case result := <-flight:
			switch {
			case result.Err == nil:
				return result.Val.(T), nil
			case !led && analysis.CodeOf(result.Err) == analysis.Canceled:
				continue // the leader's caller went away, not ours
			}
			return zero, result.Err
		}
	}
}
