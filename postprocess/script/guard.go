package script

import (
	"runtime/metrics"
	"sync"
	"time"
)

// guard watches the heap while scripts run. One goroutine serves all runs, and
// exists only while there are any.
var guard = &heapGuard{}

const guardInterval = 5 * time.Millisecond

type heapGuard struct {
	mu   sync.Mutex // guards the fields below
	runs map[*run]bound
	stop chan struct{} // of the goroutine, nil while there is none
}

// bound is how large the heap may get before a run is stopped.
type bound uint64

// watch adds a run; release takes it out.
func (g *heapGuard) watch(r *run, memory int64) (release func()) {
	now := heapBytes()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runs == nil {
		g.runs = map[*run]bound{}
	}
	g.runs[r] = bound(now + uint64(memory))
	if g.stop == nil {
		g.stop = make(chan struct{})
		go g.loop(g.stop)
	}
	return func() { g.release(r) }
}

func (g *heapGuard) release(r *run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.runs, r)
	if len(g.runs) == 0 {
		close(g.stop)
		g.stop = nil
	}
}

func (g *heapGuard) loop(stop chan struct{}) {
	t := time.NewTicker(guardInterval)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			g.check(heapBytes())
		}
	}
}

// check stops every run whose bound the heap is over. Which of them holds the
// memory cannot be told; those that began earlier, on a smaller heap, have the
// lower bounds.
func (g *heapGuard) check(heap uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r, b := range g.runs {
		if heap > uint64(b) {
			r.vm.Interrupt(ErrMemory)
		}
	}
}

// heapBytes gives the bytes of live and not yet swept objects; it takes about
// a microsecond and stops nothing.
func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
