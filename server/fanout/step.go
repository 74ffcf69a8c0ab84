package fanout

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server/protocol"
)

// step is one step of a relay. What touches the state happens under the
// replica's read lock; encoding and publishing after it.
type step struct {
	*relay
	lens *lens
	st   *replica.State // nil after the read lock
	head graph.Head

	missed int       // what the state had not held when the step, or a command, began
	again  []command // to be run once more is held

	batch  stretch // the commits since the last step
	past   map[graph.Version]*earlier
	deltas []delta
	// regrounded are the views whose grounds may have changed.
	regrounded []*view
	parted     []partedView
	moved      map[*subscription]bool      // already on the way to another view
	then       []func()                    // run with feedMu held for writing, in order
	offs       map[graph.ObjectID][]string // the sessions that have left an object in this step
}

// delta is what a step does to a view.
type delta struct {
	view *view
	*difference
}

// newSchema computes the views of types anew where other types are below them
// now: nothing else of a schema decides what a view shows. A schema may change
// between two versions of the graph, so there is no delta for it: where such a
// view shows something else, it begins again.
func (s *step) newSchema(reg *schema.Registry) {
	old := s.reg
	s.lens.types = reg
	type begun struct {
		view *view
		next *computed
		err  *graph.Error
	}
	var list []begun
	for _, v := range s.views() {
		if t := v.proj.Type; t != nil && !slices.Equal(old.Subtypes(t.Type), reg.Subtypes(t.Type)) {
			c, err := s.lens.compute(s.st, &v.lead, v.proj, v.size())
			list = append(list, begun{v, c, err})
		}
	}
	if s.short() {
		return // the next step will see to it
	}
	s.reg = reg
	for _, b := range list {
		if b.err != nil {
			s.fail(b.view, b.err)
		} else {
			s.begin(b.view, b.next)
		}
	}
	s.later(func() {
		for _, sess := range s.list() {
			sess.queue(item{text: protocol.AppendSchema(nil, reg.Version)})
		}
	})
}

// begin makes a view what was computed and, where that differs, loads it again
// for all.
func (s *step) begin(v *view, c *computed) {
	v.floor = s.head.Version
	next := newView(s.viewID(), v.query, v.lead, c, s.head.Version)
	if len(next.objects) == len(v.objects) && len(next.edges) == len(v.edges) && next.digest == v.digest && slices.Equal(next.roots, v.roots) {
		s.index.abandon(v)
		v.book = c.book // other types count from here on
		s.index.adopt(v)
		return
	}
	subs := slices.Collect(maps.Keys(v.subs))
	clear(v.subs)
	s.drop(v)
	next.floor = s.head.Version
	s.keep(next)
	for _, sub := range subs {
		s.away(sub, func(s *step) bool { return s.reload(sub) })
	}
}

// later runs fn when the step is published.
func (s *step) later(fn func()) { s.then = append(s.then, fn) }

// advance takes the commits since the last step to the views they concern. It
// changes nothing, and returns false, where the replica did not hold all that
// was asked for.
func (s *step) advance() bool {
	commits, known := s.replica.Since(s.relay.head.Version)
	s.batch = stretch{commits: commits, known: known}
	plans := s.plans()
	intruders := s.presence.intruders(s)
	if s.short() {
		return false
	}
	for _, p := range plans {
		s.carryOut(p)
	}
	s.presence.expel(s, intruders)
	s.partAll()
	return true
}

// off notes that a session has left an object.
func (s *step) off(on graph.ObjectID, session string) {
	if s.offs == nil {
		s.offs = map[graph.ObjectID][]string{}
	}
	s.offs[on] = append(s.offs[on], session)
}

// short reports whether something was asked for, since the step began or the
// command that is under way, that the replica does not hold: what was found out
// is not so, perhaps, and must lead to nothing.
func (s *step) short() bool { return s.st.Missed() != s.missed }

// runAll runs commands, and gives those that have to be run again once more is
// held.
func (s *step) runAll(commands []command) []command {
	for _, c := range commands {
		if c.aside != nil {
			s.runAside(c)
			continue
		}
		s.missed = s.st.Missed()
		if c.run(s); s.short() {
			s.again = append(s.again, c)
		}
	}
	return s.again
}

// runAside runs a command for which nobody else is to wait. Where it is short of
// something, that is loaded in a goroutine, and then the command's turn comes
// again.
func (s *step) runAside(c command) {
	short := false
	missing := s.st.Apart(func() {
		s.missed = s.st.Missed()
		c.run(s)
		short = s.short()
	})
	s.missed = s.st.Missed()
	if !short {
		for _, reading := range c.loaded {
			reading.End()
		}
		return
	}
	r, loaded := s.relay, append(c.loaded, s.relay.replica.Fetch(missing))
	c.loaded = loaded
	r.asides++
	r.lookups.Go(func() {
		again := r.load(c.aside, loaded[len(loaded)-1])
		asked := r.ask(r.life, command{run: func(s *step) {
			r.asides--
			if again {
				s.runAside(c)
			}
		}})
		if !again || !asked {
			for _, reading := range loaded {
				reading.End()
			}
		}
	})
}

func (s *step) partAll() {
	for _, v := range s.regrounded {
		s.part(v)
	}
	s.regrounded = nil
	for _, p := range s.parted {
		for sub := range p.view.subs {
			s.missed = s.st.Missed()
			// What is not held may tell otherwise.
			if s.farewell(sub.principal, nil, &s.batch).differs(p.list) || s.short() {
				s.away(sub, func(s *step) bool { return s.move(sub, sub.principal) })
			}
		}
	}
	s.parted = nil
}

// partedView is a view whose delta tells of leavings that some of its sessions have
// to be told of otherwise: these are sent what differs for them, in its place.
type partedView struct {
	view *view
	list []parting
}

// part takes those to other views who see something else now. All views must
// be up to date: it may be any of them that they go to.
func (s *step) part(v *view) {
	for sub := range v.subs {
		if !v.why.admits(sub.principal) {
			s.away(sub, func(s *step) bool { return s.move(sub, sub.principal) })
		}
	}
}

// away takes a subscription elsewhere, now or once what that needs is held. Until
// then its session is sent nothing: it must not see what comes after.
func (s *step) away(sub *subscription, move func(*step) bool) {
	s.missed = s.st.Missed()
	if move(s) {
		return
	}
	s.missed = s.st.Missed() // of no concern to the command that is under way
	sub.session.freeze()
	s.again = append(s.again, command{run: func(s *step) {
		if move(s) {
			s.later(sub.session.thaw)
		}
	}})
}

// note keeps a difference for publication.
func (s *step) note(v *view, d *difference) {
	if sabotage.Nth(sabotage.SkipDelta, 50) {
		return
	}
	if n := len(d.entries); n > 1 && sabotage.On(sabotage.HalfVersion) {
		half := *d
		half.entries, d.entries = d.entries[:n/2], d.entries[n/2:]
		s.deltas = append(s.deltas, delta{v, &half})
	}
	if !d.empty() {
		v.changed()
		if v.last = d.version; v.last == 0 {
			v.last = s.head.Version
		}
		s.deltas = append(s.deltas, delta{v, d})
		s.presence.entered(s, v, d)
		s.presence.leftView(s, v, d)
	}
}

// fail ends the subscriptions of a view that can no longer be computed.
func (s *step) fail(v *view, err *graph.Error) {
	for sub := range v.subs {
		s.refuse(sub, err)
	}
	clear(v.subs)
	s.drop(v)
}

// view gives the view of a query for p, computing it where nobody has it;
// nil where the step is short of something.
func (s *step) view(q *query, p graph.Principal) (*view, *graph.Error) {
	for _, v := range s.named[q.text] {
		if v.why.admits(&p) {
			return v, nil
		}
	}
	c, err := s.lens.compute(s.st, &p, q.proj, 0)
	if err != nil || s.short() {
		return nil, err
	}
	v := newView(s.viewID(), q, p, c, s.head.Version)
	s.keep(v)
	return v, nil
}

// keep makes a view one that commits are taken to.
func (s *step) keep(v *view) {
	v.idle = time.Now()
	s.index.adopt(v)
	s.named[v.text] = append(s.named[v.text], v)
	s.hub.metrics.views.Inc()
}

func (s *step) viewID() string {
	s.nextView++
	return "v" + strconv.Itoa(s.nextView)
}

// publish encodes what the step brought and shows it to the sessions at once:
// nobody sees one view of a version without the others.
func (s *step) publish() {
	frames := make([]*frame, len(s.deltas))
	for i, d := range s.deltas {
		frames[i] = s.encode(d)
	}
	r := s.relay
	r.feedMu.Lock()
	for i, d := range s.deltas {
		r.backlog.add(d.view, frames[i])
		d.view.feed.digest = d.view.digest
	}
	moved := s.head.Version != r.head.Version
	r.head = s.head
	r.reached.Store(int64(s.head.Version))
	for _, fn := range s.then {
		fn()
	}
	r.feedMu.Unlock()
	r.hub.metrics.deltas.Add(float64(len(s.deltas)))

	// Who is woken last runs first, on this processor and as soon as the relay waits: a
	// delta is awaited by somebody, an answer mostly by nobody.
	if moved {
		r.mu.Lock()
		for sess := range r.waiting {
			sess.wakeUp()
		}
		clear(r.waiting)
		r.mu.Unlock()
	}
	for _, d := range s.deltas {
		for sub := range d.view.subs {
			sub.session.wakeUp()
		}
	}
}

func (s *step) encode(d delta) *frame {
	f := &frame{}
	f.from, f.to = s.span(d.difference)
	p := protocol.Delta{
		View: d.view.id, Version: f.to, At: d.at, By: d.by, Mutations: d.mutations,
		Entries: s.batch.encode(d.entries), Roots: d.roots, HasRoots: d.rerooted,
	}
	f.trail = d.trail()
	f.texts = p.Frames(protocol.MaxMessage)
	for _, t := range f.texts {
		f.size += len(t)
	}
	return f
}

// span gives the versions that a difference of the step covers: the commits
// after from, up to to.
func (s *step) span(d *difference) (from, to graph.Version) {
	if d.version > 0 {
		return d.version - 1, d.version
	}
	return s.relay.head.Version, s.head.Version
}
