package rediscache

import (
	"sync"
	"time"
)

const (
	tripPause = time.Second // after the first failure; doubled by each further one
	tripMost  = 30 * time.Second
)

// fuse keeps callers from something that fails, for a time that grows from
// failure to failure.
type fuse struct {
	mu    sync.Mutex // guards the fields below
	until time.Time
	pause time.Duration // the last; 0 while all is well
}

func (f *fuse) holds(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !now.Before(f.until)
}

// trip notes a failure; it reports whether it is the first.
func (f *fuse) trip(now time.Time) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first = f.pause == 0
	if now.Before(f.until) {
		return first // others failed at the same time
	}
	f.pause = min(max(2*f.pause, tripPause), tripMost)
	f.until = now.Add(f.pause)
	return first
}

// mend notes a success; it reports whether there had been a failure.
func (f *fuse) mend() (failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed = f.pause != 0
	f.pause, f.until = 0, time.Time{}
	return failed
}
