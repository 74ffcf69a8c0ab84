package fanout

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// endKey names the edges of one label at one end.
type endKey struct {
	id    graph.ObjectID
	label string
	in    bool
}

// deps are the places in the graph that the computing of a view looked at.
// A commit that touches none of them cannot change the view.
type deps struct {
	objects map[graph.ObjectID]struct{} // existence, body, access; what they inherit from
	ends    map[endKey]struct{}
	types   map[string]struct{}
}

func newDeps(room int) *deps {
	return &deps{
		objects: make(map[graph.ObjectID]struct{}, room),
		ends:    map[endKey]struct{}{},
		types:   map[string]struct{}{},
	}
}

func (d *deps) object(id graph.ObjectID) { d.objects[id] = struct{}{} }

// recorder is a replica.Source that notes in deps what is asked of it.
type recorder struct {
	replica.Source
	deps *deps
}

func (r *recorder) Object(id graph.ObjectID) *graph.Object {
	r.deps.object(id)
	return r.Source.Object(id)
}

func (r *recorder) Between(label string, from, to graph.ObjectID) *graph.Edge {
	r.deps.ends[endKey{from, label, false}] = struct{}{}
	return r.Source.Between(label, from, to)
}

func (r *recorder) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	r.deps.ends[endKey{id, label, false}] = struct{}{}
	r.Source.Out(id, label, yield)
}

func (r *recorder) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	r.deps.ends[endKey{id, label, true}] = struct{}{}
	r.Source.In(id, label, yield)
}

func (r *recorder) CountOut(id graph.ObjectID, label string) int {
	r.deps.ends[endKey{id, label, false}] = struct{}{}
	return r.Source.CountOut(id, label)
}

func (r *recorder) CountIn(id graph.ObjectID, label string) int {
	r.deps.ends[endKey{id, label, true}] = struct{}{}
	return r.Source.CountIn(id, label)
}

func (r *recorder) OfType(typ string, yield func(*graph.Object) bool) {
	r.deps.types[typ] = struct{}{}
	r.Source.OfType(typ, func(o *graph.Object) bool {
		r.deps.object(o.ID)
		return yield(o)
	})
}

// index finds the views whose deps a change touches. What a commit costs here
// does not grow with the views that it does not concern.
type index struct {
	objects map[graph.ObjectID][]*view
	ends    map[endKey][]*view
	types   map[string][]*view
}

func newIndex() *index {
	return &index{objects: map[graph.ObjectID][]*view{}, ends: map[endKey][]*view{}, types: map[string][]*view{}}
}

// move makes the index hold next for the view instead of old; either may be nil.
func (x *index) move(v *view, old, next *deps) {
	if old == nil {
		old = &deps{}
	}
	if next == nil {
		next = &deps{}
	}
	moveKeys(x.objects, v, old.objects, next.objects)
	moveKeys(x.ends, v, old.ends, next.ends)
	moveKeys(x.types, v, old.types, next.types)
}

func moveKeys[K comparable](in map[K][]*view, v *view, old, next map[K]struct{}) {
	for k := range old {
		if _, kept := next[k]; kept {
			continue
		}
		list := in[k]
		for i, w := range list {
			if w == v {
				list[i] = list[len(list)-1]
				list[len(list)-1] = nil
				list = list[:len(list)-1]
				break
			}
		}
		if len(list) == 0 {
			delete(in, k)
		} else {
			in[k] = list
		}
	}
	for k := range next {
		if _, had := old[k]; !had {
			in[k] = append(in[k], v)
		}
	}
}

// add makes the index hold more for the view.
func (x *index) add(v *view, more *deps) {
	addKeys(x.objects, v, v.deps.objects, more.objects)
	addKeys(x.ends, v, v.deps.ends, more.ends)
	addKeys(x.types, v, v.deps.types, more.types)
}

func addKeys[K comparable](in map[K][]*view, v *view, old, more map[K]struct{}) {
	for k := range more {
		if _, had := old[k]; !had {
			old[k] = struct{}{}
			in[k] = append(in[k], v)
		}
	}
}

// impact is how a change concerns a view.
type impact uint8

const (
	content    impact = iota // an entity's own content is another
	linked                   // an edge came that the view may follow
	unlinked                 // an edge or an object went
	structural               // anything else: rights, roots
)

// affected calls found for every view that the change may concern. It may call
// twice for one view.
func (x *index) affected(r graph.Reader, ch *graph.Change, found func(v *view, how impact)) {
	tell := func(views []*view, how impact) {
		for _, v := range views {
			found(v, how)
		}
	}
	if ch.Ref.Kind == graph.KindObject {
		how := structural
		switch {
		case ch.Event == graph.Modified && !ch.AccessChanged:
			how = content
		case ch.Event == graph.Deleted:
			how = unlinked
		}
		tell(x.objects[graph.ObjectID(ch.Ref.ID)], how)
		if ch.Event == graph.Created {
			tell(x.types[ch.ObjAfter.Type], structural)
		}
		return
	}
	e, how := ch.EdgeAfter, content
	switch ch.Event {
	case graph.Created:
		how = linked
	case graph.Deleted:
		e, how = ch.EdgeBefore, unlinked
	}
	tell(x.ends[endKey{e.From, e.Label, false}], how)
	tell(x.ends[endKey{e.To, e.Label, true}], how)
	if how != content && inherits(r.Object(e.From), e.Label) {
		tell(x.objects[e.From], structural)
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
