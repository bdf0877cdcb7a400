// Package profile records what each layer of a net costs, while somebody asks for it.
package profile

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Layer is what one layer cost, all its calls together.
type Layer struct {
	// Name is that of its weights, "" for what has none; Kernel is what computed it.
	Name   string `json:"name,omitempty"`
	Kernel string `json:"kernel"`
	Calls  int    `json:"calls"`
	// Seconds are those of the caller; the threads that helped are not counted.
	Seconds float64 `json:"seconds"`
	// MultiplyAdds counts a multiplication with its addition as one; 0 where nobody counts them.
	MultiplyAdds float64 `json:"multiply_adds"`
}

// Recording is what was recorded since Start.
type Recording struct {
	mu     sync.Mutex
	layers map[[2]string]*Layer
	names  map[any]string
}

// running is the recording that goes on. There is one for the process, as a net does not know who asks.
var running atomic.Pointer[Recording]

// Start records what every net of this process computes from now on. Names given before, to a recording that was
// stopped, are lost: whoever wants names starts before the net is loaded.
func Start() *Recording {
	r := &Recording{layers: map[[2]string]*Layer{}, names: map[any]string{}}
	running.Store(r)
	return r
}

// Stop ends the recording.
func (r *Recording) Stop() { running.CompareAndSwap(r, nil) }

// Reset forgets the layers, not the names.
func (r *Recording) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.layers)
}

// Layers returns the layers, the costliest first.
func (r *Recording) Layers() []Layer {
	r.mu.Lock()
	defer r.mu.Unlock()
	layers := make([]Layer, 0, len(r.layers))
	for _, l := range r.layers {
		layers = append(layers, *l)
	}
	slices.SortFunc(layers, func(a, b Layer) int {
		if a.Seconds > b.Seconds {
			return -1
		}
		return 1
	})
	return layers
}

// On reports whether somebody records.
func On() bool { return running.Load() != nil }

// Begin returns the time, or the zero time if nobody records.
func Begin() time.Time {
	if running.Load() == nil {
		return time.Time{}
	}
	return time.Now()
}

// End records a layer that began at start, which is of Begin. The weight is what Name was told, or a name.
func End(start time.Time, kernel string, weight any, multiplyAdds float64) {
	if start.IsZero() {
		return
	}
	took := time.Since(start).Seconds()
	r := running.Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name, ok := r.names[weight]
	if text, is := weight.(string); is && !ok {
		name = text
	}
	key := [2]string{name, kernel}
	l := r.layers[key]
	if l == nil {
		l = &Layer{Name: name, Kernel: kernel}
		r.layers[key] = l
	}
	l.Calls++
	l.Seconds += took
	l.MultiplyAdds += multiplyAdds
}

// Name tells a recording that goes on what a weight is called, "" to forget it. The weight is a comparable value.
func Name(weight any, name string) {
	r := running.Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "" {
		delete(r.names, weight)
		return
	}
	r.names[weight] = name
}
