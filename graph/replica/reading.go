package replica

import (
	"context"

	"github.com/graphtide/graphtide/graph"
)

// Read calls fn with the present state under the read lock. Where fn asked the
// State for something that the replica does not hold, the State answered as if
// it did not exist and noted it; what was noted is then loaded, in one batch and
// outside all locks, and fn is called again from the start, until nothing was
// missing. So fn must begin anew each time (reset at the top what it gathers),
// publish nothing before Read returns, and use nothing of a call that was not
// the last. fn is called at least once.
//
// The State must not be used after fn returns, the entities may. fn must not
// call Read, Apply, CatchUp or Wait; Head, Since, Hold and Release it may.
//
// An error says that something could not be loaded (ctx ended, or the store
// failed): what fn gathered then is not an answer. A replica that holds its
// whole graph never gives one.
func (r *Replica) Read(ctx context.Context, fn func(*State)) error {
	reading := Reading{replica: r}
	defer reading.End()
	for !reading.Try(fn) {
		if err := reading.Load(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Reading is a Read in steps, for a caller that must not wait, or wants to do
// something else before it waits:
//
//	reading := replica.Begin()
//	defer reading.End()
//	for !reading.Try(fn) {
//		if err := reading.Load(ctx); err != nil { … }
//	}
//
// What it loaded stays in the replica until End, so that tries come to an end
// even where the replica is larger than its bound. It belongs to one goroutine.
type Reading struct {
	replica *Replica
	missed  units // by the last Try
	flights []*flight
	waited  waited
}

// Begin begins a Reading. It must be ended.
func (r *Replica) Begin() *Reading { return &Reading{replica: r} }

// Try calls fn once, with the present state under the read lock, as Read does.
// It reports whether fn found all that it asked for: where not, what fn gathered
// is to be thrown away, and Load brings what was missing.
func (g *Reading) Try(fn func(*State)) (complete bool) {
	r := g.replica
	r.mu.RLock()
	if r.core.complete {
		defer r.mu.RUnlock()
		fn(&r.whole)
		r.set.metrics.hit.Inc()
		return true
	}
	g.missed = units{}
	st := &State{core: r.core, missed: &g.missed}
	func() {
		defer r.mu.RUnlock()
		fn(st)
	}()
	if len(g.missed.list) == 0 {
		r.set.metrics.hit.Inc()
		return true
	}
	r.set.metrics.miss.Inc()
	r.set.metrics.units.WithLabelValues(levelMemory, "miss").Add(float64(len(g.missed.list)))
	return false
}

// Load brings what the last Try missed: one batch, shared with all who wait for
// the same things. It returns at once where nothing was missing. All Loads
// together wait for the second level no longer than one request may, those of
// other Readings for the same request included (OneRequest).
func (g *Reading) Load(ctx context.Context) error {
	if len(g.missed.list) == 0 {
		return nil
	}
	wait := waitedBy(ctx, &g.waited)
	flights := g.replica.loads.join(g.replica, g.missed.list, wait.so())
	g.missed = units{}
	g.flights = append(g.flights, flights...)
	for _, f := range flights {
		select {
		case <-f.landed:
			wait.atLeast(f.waited)
			if f.err != nil {
				return f.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Fetch gives a Reading whose first Load brings what is missing. It must be
// ended; what it loaded stays until then.
func (r *Replica) Fetch(m Missing) *Reading { return &Reading{replica: r, missed: m.units} }

// Missing counts what Load would bring.
func (g *Reading) Missing() int { return len(g.missed.list) }

// End ends the Reading. It may be called twice.
func (g *Reading) End() {
	for _, f := range g.flights {
		g.replica.loads.leave(g.replica, f)
	}
	g.flights = nil
}

// Hold keeps these objects, with the edges at them that the replica has come to
// know, from being evicted; each Hold needs a Release. It does not load them.
// It takes no lock of the State, so that it may be called inside Read: what the
// State gave and Hold was called for in the same call stays. An id of an object
// that does not exist is held as well.
func (r *Replica) Hold(ids ...graph.ObjectID) { r.pins.hold(ids) }

// Release takes back one Hold of each of these objects.
func (r *Replica) Release(ids ...graph.ObjectID) { r.pins.release(ids) }
