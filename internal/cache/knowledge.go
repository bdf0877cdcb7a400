package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"consilium/internal/knowledge"
)

// facts implements knowledge.Memory: a sorted set for each version of a tenant's graph, the number of a fact in the
// journal being its score. A member never changes, so what two processes write of the same fact is the same.
type facts struct{ *Cache }

var _ knowledge.Memory = facts{}

// factsTTL is how long the facts of a version are held after they were written last.
const factsTTL = 7 * 24 * time.Hour

// Knowledge returns the memory of the facts that tenants added.
func (c *Cache) Knowledge() knowledge.Memory { return facts{c} }

func factsKey(head knowledge.Head) string { return key("knowledge", head.ID) }

// Facts implements knowledge.Memory.
func (f facts) Facts(ctx context.Context, head knowledge.Head, after int) []knowledge.Fact {
	if f.redis == nil || !f.breaker.closed() {
		f.count("knowledge", "bypass", 1)
		return nil
	}
	members, err := f.redis.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: factsKey(head), ByScore: true, Start: fmt.Sprintf("(%d", after), Stop: "+inf", Count: knowledge.MaxFacts,
	}).Result()
	if !f.breaker.report(ctx, "read", err) {
		f.count("knowledge", "bypass", 1)
		return nil
	}
	list := make([]knowledge.Fact, len(members))
	for i, member := range members {
		if err := json.Unmarshal([]byte(member), &list[i]); err != nil {
			f.count("knowledge", "miss", 1)
			return nil // the journal knows it
		}
	}
	outcome := "hit"
	if len(list) == 0 {
		outcome = "miss"
	}
	f.count("knowledge", outcome, 1)
	return list
}

// Remember implements knowledge.Memory.
func (f facts) Remember(ctx context.Context, head knowledge.Head, list []knowledge.Fact) {
	if f.redis == nil || len(list) == 0 || !f.breaker.closed() {
		return
	}
	members := make([]redis.Z, len(list))
	for i := range list {
		raw, err := json.Marshal(&list[i])
		if err != nil {
			return // what cannot be written is read from the journal
		}
		members[i] = redis.Z{Score: float64(list[i].Seq), Member: raw}
	}
	where := factsKey(head)
	_, err := f.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, where, members...)
		p.Expire(ctx, where, factsTTL)
		return nil
	})
	f.breaker.report(ctx, "write", err)
}
