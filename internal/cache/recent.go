package cache

import (
	"sync"
	"time"
)

const (
	// recentPeriod is how long Recent keeps what is not used again: two of them at most.
	recentPeriod = 30 * time.Second
	// recentEntries is how many entries one period takes.
	recentEntries = 4096
)

// Recent keeps in this process what was used lately, as two generations: what is used moves to the younger one, and the older one
// goes with its period. So what nobody asks for is out of memory a minute later, wherever it was deleted. The zero value is ready.
type Recent[V any] struct {
	mu             sync.Mutex
	younger, older map[string]V
	turning        bool // a timer runs
}

// Get returns what is kept under key.
func (r *Recent[V]) Get(key string) (value V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if value, ok = r.younger[key]; ok {
		return value, true
	}
	if value, ok = r.older[key]; ok {
		delete(r.older, key)
		r.put(key, value)
	}
	return value, ok
}

// Put keeps value, which nobody may change.
func (r *Recent[V]) Put(key string, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.older, key)
	r.put(key, value)
}

func (r *Recent[V]) put(key string, value V) {
	if len(r.younger) >= recentEntries {
		r.older, r.younger = r.younger, nil
	}
	if r.younger == nil {
		r.younger = map[string]V{}
	}
	r.younger[key] = value
	if !r.turning {
		r.turning = true
		time.AfterFunc(recentPeriod, r.turn)
	}
}

// turn ends a period.
func (r *Recent[V]) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.older, r.younger = r.younger, nil
	if r.turning = len(r.older) > 0; r.turning {
		time.AfterFunc(recentPeriod, r.turn)
	}
}

// Drop forgets one entry.
func (r *Recent[V]) Drop(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.younger, key)
	delete(r.older, key)
}

// Clear forgets every entry.
func (r *Recent[V]) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.older, r.younger = nil, nil
}
