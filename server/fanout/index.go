package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
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
