package fanout

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// route calls found for every view that a change may concern; it may call twice
// for one. of is the stretch that the change belongs to, r the state after it.
func (x *index) route(r counter, of *stretch, ch *graph.Change, found func(*view)) {
	to := router{x, r, of, found}
	if ch.Ref.Kind == graph.KindObject {
		id := graph.ObjectID(ch.Ref.ID)
		x.objects.each(id, found)
		switch {
		case ch.Event == graph.Created:
			to.list(listKey{label: ch.ObjAfter.Type, kind: listType}, id)
			to.crowded(listKey{label: ch.ObjAfter.Type, kind: listType})
		case ch.Event == graph.Deleted:
			to.list(listKey{label: ch.ObjBefore.Type, kind: listType}, id)
			to.crowded(listKey{label: ch.ObjBefore.Type, kind: listType})
		case ch.AccessChanged:
			to.everywhere(id)
		default:
			to.list(listKey{label: ch.ObjAfter.Type, kind: listType}, id)
			to.choosy(id)
		}
		return
	}
	e := ch.EdgeAfter
	if e == nil {
		e = ch.EdgeBefore
	}
	out, in := listKey{e.From, e.Label, listOut}, listKey{e.To, e.Label, listIn}
	to.list(out, e.To)
	to.list(in, e.From)
	if ch.Event != graph.Modified {
		to.crowded(out)
		to.crowded(in)
	}
	if ch.Event != graph.Modified && inherits(r.Object(e.From), e.Label) {
		x.objects.each(e.From, found)
		to.everywhere(e.From)
	}
}

type router struct {
	*index
	r     counter
	of    *stretch
	found func(*view)
}

// list finds who follows a list that an object may be in, or was in.
func (x *router) list(k listKey, far graph.ObjectID) {
	l := x.lists[k]
	if l == nil {
		return
	}
	l.all.each(x.found)
	for _, e := range l.equal {
		x.of.values(x.r, far, e.path, func(value string) { e.by.each(value, x.found) })
	}
}

// everywhere finds who follows a list that an object may be in: over any edge.
func (x *router) everywhere(id graph.ObjectID) {
	if o := x.r.Object(id); o != nil {
		x.list(listKey{label: o.Type, kind: listType}, id)
		x.crowded(listKey{label: o.Type, kind: listType})
	}
	for d := range x.followed {
		x.over(d, id, true)
	}
}

// over finds who follows a list of one direction that an object may be in; rights
// says that they have changed.
func (x *router) over(d direction, id graph.ObjectID, rights bool) {
	switch d.kind {
	case listIn:
		x.r.Out(id, d.label, func(e *graph.Edge) bool {
			x.list(listKey{e.To, d.label, listIn}, id)
			if rights {
				x.crowded(listKey{e.To, d.label, listIn})
			}
			return true
		})
	case listOut:
		x.r.In(id, d.label, func(e *graph.Edge) bool {
			x.list(listKey{e.From, d.label, listOut}, id)
			if rights {
				x.crowded(listKey{e.From, d.label, listOut})
			}
			return true
		})
	}
}

// choosy finds who follows a filtered or ordered list that an object is a
// candidate of. It walks the object's edges, or the lists where there are fewer:
// the edges of a list are held, those that arrive at an object perhaps not.
func (x *router) choosy(id graph.ObjectID) {
	for d, ends := range x.index.choosy {
		if len(ends) > fewEnds && !x.many(d, id, len(ends)) {
			x.over(d, id, false)
			continue
		}
		for near := range ends {
			from, to := near, id
			if d.kind == listIn {
				from, to = id, near
			}
			if x.r.Between(d.label, from, to) != nil {
				x.list(listKey{near, d.label, d.kind}, id)
			}
		}
	}
}

// fewEnds is how many lists are looked at before an object's edges are counted.
const fewEnds = 16

// many reports whether an object has more edges than there are lists.
func (x *router) many(d direction, id graph.ObjectID, lists int) bool {
	if d.kind == listIn {
		return x.r.CountOut(id, d.label) > lists
	}
	return x.r.CountIn(id, d.label) > lists
}

// values calls yield with the keys of all values that an object has had at a
// path in the stretch, and has now. It may give one again.
func (s *stretch) values(r graph.Reader, id graph.ObjectID, at graph.Path, yield func(string)) {
	last := ""
	tell := func(o *graph.Object) {
		if o == nil {
			return
		}
		if key := replica.ValueKey(replica.ValueAt(at, o)); key != last {
			last = key
			yield(key)
		}
	}
	tell(r.Object(id))
	for _, ch := range s.of(graph.ObjectRef(id)) {
		tell(ch.ObjBefore)
		tell(ch.ObjAfter)
	}
}

// inherits reports whether the object's rights come over edges of the label.
func inherits(o *graph.Object, label string) bool {
	if o == nil || o.Access == nil {
		return false
	}
	for _, h := range o.Access.Rights {
		for _, l := range h.Inherit {
			if l == label {
				return true
			}
		}
	}
	return false
}
