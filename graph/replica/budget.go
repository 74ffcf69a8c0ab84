package replica

import (
	"context"
	"runtime"
	"time"
)

const (
	// evictSteps bounds how many nodes one hold of a replica's lock looks at.
	evictSteps = 2000
	// evictTo is how far below the bound eviction goes, so that it does not
	// begin again at once: a fraction of the bound.
	evictTo = 0.95
	// sweepPause follows a sweep that did not reach its goal.
	sweepPause = time.Second
)

// account adds what the replica's size changed by to that of the Set, and has
// something evicted where that is over the bound. The caller holds mu.
func (r *Replica) account() {
	select {
	case <-r.news.closed:
		return
	default:
	}
	bytes := r.core.bytes
	if total := r.set.bytes.Add(bytes - r.counted.Swap(bytes)); total > r.set.cfg.Bytes {
		select {
		case r.set.over <- struct{}{}:
		default: // it is known already
		}
	}
}

// sweepLoop evicts whenever the replicas have grown over their bound. Where
// everything is needed by somebody, it looks again a little later only.
func (s *Set) sweepLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.over:
		}
		if s.sweep(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepPause):
		}
	}
}

// sweep evicts from all replicas in turn until they are well under the bound;
// false where that cannot be.
func (s *Set) sweep(ctx context.Context) bool {
	goal := int64(float64(s.cfg.Bytes) * evictTo)
	looked := 0 // in vain, since the last eviction
	for {
		held := 0
		for _, r := range s.Opened() {
			excess := s.bytes.Load() - goal
			if excess <= 0 || ctx.Err() != nil {
				return true
			}
			evicted, of := r.evict(excess)
			held += of
			if looked += evictSteps; evicted > 0 {
				looked = 0
			}
		}
		// Twice around: the first time may only have taken the marks off.
		if looked > 2*held+evictSteps*len(s.Opened()) {
			return s.bytes.Load() <= s.cfg.Bytes
		}
		runtime.Gosched()
	}
}

// evict takes one step around the replica's clock, which holds so many nodes.
func (r *Replica) evict(bytes int64) (evicted, of int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pins.mu.Lock()
	defer r.pins.mu.Unlock()
	of = len(r.core.clock.nodes)
	evicted = r.core.evict(evictSteps, bytes, r.pins.has)
	r.account()
	r.set.metrics.evictions.Add(float64(evicted))
	return evicted, of
}
