package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"consilium/internal/analysis"
)

// goneTTL is how long an input that was forgotten is not remembered anew: longer than any request that had it in hand.
const goneTTL = 10 * time.Minute

// indexKey names the set of the entries that an input went into, goneKey the mark of one that was forgotten.
func indexKey(input string) string { return "consilium:of:" + input }
func goneKey(input string) string  { return "consilium:gone:" + input }

// Forget removes every entry that the inputs with these SHA-256 went into: their features, and what was fused from them.
// What is being computed from them now is not stored. Without Redis there is nothing to forget; if it cannot be reached,
// Forget fails and is to be called again.
func (c *Cache) Forget(ctx context.Context, inputs []string) error {
	c.answers.Clear()
	if c.redis == nil {
		return nil
	}
	if err := c.forget(ctx, inputs); err != nil {
		return &analysis.Error{Code: analysis.Unavailable, Message: "Redis does not answer", Err: err}
	}
	return nil
}

func (c *Cache) forget(ctx context.Context, inputs []string) error {
	for _, input := range inputs {
		if err := c.redis.Set(ctx, goneKey(input), 1, goneTTL).Err(); err != nil {
			return fmt.Errorf("mark %s as gone: %w", input, err)
		}
	}
	c.Flush() // what was on its way before the marks is there now, and what comes later sees them
	for _, input := range inputs {
		if err := c.remove(ctx, input); err != nil {
			return fmt.Errorf("forget %s: %w", input, err)
		}
	}
	return nil
}

// remove removes the entries that an input went into.
func (c *Cache) remove(ctx context.Context, input string) error {
	for {
		keys, err := c.redis.SRandMemberN(ctx, indexKey(input), 1000).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := c.redis.Unlink(ctx, keys...).Err(); err != nil {
			return err
		}
		if err := c.redis.SRem(ctx, indexKey(input), keys).Err(); err != nil {
			return err
		}
	}
}

// set stores an entry that was made of the inputs with these SHA-256, if Redis can be reached and the entry is not too
// large. It returns at once: whoever asks waits for the answer, not for what is remembered of it.
func (c *Cache) set(key string, value func() []byte, inputs ...string) {
	if c.redis == nil {
		return
	}
	c.writing <- struct{}{}
	go func() {
		defer func() { <-c.writing }()
		if c.breaker.closed() { // it may have opened while this waited
			c.write(key, value(), inputs)
		}
	}()
}

// Flush returns when what was set before is stored.
func (c *Cache) Flush() {
	c.flush.Lock()
	defer c.flush.Unlock()
	for range writers {
		c.writing <- struct{}{}
	}
	for range writers {
		<-c.writing
	}
}

// write is set, and returns when it is done.
func (c *Cache) write(key string, value []byte, inputs []string) {
	if len(value) > c.options.MaxValueBytes {
		return
	}
	ctx := context.Background() // the request may be over
	var gone []*redis.IntCmd
	_, err := c.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, key, value, c.options.TTL)
		for _, input := range inputs {
			p.SAdd(ctx, indexKey(input), key)
			p.Expire(ctx, indexKey(input), c.options.TTL) // as long as its newest entry
			gone = append(gone, p.Exists(ctx, goneKey(input)))
		}
		return nil
	})
	if !c.breaker.report(ctx, "write", err) {
		return
	}
	for _, there := range gone {
		if there.Val() > 0 {
			c.breaker.report(ctx, "write", c.withdraw(ctx, key, inputs))
			return
		}
	}
}

// withdraw removes an entry and what says that it is there.
func (c *Cache) withdraw(ctx context.Context, key string, inputs []string) error {
	_, err := c.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Unlink(ctx, key)
		for _, input := range inputs {
			p.SRem(ctx, indexKey(input), key)
		}
		return nil
	})
	return err
}
