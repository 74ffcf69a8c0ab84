package fanout

import (
	"maps"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/server/protocol"
)

// touch is a change that concerns a view.
type touch struct {
	change *graph.Change
	commit *graph.Commit
	of     *stretch // that it belongs to
}

// plan is what a step is going to do to a view. Nothing of it is seen by anybody
// until it is carried out: a step that meets something that the replica does not
// hold drops its plans and makes others.
type plan struct {
	view  *view
	diffs []*difference
	book  *book    // set: takes the place of the view's
	why   *grounds // set: takes the place of the view's
	err   *graph.Error
	// parted are the leavings that are not known to be the same for all.
	parted []parting
}

// plans computes what the commits since the last step mean to the views.
func (s *step) plans() []*plan {
	if !s.batch.known {
		var list []*plan
		for _, v := range s.views() {
			list = append(list, s.anew(v, nil))
		}
		return list
	}
	touched := s.match()
	if s.short() {
		return nil // no book is touched before it is known whom the commits concern
	}
	list := make([]*plan, 0, len(touched))
	merged := false // does a view get one delta for all commits?
	for v, touches := range touched {
		p := s.planOf(v, touches)
		if p == nil {
			continue
		}
		list = append(list, p)
		merged = merged || len(p.diffs) > 0 && p.diffs[0].version == 0
	}
	if merged {
		// So does every one, or a session of two would see one version in part.
		for _, p := range list {
			if len(p.diffs) > 1 {
				p.diffs = []*difference{merge(p.diffs)}
			}
		}
	}
	return list
}

// match finds the views that the commits concern.
func (s *step) match() map[*view][]touch {
	out := map[*view][]touch{}
	if len(s.index.objects) == 0 && len(s.index.lists) == 0 {
		return out
	}
	for _, c := range s.batch.commits {
		for i := range c.Changes {
			t := touch{&c.Changes[i], c, &s.batch}
			s.index.route(s.st, &s.batch, t.change, func(v *view) {
				list := out[v]
				if n := len(list); n == 0 || list[n-1].change != t.change {
					out[v] = append(list, t)
				}
			})
		}
	}
	return out
}

// planOf computes what changes mean to a view; nil where that is nothing.
func (s *step) planOf(v *view, touches []touch) *plan {
	switch {
	case v.book.void:
		return s.anew(v, touches)
	case !slices.ContainsFunc(touches, func(t touch) bool { return !v.book.content(t) }):
		return &plan{view: v, diffs: v.follow(s.lens, s.st, touches)}
	}
	b := v.book
	j := newJudge(s.st, &v.lead, b.rights)
	j.missed = s.st.Missed
	done := b.update(reading{s.st, j, s.lens.limits, s.st.Missed}, touches)
	b.changed.rights = append(b.changed.rights, j.fresh...)
	maps.Copy(b.changed.judged, j.alone)
	if !done || b.overgrown() {
		b.void = true
		return s.anew(v, touches)
	}
	p := &plan{view: v}
	if len(b.changed.judged) > 0 && !v.lead.Admin {
		for id := range b.changed.judged { // some, perhaps, in an earlier run, at another version
			b.changed.judged[id] = j.walker.Holds(id, access.Read)
		}
		if why := v.why.and(survey(s.st, j.walker, &v.lead, b.changed.judged)); !why.equal(v.why) {
			if why.names() > maxGrown {
				b.void = true
				return s.anew(v, touches)
			}
			p.why = why
		}
	}
	why := v.why
	if p.why != nil {
		why = p.why
	}
	bye := s.farewell(&v.lead, why, &s.batch)
	d, growth := s.differs(v, b, bye)
	p.parted = bye.parted
	if limit := s.lens.limits.ViewEntities; growth > 0 && v.size()+growth > limit {
		p.err = viewTooLarge(limit)
		return p
	}
	s.attribute(d, touches)
	p.diffs = []*difference{d}
	return p
}

// anew evaluates a view's projection from the start. touches are what concerned it.
func (s *step) anew(v *view, touches []touch) *plan {
	c, err := s.lens.compute(s.st, &v.lead, v.proj, v.size())
	if err != nil {
		return &plan{view: v, err: err}
	}
	// Who is told shared the view until now, and does so still.
	bye := s.farewell(&v.lead, v.why.and(c.why), &s.batch)
	d := v.becoming(c, bye.entry)
	s.attribute(d, touches)
	if !s.batch.known {
		d.at, d.by, d.mutations = s.head.At, "", nil
	}
	return &plan{view: v, diffs: []*difference{d}, book: c.book, why: c.why, parted: bye.parted}
}

// attribute notes the commits that a difference covers: those that touched what it is
// about; and where something in it was not touched, those that concerned the view in
// another way, such as by a right that it rests on, or by its place in a list.
func (s *step) attribute(d *difference, touches []touch) {
	var of []*graph.Commit
	for i := range d.entries {
		touching := s.batch.touching(d.entries[i].ref)
		of = append(of, touching...)
		if len(touching) == 0 {
			for _, t := range touches {
				of = append(of, t.commit)
			}
			touches = nil
		}
	}
	slices.SortFunc(of, func(a, b *graph.Commit) int { return int(a.Version - b.Version) })
	for _, c := range slices.Compact(of) {
		d.commit(c)
	}
	if d.at.IsZero() {
		d.at = s.head.At
	}
}

// differs gives what lies between what a view has published and what its book
// shows, of that which the book has touched; growth is how many entities more
// the view has then.
func (s *step) differs(v *view, b *book, bye *farewell) (d *difference, growth int) {
	d = &difference{entries: make([]entry, 0, len(b.changed.objects)+len(b.changed.edges))}
	check := s.lens.checker(s.st, &v.lead)
	var gone map[graph.ObjectID]bool // not in the view any more, or held back
	for id := range b.changed.objects {
		ref, old := graph.ObjectRef(id), v.objects[id]
		var now *graph.Object
		var why protocol.Reason
		if b.shown[id] > 0 {
			now = s.st.Object(id)
			if now != nil && (old == nil || old.Meta.Version != now.Meta.Version) && !check.passes(id) {
				now, why = nil, protocol.Forbidden
			}
		}
		switch {
		case now == nil:
			if gone == nil {
				gone = map[graph.ObjectID]bool{}
			}
			gone[id] = true
			if old == nil {
				continue
			}
			if why == "" {
				d.entries = append(d.entries, bye.entry(ref, nil))
			} else {
				d.entries = append(d.entries, entry{ref: ref, why: why})
			}
			growth--
		case old == nil:
			d.entries = append(d.entries, entry{ref: ref, obj: now})
			growth++
		case old.Meta.Version != now.Meta.Version:
			d.entries = append(d.entries, entry{ref: ref, obj: now, was: old.Meta.Version})
		}
	}
	for id, t := range b.changed.edges {
		ref, old := graph.EdgeRef(id), v.edges[id]
		var now *graph.Edge
		if !gone[t.from] && !gone[t.to] && b.showsEdge(id, t) {
			now = s.st.Edge(id)
		}
		switch {
		case now == nil && old == nil:
		case now == nil:
			d.entries = append(d.entries, bye.entry(ref, old))
			growth--
		case old == nil:
			d.entries = append(d.entries, entry{ref: ref, edge: now})
			growth++
		case old.Meta.Version != now.Meta.Version:
			d.entries = append(d.entries, entry{ref: ref, edge: now, was: old.Meta.Version})
		}
	}
	if b.changed.roots {
		roots := slices.DeleteFunc(b.roots(), func(id graph.ObjectID) bool { return gone[id] })
		if !slices.Equal(roots, v.roots) {
			d.roots, d.rerooted = roots, true
		}
	}
	return d, growth
}

// carryOut makes a view what its plan says.
func (s *step) carryOut(p *plan) {
	v := p.view
	if p.err != nil {
		s.fail(v, p.err)
		return
	}
	if p.book != nil {
		s.index.abandon(v)
		v.apply(p.diffs)
		v.book = p.book
		s.index.adopt(v)
	} else {
		v.apply(p.diffs)
		s.index.follow(v)
	}
	if len(p.parted) > 0 {
		s.parted = append(s.parted, partedView{v, p.parted})
	}
	if p.why != nil {
		if !v.why.equal(p.why) {
			v.grounded = s.head.Version
		}
		v.why = p.why
		s.regrounded = append(s.regrounded, v)
	}
	for _, d := range p.diffs {
		s.note(v, d)
	}
}

// apply makes the view show what differences lead to.
func (v *view) apply(diffs []*difference) {
	for _, d := range diffs {
		for i := range d.entries {
			switch e := &d.entries[i]; {
			case e.obj != nil:
				v.putObject(e.obj)
			case e.edge != nil:
				v.putEdge(e.edge)
			case e.ref.Kind == graph.KindObject:
				e.was = v.versionOf(e.ref)
				v.dropObject(v.objects[graph.ObjectID(e.ref.ID)])
			default:
				e.was = v.versionOf(e.ref)
				v.dropEdge(v.edges[graph.EdgeID(e.ref.ID)])
			}
		}
		if d.rerooted {
			v.roots = d.roots
		}
	}
}

// follow gives the differences that changes of mere content make, one for each
// commit.
func (v *view) follow(l *lens, r graph.Reader, touches []touch) []*difference {
	var out []*difference
	var d *difference
	var last *graph.Commit
	at := map[graph.Ref]graph.Version{} // where the differences have led; 0: out
	for _, t := range touches {
		was, again := at[t.change.Ref]
		if !again {
			was = v.versionOf(t.change.Ref)
		}
		if was == 0 {
			continue
		}
		if t.commit != last {
			d, last = &difference{version: t.commit.Version}, t.commit
			d.commit(t.commit)
			out = append(out, d)
		}
		e := v.taking(l, r, t.change, was)
		at[e.ref] = e.version()
		d.entries = append(d.entries, e)
	}
	return out
}

// taking says how the view shows an entity as a change left it. Rights are
// judged by the present state: they did not change meanwhile.
func (v *view) taking(l *lens, r graph.Reader, ch *graph.Change, was graph.Version) entry {
	if e := ch.EdgeAfter; e != nil {
		if !l.readable(r, &v.lead, e.From) || !l.readable(r, &v.lead, e.To) {
			return entry{ref: ch.Ref, why: protocol.Forbidden}
		}
		return entry{ref: ch.Ref, edge: e, was: was}
	}
	if !l.readable(r, &v.lead, ch.ObjAfter.ID) {
		return entry{ref: ch.Ref, why: protocol.Forbidden}
	}
	return entry{ref: ch.Ref, obj: ch.ObjAfter, was: was}
}

// becoming gives the difference between what the view has published and what
// was computed.
func (v *view) becoming(c *computed, leaving func(graph.Ref, *graph.Edge) entry) *difference {
	d := &difference{}
	stays := make(map[graph.Ref]struct{}, len(c.Objects)+len(c.Edges))
	for _, o := range c.Objects {
		ref := graph.ObjectRef(o.ID)
		stays[ref] = struct{}{}
		if was := v.versionOf(ref); was != o.Meta.Version {
			d.entries = append(d.entries, entry{ref: ref, obj: o, was: was})
		}
	}
	for _, e := range c.Edges {
		ref := graph.EdgeRef(e.ID)
		stays[ref] = struct{}{}
		if was := v.versionOf(ref); was != e.Meta.Version {
			d.entries = append(d.entries, entry{ref: ref, edge: e, was: was})
		}
	}
	for id := range v.objects {
		ref := graph.ObjectRef(id)
		if _, ok := stays[ref]; !ok {
			d.entries = append(d.entries, leaving(ref, nil))
		}
	}
	for id, e := range v.edges {
		ref := graph.EdgeRef(id)
		if _, ok := stays[ref]; !ok {
			d.entries = append(d.entries, leaving(ref, e))
		}
	}
	if !slices.Equal(v.roots, c.Roots) {
		d.roots, d.rerooted = c.Roots, true
	}
	return d
}
