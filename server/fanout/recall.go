package fanout

import (
	"context"
	"maps"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// What a relay looks up in the log for those who come back from further away
// than the replica's recent commits reach: after a restart of the node, after
// hours.
const (
	refillCommits  = 4096     // the last commits, with the states before them …
	refillBytes    = 32 << 20 // … unless they are large
	refillPage     = 500
	recallEntities = 100_000 // or what was touched since one version
	recallBytes    = 64 << 20
	maxRecalled    = 8
	recallAge      = 30 * time.Second // how long what was looked up is kept unused
	recallTimeout  = 10 * time.Second // over it, the whole view is sent
	maxLookups     = 2                // at a time, in one node
)

// archive is what a relay has looked up. The relay's goroutine owns it.
type archive struct {
	tail     *tail
	recalled []*recalled
	// searches are under way, by the version asked for; refill for the tail.
	searches map[graph.Version]*search
}

// refill is the name of the search for the tail, ahead that of the look at the
// store for those who have seen more than this node.
const (
	refill graph.Version = -1
	ahead  graph.Version = -2
)

// search is a look-up and who waits for it.
type search struct{ waiting []*subscription }

// tail is a stretch of the log with before-images, up to where the replica's own
// recent commits began.
type tail struct {
	from, to graph.Version // the commits after from, up to to
	commits  []*graph.Commit
	used     time.Time
}

// recalled is what the commits after since, up to until, touched.
type recalled struct {
	since, until graph.Version
	past         *past // over nothing yet
	gone         graves
	used         time.Time
}

// earlier is the state at an older version and the way from there to now.
type earlier struct {
	state *past
	of    *stretch
}

// earlierAt gives the state at a version, found once in a step; nil where what
// is at hand does not reach back.
func (s *step) earlierAt(since graph.Version) *earlier {
	if e := s.past[since]; e != nil {
		return e
	}
	e := s.findEarlier(since)
	if e != nil {
		if s.past == nil {
			s.past = map[graph.Version]*earlier{}
		}
		s.past[since] = e
	}
	return e
}

func (s *step) findEarlier(since graph.Version) *earlier {
	if commits, ok := s.replica.Since(since); ok && since >= s.replica.Floor() {
		return &earlier{before(s.st, commits), &stretch{commits: commits, known: true}}
	}
	a := &s.relay.archive
	if t := a.tail; t != nil && t.from <= since && since <= t.to {
		if recent, ok := s.replica.Since(t.to); ok {
			t.used = time.Now()
			commits := make([]*graph.Commit, 0, int(t.to-since)+len(recent))
			commits = append(append(commits, t.commits[since-t.from:]...), recent...)
			return &earlier{before(s.st, commits), &stretch{commits: commits, known: true}}
		}
	}
	for _, r := range a.recalled {
		if r.since != since {
			continue
		}
		if recent, ok := s.replica.Since(r.until); ok {
			r.used = time.Now()
			return &earlier{r.past.over(before(s.st, recent)), &stretch{commits: recent, gone: r.gone}}
		}
	}
	return nil
}

// The ways to find an older state, each tried once for a subscription.
const (
	triedRefill uint8 = 1 << iota
	triedRecall
	triedAhead
)

// seek has what was between the subscription's since and now looked up, after
// which it subscribes again; false where nothing is left to try.
func (s *step) seek(sub *subscription) bool {
	name, try := sub.held.since, triedRecall
	if sub.held.tried&triedRefill == 0 && s.head.Version-sub.held.since <= s.hub.refill {
		name, try = refill, triedRefill
	}
	if sub.held.tried&try != 0 {
		return false
	}
	head := s.head.Version
	s.later(func() {
		if sub.held != nil {
			sub.held.tried |= try
		}
		s.relay.look(name, head, sub)
	})
	return true
}

// await has a subscription whose client has seen a version that this node has
// not, on another one perhaps, wait until this one has followed the log to its
// end: the client is not to be sent back before what it has seen. False where
// that does not help.
func (s *step) await(sub *subscription) bool {
	held := sub.held
	if held == nil || held.epoch != s.head.Epoch || held.since <= s.head.Version || held.tried&triedAhead != 0 {
		return false
	}
	s.later(func() {
		// Who joins a look that is under way perhaps comes too late for it, and may
		// have another one.
		if s.relay.archive.searches[ahead] == nil {
			held.tried |= triedAhead
		}
		s.relay.look(ahead, s.head.Version, sub)
	})
	return true
}

// look begins a search, or joins the one that is under way.
func (r *relay) look(name, head graph.Version, sub *subscription) {
	a := &r.archive
	if found := a.searches[name]; found != nil {
		found.waiting = append(found.waiting, sub)
		return
	}
	found := &search{waiting: []*subscription{sub}}
	if a.searches == nil {
		a.searches = map[graph.Version]*search{}
	}
	a.searches[name] = found
	r.lookups.Go(func() {
		t, rec, err := r.lookUp(name, head)
		if err != nil {
			r.hub.cfg.Log.Debug("what was held cannot be found again; whole views are sent", "graph", r.name, "since", name, "err", err)
		}
		r.ask(r.life, command{alone: true, run: func(x *step) {
			if x.relay.archive.searches[name] != found {
				return // the epoch is another
			}
			x.archive.keep(t, rec)
			x.later(func() { delete(x.archive.searches, name) })
			begin := make([]command, len(found.waiting))
			for i, sub := range found.waiting {
				begin[i] = command{aside: replica.OneRequest(sub.session.ctx), run: func(x *step) { x.subscribe(sub) }}
			}
			x.runAll(begin)
			x.missed = x.st.Missed() // each is run again by itself
		}})
	})
}

// lookUp does a search's I/O, in its turn.
func (r *relay) lookUp(name, head graph.Version) (*tail, *recalled, error) {
	if name == ahead {
		ctx, cancel := context.WithTimeout(r.life, catchUpWait)
		defer cancel()
		return nil, nil, r.replica.CatchUp(ctx)
	}
	ctx, cancel := context.WithTimeout(r.life, recallTimeout)
	defer cancel()
	select {
	case r.hub.lookups <- struct{}{}:
		defer func() { <-r.hub.lookups }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	r.hub.metrics.lookups.Inc()
	if name == refill {
		t, err := r.readTail(ctx, head)
		return t, nil, err
	}
	rec, err := r.recall(ctx, name, head)
	return nil, rec, err
}

// readTail reads the last commits of the log up to head, and with them what was
// there before each.
func (r *relay) readTail(ctx context.Context, head graph.Version) (*tail, error) {
	t := &tail{from: max(head-r.hub.refill, 0), to: head}
	store, key := r.hub.cfg.Store, r.replica.Key()
	touched, err := store.Touched(ctx, key, t.from, head, graph.TouchedBounds{Entities: recallEntities, Bytes: refillBytes})
	if err != nil {
		return nil, err
	}
	objects, edges := make(map[graph.ObjectID]*graph.Object, len(touched)), map[graph.EdgeID]*graph.Edge{}
	for i := range touched {
		if o, e := touched[i].Object, touched[i].Edge; o != nil {
			objects[o.ID] = o
		} else if e != nil {
			edges[e.ID] = e
		}
	}
	bytes := 0
	for at := t.from; at < head; {
		page, err := store.Log(ctx, key, at, min(refillPage, int(head-at)))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return nil, graph.Errf(graph.CodeGone, "the log ends at %d", at)
		}
		for _, c := range page {
			if bytes += len(c.Done); bytes > refillBytes {
				return nil, graph.TooLarge("bytes", refillBytes, "bytes of recent commits")
			}
			c.Asked = nil
			for i := range c.Changes {
				fillBefore(&c.Changes[i], objects, edges)
			}
		}
		t.commits, at = append(t.commits, page...), page[len(page)-1].Version
	}
	return t, nil
}

// fillBefore fills in what was there before a change, and notes what is after it.
func fillBefore(ch *graph.Change, objects map[graph.ObjectID]*graph.Object, edges map[graph.EdgeID]*graph.Edge) {
	if ch.Ref.Kind == graph.KindObject {
		id := graph.ObjectID(ch.Ref.ID)
		ch.ObjBefore, objects[id] = objects[id], ch.ObjAfter
		return
	}
	id := graph.EdgeID(ch.Ref.ID)
	ch.EdgeBefore, edges[id] = edges[id], ch.EdgeAfter
}

// recall finds what was touched after since, up to head, as it was before.
func (r *relay) recall(ctx context.Context, since, head graph.Version) (*recalled, error) {
	touched, err := r.hub.cfg.Store.Touched(ctx, r.replica.Key(), since, head, graph.TouchedBounds{Entities: recallEntities, Bytes: recallBytes})
	if err != nil {
		return nil, err
	}
	rec := &recalled{since: since, until: head, past: newPast(nil), gone: newGraves(touched)}
	for i := range touched {
		t := &touched[i]
		rec.past.put(t.Ref, t.Object, t.Edge)
	}
	return rec, nil
}

// keep takes in what was found; either may be nil.
func (a *archive) keep(t *tail, rec *recalled) {
	now := time.Now()
	if t != nil {
		t.used = now
		a.tail = t
	}
	if rec != nil {
		rec.used = now
		if len(a.recalled) == maxRecalled {
			a.recalled = append(a.recalled[:0:0], a.recalled[1:]...)
		}
		a.recalled = append(a.recalled, rec)
	}
}

// expire drops what nobody has used for a while.
func (a *archive) expire(now time.Time) {
	if a.tail != nil && now.Sub(a.tail.used) >= recallAge {
		a.tail = nil
	}
	kept := a.recalled[:0:0]
	for _, r := range a.recalled {
		if now.Sub(r.used) < recallAge {
			kept = append(kept, r)
		}
	}
	a.recalled = kept
}

// graves are the objects that a stretch deleted, as they were then, with the
// edges that left them: what there is to judge who is told of a deletion.
type graves struct {
	objects map[graph.ObjectID]*graph.Object
	edges   map[graph.ObjectID][]*graph.Edge
}

func newGraves(touched []graph.Touched) graves {
	g := graves{map[graph.ObjectID]*graph.Object{}, map[graph.ObjectID][]*graph.Edge{}}
	at := map[graph.ObjectID]graph.Version{}
	for i := range touched {
		if gone := touched[i].Gone; gone != nil && gone.Object != nil {
			g.objects[gone.Object.ID], at[gone.Object.ID] = gone.Object, gone.At
		}
	}
	for i := range touched {
		if gone := touched[i].Gone; gone != nil && gone.Edge != nil && at[gone.Edge.From] == gone.At {
			g.edges[gone.Edge.From] = append(g.edges[gone.Edge.From], gone.Edge)
		}
	}
	return g
}

// with gives the graves and what commits after them deleted.
func (g graves) with(commits []*graph.Commit) graves {
	out := graves{maps.Clone(g.objects), maps.Clone(g.edges)}
	if out.objects == nil {
		out = graves{map[graph.ObjectID]*graph.Object{}, map[graph.ObjectID][]*graph.Edge{}}
	}
	for _, c := range commits {
		var dead map[graph.ObjectID]bool
		for i := range c.Changes {
			if o := c.Changes[i].ObjBefore; o != nil && c.Changes[i].Event == graph.Deleted {
				if dead == nil {
					dead = map[graph.ObjectID]bool{}
				}
				dead[o.ID] = true
				out.objects[o.ID], out.edges[o.ID] = o, nil
			}
		}
		for i := range c.Changes {
			if e := c.Changes[i].EdgeBefore; e != nil && c.Changes[i].Event == graph.Deleted && dead[e.From] {
				out.edges[e.From] = append(out.edges[e.From], e)
			}
		}
	}
	return out
}

// over gives a reader in which what was deleted is still found.
func (g graves) over(now *replica.State) graph.Reader { return &unburied{now, g} }

// unburied is a state with the objects that were deleted before it.
type unburied struct {
	graph.Reader
	graves
}

func (u *unburied) Object(id graph.ObjectID) *graph.Object {
	if o := u.Reader.Object(id); o != nil {
		return o
	}
	return u.objects[id]
}

// dead reports whether the object is in its grave: an undo may have brought it back.
func (u *unburied) dead(id graph.ObjectID) bool {
	return u.objects[id] != nil && u.Reader.Object(id) == nil
}

func (u *unburied) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	if !u.dead(id) {
		u.Reader.Out(id, label, yield)
		return
	}
	for _, e := range u.edges[id] {
		if (label == "" || e.Label == label) && !yield(e) {
			return
		}
	}
}

func (u *unburied) CountOut(id graph.ObjectID, label string) int {
	if !u.dead(id) {
		return u.Reader.CountOut(id, label)
	}
	return countLabel(u.edges[id], label)
}
