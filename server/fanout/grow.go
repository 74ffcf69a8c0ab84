package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// grow brings a view up to date with edges that came and went, at a cost that
// does not depend on the size of the view; false, with nothing done, where only
// computing it anew can tell what they mean. That is where a list has a window,
// and where something goes that others may hang on.
func (s *step) grow(v *view, touches []touch) bool {
	if !v.trace.Plain() {
		return false
	}
	var added []*graph.Edge
	var dropped []*graph.Edge
	for _, t := range touches {
		ch := t.change
		switch {
		case ch.Ref.Kind == graph.KindObject && ch.Event == graph.Deleted:
			if id := graph.ObjectID(ch.Ref.ID); v.objects[id] != nil && !v.ends(id) {
				return false
			}
		case ch.Ref.Kind == graph.KindObject:
		case ch.Event == graph.Created:
			if e := s.st.Edge(graph.EdgeID(ch.Ref.ID)); e != nil {
				added = append(added, e)
			}
		case ch.Event == graph.Deleted:
			if e := v.edges[graph.EdgeID(ch.Ref.ID)]; e != nil {
				if !v.ends(e.From) && !v.ends(e.To) {
					return false
				}
				dropped = append(dropped, e)
			}
		}
	}

	d := &difference{}
	s.shrink(v, dropped, d)
	if err := s.extend(v, added, d); err != nil {
		s.fail(v, err)
		return true
	}
	for _, t := range touches {
		s.refresh(v, t.change.Ref, d)
	}
	left := d.left()
	d.covers(s.batch.commits, func(ref graph.Ref) bool { return left[ref] || v.shows(ref) })
	s.note(v, d)
	return true
}

// ends reports whether nothing in the view hangs on the object: it is no root,
// and nothing was followed from it.
func (v *view) ends(id graph.ObjectID) bool {
	return v.trace.Leaf(id) && !slices.Contains(v.roots, id)
}

// shrink takes edges out of the view, each of which has an end that nothing
// hangs on, and those ends that no other edge of the view leads to.
func (s *step) shrink(v *view, edges []*graph.Edge, d *difference) {
	for _, e := range edges {
		v.dropEdge(e)
		ref := graph.EdgeRef(e.ID)
		d.entries = append(d.entries, entry{ref: ref, why: s.whyGone(&v.lead, &s.batch, ref, e)})
	}
	for _, e := range edges {
		for _, id := range []graph.ObjectID{e.From, e.To} {
			o := v.objects[id]
			if o == nil || !v.ends(id) || s.tied(v, id) {
				continue
			}
			v.dropObject(o)
			ref := graph.ObjectRef(id)
			d.entries = append(d.entries, entry{ref: ref, why: s.whyGone(&v.lead, &s.batch, ref, nil)})
		}
	}
}

// tied reports whether an edge of the view leads to the object.
func (s *step) tied(v *view, id graph.ObjectID) (tied bool) {
	look := func(e *graph.Edge) bool {
		tied = v.edges[e.ID] != nil
		return !tied
	}
	if s.st.Out(id, "", look); !tied {
		s.st.In(id, "", look)
	}
	return tied
}

// extend follows edges that are new, and takes what they lead to into the view.
func (s *step) extend(v *view, edges []*graph.Edge, d *difference) *graph.Error {
	if len(edges) == 0 {
		return nil
	}
	j := newJudge(s.st, &v.lead, len(edges))
	res, err := v.trace.Add(&recorder{s.st, j.deps}, j.mayRead, edges)
	if err != nil {
		return err
	}
	s.lens.recheck(s.st, &v.lead, res)
	for _, o := range res.Objects {
		if v.objects[o.ID] == nil {
			v.putObject(o)
			d.entries = append(d.entries, entry{ref: graph.ObjectRef(o.ID), obj: o})
		}
	}
	for _, e := range res.Edges {
		if v.edges[e.ID] == nil {
			v.putEdge(e)
			d.entries = append(d.entries, entry{ref: graph.EdgeRef(e.ID), edge: e})
		}
	}
	if limit := s.lens.limits.ViewEntities; v.size() > limit {
		return graph.TooLarge("viewEntities", int64(limit), "objects and edges in one view; ask for less, with where or limit")
	}
	s.index.add(v, j.deps)
	why := v.why.and(j.survey())
	if !why.equal(v.why) {
		v.why, v.grounded = why, s.head.Version
		s.regrounded = append(s.regrounded, v)
	}
	return nil
}

// refresh takes the present content of an entity that the view shows.
func (s *step) refresh(v *view, ref graph.Ref, d *difference) {
	if ref.Kind == graph.KindEdge {
		e, old := s.st.Edge(graph.EdgeID(ref.ID)), v.edges[graph.EdgeID(ref.ID)]
		if old == nil || e == nil || e.Meta.Version == old.Meta.Version {
			return
		}
		if !s.lens.readable(s.st, &v.lead, e.From) || !s.lens.readable(s.st, &v.lead, e.To) {
			v.dropEdge(old)
			d.entries = append(d.entries, entry{ref: ref, why: protocol.Forbidden})
			return
		}
		d.entries = append(d.entries, entry{ref: ref, edge: e, was: v.putEdge(e)})
		return
	}
	o, old := s.st.Object(graph.ObjectID(ref.ID)), v.objects[graph.ObjectID(ref.ID)]
	if old == nil || o == nil || o.Meta.Version == old.Meta.Version {
		return
	}
	if !s.lens.readable(s.st, &v.lead, o.ID) {
		v.dropObject(old)
		d.entries = append(d.entries, entry{ref: ref, why: protocol.Forbidden})
		return
	}
	d.entries = append(d.entries, entry{ref: ref, obj: o, was: v.putObject(o)})
}
