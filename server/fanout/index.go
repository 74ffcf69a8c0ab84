package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// listKey names the edges of one label at one end, or the objects of a type.
type listKey struct {
	id    graph.ObjectID
	label string // of the edges, or the type
	kind  listKind
}

type listKind uint8

const (
	listOut listKind = iota // the edges that leave the object
	listIn                  // those that arrive
	listType
)

func kindOf(in bool) listKind {
	if in {
		return listIn
	}
	return listOut
}

// index finds the views that a change concerns. What a commit costs here does
// not grow with the views that it does not concern.
type index struct {
	// objects: who shows an object, rests on it, or names it as a root.
	objects viewSets[graph.ObjectID]
	lists   map[listKey]*listViews
	// choosy are the ends of edges, by label and direction, whose lists are
	// filtered or ordered: a change in the content of an object can move it
	// into them, or out.
	choosy map[direction]map[graph.ObjectID]int
	// followed counts the lists of all kinds by direction.
	followed map[direction]int
	// held and released are told which objects views need, and which no view
	// needs any longer, in this order: so what goes from one view to another is
	// never let go.
	held, released func(...graph.ObjectID)
	firsts, lasts  []graph.ObjectID // to be told
	candidates     int              // that a list may have
}

type direction struct {
	label string
	kind  listKind
}

// listViews are the views that follow a list.
type listViews struct {
	all      viewSet
	equal    []*equalViews // those that only objects with certain values concern
	choosers []*choosers   // the same
}

// equalViews are views by the value, at one path, that concerns them.
type equalViews struct {
	at   string
	path graph.Path
	by   viewSets[string]
}

func newIndex(candidates int, held, released func(...graph.ObjectID)) *index {
	return &index{
		candidates: candidates,
		objects:    viewSets[graph.ObjectID]{}, lists: map[listKey]*listViews{},
		choosy: map[direction]map[graph.ObjectID]int{}, followed: map[direction]int{}, held: held, released: released,
	}
}

// keys calls yield with the keys of a list of the book.
func (b *book) keys(h *hop, from graph.ObjectID, yield func(listKey)) {
	switch {
	case h.step != nil:
		yield(listKey{from, h.step.Label, kindOf(h.step.In)})
	case b.proj.Type != nil:
		for _, typ := range b.types {
			yield(listKey{label: typ, kind: listType})
		}
	}
}

// enlist makes a view one of those that a list concerns.
func (x *index) enlist(v *view, b *book, id listID) {
	h := id.hop
	b.keys(h, id.from, func(k listKey) {
		l := x.lists[k]
		if l == nil {
			l = &listViews{}
			x.lists[k] = l
		}
		if h.equal == nil {
			l.all.add(v)
		} else {
			l.values(h.equal).put(v, h.equal)
			l.choosersOf(b.together(k.kind)).views.add(v)
		}
		d := direction{k.label, k.kind}
		x.followed[d]++
		if !h.plain() && k.kind != listType {
			if x.choosy[d] == nil {
				x.choosy[d] = map[graph.ObjectID]int{}
			}
			x.choosy[d][k.id]++
		}
	})
}

// delist takes back an enlist. Another list of the view's book may have the
// same place in the index, unless the whole book goes: alone.
func (x *index) delist(v *view, b *book, id listID, alone bool) {
	h := id.hop
	b.keys(h, id.from, func(k listKey) {
		d := direction{k.label, k.kind}
		if x.followed[d]--; x.followed[d] <= 0 {
			delete(x.followed, d)
		}
		if !h.plain() && k.kind != listType {
			if x.choosy[d][k.id]--; x.choosy[d][k.id] <= 0 {
				if delete(x.choosy[d], k.id); len(x.choosy[d]) == 0 {
					delete(x.choosy, d)
				}
			}
		}
		l := x.lists[k]
		if l == nil {
			return
		}
		var others []*hop
		if !alone {
			others = b.beside(h, id.from)
		}
		if h.equal == nil {
			if !slices.ContainsFunc(others, func(o *hop) bool { return o.equal == nil }) {
				l.all.remove(v)
			}
		} else {
			l.values(h.equal).take(v, h.equal, others)
			if !slices.ContainsFunc(others, func(o *hop) bool { return o.equal != nil }) {
				l.disperse(b.together(k.kind), v)
			}
		}
		if l.forget(); l.all.empty() && len(l.equal)+len(l.choosers) == 0 {
			delete(x.lists, k)
		}
	})
}

// beside gives the other hops that follow the same edges from an object.
func (b *book) beside(h *hop, from graph.ObjectID) (others []*hop) {
	if h.step == nil {
		return nil
	}
	for _, o := range b.hops[1:] {
		if o != h && o.step.Label == h.step.Label && o.step.In == h.step.In && o.visits[from] != nil {
			others = append(others, o)
		}
	}
	return others
}

func (l *listViews) values(of *equality) *equalViews {
	for _, e := range l.equal {
		if e.at == of.at {
			return e
		}
	}
	e := &equalViews{at: of.at, path: of.path, by: viewSets[string]{}}
	l.equal = append(l.equal, e)
	return e
}

func (l *listViews) forget() {
	kept := l.equal[:0]
	for _, e := range l.equal {
		if len(e.by) > 0 {
			kept = append(kept, e)
		}
	}
	clear(l.equal[len(kept):])
	l.equal = kept
}

func (e *equalViews) put(v *view, of *equality) {
	for _, value := range of.values {
		e.by.add(value, v)
	}
}

// take takes a view out of the values of one hop, but not of those that another
// one needs.
func (e *equalViews) take(v *view, of *equality, others []*hop) {
	for _, value := range of.values {
		if !slices.ContainsFunc(others, func(o *hop) bool { return o.equal.has(of.at, value) }) {
			e.by.remove(value, v)
		}
	}
}

// need makes a view one of those that changes of an object concern, or no
// longer.
func (x *index) need(v *view, id graph.ObjectID, need bool) {
	switch {
	case need && x.objects.add(id, v):
		x.firsts = append(x.firsts, id)
	case !need && x.objects.remove(id, v):
		x.lasts = append(x.lasts, id)
	}
}

// tell tells what is needed since it was last told.
func (x *index) tell() {
	if len(x.firsts) > 0 {
		x.held(x.firsts...)
	}
	if len(x.lasts) > 0 {
		x.released(x.lasts...)
	}
	x.firsts, x.lasts = nil, nil
}

// adopt takes up all that concerns a view.
func (x *index) adopt(v *view) {
	b := v.book
	for _, h := range b.hops {
		for from := range h.visits {
			x.enlist(v, b, listID{h, from})
		}
	}
	for id := range v.objects {
		x.need(v, id, true)
	}
	for id := range b.rights {
		x.need(v, id, true)
	}
	for id := range b.named {
		x.need(v, id, true)
	}
	b.reset()
}

// abandon forgets a view. Its book may be void, or ahead of what is known here.
func (x *index) abandon(v *view) {
	b := v.book
	for _, h := range b.hops {
		for from := range h.visits {
			if id := (listID{h, from}); b.changed.lists[id] <= 0 {
				x.delist(v, b, id, true)
			}
		}
	}
	for id, by := range b.changed.lists {
		if by < 0 {
			x.delist(v, b, id, true)
		}
	}
	for id := range v.objects {
		x.need(v, id, false)
	}
	for id := range b.rights {
		x.need(v, id, false)
	}
	for id := range b.named {
		x.need(v, id, false)
	}
}

// follow takes up what a view's book has changed, once the view has published it.
func (x *index) follow(v *view) {
	b := v.book
	if b.changed.nothing() {
		return
	}
	for id, by := range b.changed.lists {
		if by > 0 {
			x.enlist(v, b, id)
		} else {
			x.delist(v, b, id, false)
		}
	}
	for id := range b.changed.objects {
		x.need(v, id, v.objects[id] != nil || b.needs(id))
	}
	for _, id := range b.changed.rights {
		x.need(v, id, true)
	}
	b.reset()
}

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
