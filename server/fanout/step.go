package fanout

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
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

	batch  stretch // the commits since the last step
	past   map[graph.Version]*past
	deltas []delta
	// regrounded are the views whose grounds may have changed.
	regrounded []*view
	moved      map[*subscription]bool // already on the way to another view
	then       []func()               // run with feedMu held for writing, in order
}

// delta is what a step does to a view.
type delta struct {
	view *view
	*difference
}

// newSchema computes the views of types anew: which types are below which may
// have changed. A schema may change between two versions of the graph, so there
// is no delta for it: where such a view shows something else, it begins again.
func (s *step) newSchema(reg *schema.Registry) {
	s.reg, s.lens.types = reg, reg
	for _, v := range s.views() {
		if v.proj.Type != nil {
			s.begin(v)
		}
	}
	s.later(func() {
		for _, sess := range s.list() {
			sess.queue(item{text: protocol.AppendSchema(nil, reg.Version)})
		}
	})
}

// begin computes a view anew and, where it differs, loads it again for all.
func (s *step) begin(v *view) {
	v.floor = s.head.Version
	c, err := s.lens.compute(s.st, &v.lead, v.proj, v.size())
	if err != nil {
		s.fail(v, err)
		return
	}
	next := newView(s.viewID(), v.name, v.proj, v.lead, c, s.head.Version)
	if len(next.objects) == len(v.objects) && len(next.edges) == len(v.edges) && next.digest == v.digest && slices.Equal(next.roots, v.roots) {
		return
	}
	subs := slices.Collect(maps.Keys(v.subs))
	clear(v.subs)
	s.drop(v)
	next.floor = s.head.Version
	s.keep(next)
	for _, sub := range subs {
		s.reload(sub)
	}
}

// later runs fn when the step is published.
func (s *step) later(fn func()) { s.then = append(s.then, fn) }

// advance takes the commits since the last step to the views they concern.
func (s *step) advance() {
	last := s.relay.head
	commits, known := s.replica.Since(last.Version)
	s.batch = stretch{commits: commits, known: known}
	if !known {
		for _, v := range s.views() {
			s.recompute(v)
		}
		s.partAll()
		return
	}
	touched := s.match()
	merged := false // does a view get one delta for all commits?
	for _, t := range touched {
		merged = merged || t.how != content
	}
	for v, t := range touched {
		switch {
		case t.how == content:
			list := v.follow(s.lens, s.st, t.touches)
			if merged && len(list) > 1 {
				// So does this one, or a session of both would see one version in
				// part.
				list = []*difference{merge(list)}
			}
			for _, d := range list {
				s.note(v, d)
			}
		case t.how == structural || !s.grow(v, t.touches):
			s.recompute(v)
		}
	}
	s.partAll()
}

func (s *step) partAll() {
	for _, v := range s.regrounded {
		s.part(v)
	}
	s.regrounded = nil
}

// touched is what a step's commits mean to one view.
type touched struct {
	how     impact // the gravest
	touches []touch
}

// match finds the views that the commits concern.
func (s *step) match() map[*view]*touched {
	out := map[*view]*touched{}
	for _, c := range s.batch.commits {
		for i := range c.Changes {
			ch := &c.Changes[i]
			s.index.affected(s.st, ch, func(v *view, how impact) {
				if how == content && v.sens.touches(ch) {
					how = structural
				}
				t := out[v]
				if t == nil {
					t = &touched{}
					out[v] = t
				}
				t.how = max(t.how, how)
				if n := len(t.touches); n == 0 || t.touches[n-1].change != ch {
					t.touches = append(t.touches, touch{ch, c})
				}
			})
		}
	}
	return out
}

// recompute evaluates a view anew and parts those from it who see something
// else now.
func (s *step) recompute(v *view) {
	c, err := s.lens.compute(s.st, &v.lead, v.proj, v.size())
	if err != nil {
		s.fail(v, err)
		return
	}
	s.index.move(v, v.deps, c.deps)
	v.deps = c.deps
	if !v.why.equal(c.why) {
		v.grounded = s.head.Version
	}
	d := v.become(c, s.reason(v))
	left := d.left()
	d.covers(s.batch.commits, func(ref graph.Ref) bool { return left[ref] || v.shows(ref) })
	if !s.batch.known {
		d.at, d.by = s.head.At, ""
	}
	s.note(v, d)
	s.regrounded = append(s.regrounded, v)
}

// part takes those to other views who see something else now. All views must
// be up to date: it may be any of them that they go to.
func (s *step) part(v *view) {
	for sub := range v.subs {
		if !v.why.admits(&sub.principal) {
			s.move(sub, sub.principal)
		}
	}
}

// note keeps a difference for publication.
func (s *step) note(v *view, d *difference) {
	if !d.empty() {
		v.changed()
		if v.last = d.version; v.last == 0 {
			v.last = s.head.Version
		}
		s.deltas = append(s.deltas, delta{v, d})
		s.presence.entered(s, v, d)
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

// reason tells why an entity left a view of v.lead.
func (s *step) reason(v *view) func(graph.Ref, *graph.Edge) protocol.Reason {
	return func(ref graph.Ref, e *graph.Edge) protocol.Reason { return s.whyGone(&v.lead, &s.batch, ref, e) }
}

// whyGone tells why p no longer sees an entity that p saw before the stretch.
func (s *step) whyGone(p *graph.Principal, of *stretch, ref graph.Ref, e *graph.Edge) protocol.Reason {
	if ref.Kind == graph.KindObject {
		return s.whyObjectGone(p, of, graph.ObjectID(ref.ID))
	}
	for _, end := range []graph.ObjectID{e.From, e.To} {
		if s.st.Object(end) != nil && !access.Direct(s.st, p, end, access.Read) {
			return protocol.Forbidden
		}
	}
	if s.st.Edge(e.ID) == nil {
		return protocol.Deleted
	}
	return protocol.Unlinked
}

// whyObjectGone judges a deletion by the state before it: who could not read
// the object any more by then is not told that it was deleted.
func (s *step) whyObjectGone(p *graph.Principal, of *stretch, id graph.ObjectID) protocol.Reason {
	if s.st.Object(id) != nil {
		if access.Direct(s.st, p, id, access.Read) {
			return protocol.Unlinked
		}
		return protocol.Forbidden
	}
	for i, c := range of.commits {
		for j := range c.Changes {
			ch := &c.Changes[j]
			if ch.Event != graph.Deleted || ch.Ref != graph.ObjectRef(id) {
				continue
			}
			if i == 0 || access.Direct(before(s.st, of.commits[i:]), p, id, access.Read) {
				return protocol.Deleted
			}
			return protocol.Forbidden
		}
	}
	return protocol.Forbidden // the commits are not at hand: say the least
}

// view gives the view of a projection for p, computing it where nobody has it.
func (s *step) view(name string, proj *graph.Projection, p graph.Principal) (*view, *graph.Error) {
	for _, v := range s.named[name] {
		if v.why.admits(&p) {
			return v, nil
		}
	}
	c, err := s.lens.compute(s.st, &p, proj, 0)
	if err != nil {
		return nil, err
	}
	v := newView(s.viewID(), name, proj, p, c, s.head.Version)
	s.keep(v)
	return v, nil
}

// keep makes a view one that commits are taken to.
func (s *step) keep(v *view) {
	v.idle = time.Now()
	s.index.move(v, nil, v.deps)
	s.named[v.name] = append(s.named[v.name], v)
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
	for _, fn := range s.then {
		fn()
	}
	r.feedMu.Unlock()
	r.hub.metrics.deltas.Add(float64(len(s.deltas)))

	for _, d := range s.deltas {
		for sub := range d.view.subs {
			sub.session.wakeUp()
		}
	}
	if !moved {
		return
	}
	r.mu.Lock()
	for sess := range r.waiting {
		sess.wakeUp()
	}
	clear(r.waiting)
	r.mu.Unlock()
}

func (s *step) encode(d delta) *frame {
	f := &frame{from: s.relay.head.Version, to: s.head.Version}
	if d.version > 0 {
		f.from, f.to = d.version-1, d.version
	}
	p := protocol.Delta{
		View: d.view.id, Version: f.to, At: d.at, By: d.by, Mutations: d.mutations,
		Entries: s.batch.encode(d.entries), Roots: d.roots, HasRoots: d.rerooted,
	}
	f.texts = p.Frames(protocol.MaxMessage)
	for _, t := range f.texts {
		f.size += len(t)
	}
	return f
}
