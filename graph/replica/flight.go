package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// The bounds on loads.
const (
	// parallelFlights bounds the loads of one graph that are under way at the
	// same time; what is asked for meanwhile gathers for the next.
	parallelFlights = 3
	// flightTime bounds what one load wants of the store and of the log, whoever
	// waits for it. The second level judges itself how long it is worth waiting for.
	flightTime = 20 * time.Second
	// maxFlightTries bounds the tries of a load that others overtake: by commits
	// that the ring has forgotten already, or by a new epoch.
	maxFlightTries = 8
)

// loads brings units into a replica: those asked for at about the same time in
// one go, each once for all who wait.
type loads struct {
	mu      sync.Mutex // guards the fields below, and readers and ids of flights
	flying  int
	next    *flight // gathers
	waiting map[unit]*flight
}

// flight is one load.
type flight struct {
	units   units
	readers int // Readings that joined and have not ended
	ids     []graph.ObjectID
	asked   time.Time     // when the first one joined
	landed  chan struct{} // closed at the end
	err     error         // set before
	// waited is for how long one of the readers, at the most, has waited for the
	// second level. It belongs to the flight once that is under way.
	waited time.Duration
}

// join gives the flights that bring these units, for somebody who has waited so
// long for the second level before.
func (l *loads) join(r *Replica, list []unit, waited time.Duration) []*flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = make(map[unit]*flight)
	}
	joined := map[*flight]bool{}
	var out []*flight
	for _, u := range list {
		f := l.waiting[u]
		if f == nil {
			if l.next == nil {
				l.next = &flight{asked: time.Now(), landed: make(chan struct{})}
			}
			f = l.next
			f.units.add(u)
			l.waiting[u] = f
		}
		if f == l.next {
			f.waited = max(f.waited, waited)
		}
		if !joined[f] {
			joined[f] = true
			f.readers++
			out = append(out, f)
		}
	}
	if l.next != nil && l.flying < parallelFlights {
		if l.flying++; !r.set.spawn(func(ctx context.Context) { l.fly(ctx, r) }) {
			l.flying--
			l.land(l.next, errStopped())
			l.next = nil
		}
	}
	return out
}

// fly makes flights until nobody waits for one.
func (l *loads) fly(ctx context.Context, r *Replica) {
	var late time.Duration // that the second level kept the one before waiting
	for {
		l.mu.Lock()
		f := l.next
		l.next = nil
		if f == nil {
			l.flying--
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		f.waited += min(late, time.Since(f.asked))
		before := f.waited
		err := r.bring(ctx, f)
		late = f.waited - before
		if err != nil {
			err = fmt.Errorf("load a part of graph %s: %w", r.name, err)
		}
		l.mu.Lock()
		l.land(f, err)
		l.mu.Unlock()
	}
}

// land ends a flight. The caller holds mu.
func (l *loads) land(f *flight, err error) {
	for _, u := range f.units.list {
		delete(l.waiting, u)
	}
	f.err = err
	close(f.landed)
}

// hold pins what a flight brought for those who wait, before anybody can evict
// it.
func (l *loads) hold(r *Replica, f *flight, ids []graph.ObjectID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.readers == 0 {
		return
	}
	f.ids = append(f.ids, ids...)
	r.pins.hold(ids)
}

// leave ends the interest of one Reading.
func (l *loads) leave(r *Replica, f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.readers--; f.readers == 0 {
		r.pins.release(f.ids)
		f.ids = nil
	}
}

// piece is a part of a state on its way into a replica.
type piece struct {
	graph.Piece
	units []unit // that it answers
	// members has the objects of types that are not in Objects, too.
	members map[string][]graph.ObjectID
	fresh   bool // from the store: the second level does not have it yet
}

// bring loads what a flight is about and is not held yet: from the second level
// what is found there, the rest from the store.
func (r *Replica) bring(ctx context.Context, f *flight) error {
	for range maxFlightTries {
		head, list := r.missing(f)
		if len(list) == 0 {
			return nil
		}
		pieces, list := r.fromCache(ctx, f, head, list)
		pieces, err := r.rest(ctx, head, pieces, list)
		if err != nil {
			return err
		}
		if r.takeIn(f, pieces) {
			for _, p := range pieces {
				if p.fresh {
					r.noteLoaded(p) // not before it is held: it is written from there
				}
			}
			return nil
		}
	}
	return graph.Errf(graph.CodeUnavailable, "the graph changes faster than parts of it can be loaded")
}

// rest adds to pieces what the second level did not have, and waits until the
// replica is as far as each of them: it never goes ahead of the log for a reader.
func (r *Replica) rest(ctx context.Context, head graph.Head, pieces []*piece, list []unit) ([]*piece, error) {
	ctx, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	if len(list) > 0 {
		p, err := r.fromStore(ctx, list)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	for _, p := range pieces {
		if p.Head.Epoch != head.Epoch {
			r.follow.reloadNext()
			if err := r.CatchUp(ctx); err != nil {
				return nil, err
			}
		}
		if err := r.Wait(ctx, p.Head.Version); err != nil {
			return nil, err
		}
	}
	return pieces, nil
}

// missing gives those units of a flight that are not held. Those that are, are
// pinned.
func (r *Replica) missing(f *flight) (head graph.Head, list []unit) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var held []graph.ObjectID
	for _, u := range f.units.list {
		switch {
		case !r.core.holds(u):
			list = append(list, u)
		case u.kind == unitEdge:
			if e := r.core.edges[u.id]; e != nil {
				held = append(held, e.From)
			}
			held = append(held, u.id)
		case u.kind != unitType:
			held = append(held, u.id)
		}
	}
	r.loads.hold(r, f, held)
	return r.core.head, list
}

// fromStore reads units from the store.
func (r *Replica) fromStore(ctx context.Context, list []unit) (*piece, error) {
	if err := r.set.enterLoad(ctx); err != nil {
		return nil, err
	}
	defer r.set.leaveLoad()
	p, err := r.set.cfg.Store.Piece(ctx, r.key, want(list))
	if graph.CodeOf(err) == graph.CodeNotFound {
		r.set.retire(r)
	}
	if err != nil {
		return nil, err
	}
	m := r.set.metrics
	m.queries.Inc()
	m.units.WithLabelValues(levelPostgres, "hit").Add(float64(len(list)))
	m.loaded.WithLabelValues(levelPostgres).Add(float64(len(p.Objects) + len(p.Edges)))
	return &piece{Piece: *p, units: list, fresh: true}, nil
}

// takeIn puts pieces into the state, each brought forward to its version; false
// where one of them cannot be.
func (r *Replica) takeIn(f *flight, pieces []*piece) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.account()
	for _, p := range pieces {
		if p.Head.Epoch != r.core.head.Epoch {
			return false
		}
		r.tailMu.RLock()
		commits, ok := r.ring.since(p.Head.Version, r.core.head.Version)
		r.tailMu.RUnlock()
		if !ok {
			return false
		}
		r.loads.hold(r, f, r.core.absorb(p.forward(commits)))
	}
	return true
}

// befores fills in what the changed entities of commits, the next ones of the
// log, were before: from the state, from the commits before them, or from
// history.
func (r *Replica) befores(ctx context.Context, commits []*graph.Commit) error {
	var asked []graph.RefVersion
	var unanswered []*graph.Change
	ask := func() {
		r.mu.RLock()
		defer r.mu.RUnlock()
		if r.core.complete {
			return
		}
		last := map[graph.Ref]*graph.Change{}
		for _, c := range commits {
			if c.Version <= r.core.head.Version {
				continue
			}
			for i := range c.Changes {
				ch := &c.Changes[i]
				if ch.Event == graph.Modified && ch.ObjBefore == nil && ch.EdgeBefore == nil {
					if !r.core.before(ch, last[ch.Ref]) {
						asked = append(asked, graph.RefVersion{Ref: ch.Ref, Version: c.Version})
						unanswered = append(unanswered, ch)
					}
				}
				last[ch.Ref] = ch
			}
		}
	}
	if ask(); len(asked) == 0 {
		return nil
	}
	snaps, err := r.set.cfg.Store.Befores(ctx, r.key, asked)
	if err != nil {
		return fmt.Errorf("read what was before: %w", err)
	}
	r.set.metrics.befores.Add(float64(len(asked)))
	for i, ch := range unanswered {
		ch.ObjBefore, ch.EdgeBefore = snaps[i].Object, snaps[i].Edge
	}
	return nil
}

// before fills in what an entity was, from an earlier change or from what is
// held; false where neither tells.
func (c *core) before(ch, earlier *graph.Change) bool {
	if earlier != nil {
		ch.ObjBefore, ch.EdgeBefore = earlier.ObjAfter, earlier.EdgeAfter
		return true
	}
	if ch.Ref.Kind == graph.KindEdge {
		ch.EdgeBefore = c.edges[ch.Ref.ID]
	} else if n := c.nodes[ch.Ref.ID]; n != nil {
		ch.ObjBefore = n.obj
	}
	return ch.ObjBefore != nil || ch.EdgeBefore != nil
}

// onlyAgain reports whether a commit has to be looked at again: what it changed
// was evicted between the look and the apply.
func onlyAgain(err error) bool { return errors.Is(err, errBefore) }
