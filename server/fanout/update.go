package fanout

import (
	"github.com/graphtide/graphtide/graph"
)

// update is the bringing of a book up to date with some changes.
type update struct {
	windows map[*visit]struct{} // to be settled
	enter   []seating
	leave   []seating
	whole   bool // only evaluating anew can tell
}

type seating struct {
	visit *visit
	seat  seat
}

// update brings the book to the reader's state, which the changes led to. It may
// be called again with the same ones. False where only evaluating the projection
// anew can tell what they mean: where rights changed that others rest on.
func (b *book) update(r reading, touches []touch) bool {
	b.reader = r
	defer func() { b.reader = reading{} }()
	u := &update{windows: map[*visit]struct{}{}}
	b.openAgain()
	for _, t := range touches {
		if t.change.Ref.Kind == graph.KindObject {
			b.object(u, t)
		} else {
			b.edge(u, t.change)
		}
		if u.whole {
			return false
		}
	}
	for v := range u.windows {
		v.window.settle(
			func(s seat) { u.enter = append(u.enter, seating{v, s}) },
			func(s seat) { u.leave = append(u.leave, seating{v, s}) },
		)
		if v.hop.step == nil {
			b.changed.roots = true // in another order, at the least
		}
	}
	for _, e := range u.enter {
		b.show(e.visit, e.seat, nil, nil)
	}
	for _, e := range u.leave {
		b.hide(e.visit, e.seat, e.visit.levels)
	}
	b.run()
	return b.fault == nil
}

// object takes a change of an object.
func (b *book) object(u *update, t touch) {
	ch := t.change
	id := graph.ObjectID(ch.Ref.ID)
	if b.shown[id] > 0 {
		b.changed.objects[id] = struct{}{}
	}
	switch {
	case ch.Event != graph.Modified:
		// Its edges come and go in changes of their own.
		b.dirty(u, b.hops[0], id, true)
	case ch.AccessChanged:
		b.rejudge(u, id)
	default:
		for _, h := range b.hops {
			if h.sens.touches(t) {
				b.dirty(u, h, id, false)
			}
		}
	}
}

// rejudge looks at an object again wherever it may be, since the right to read
// it may have changed.
func (b *book) rejudge(u *update, id graph.ObjectID) {
	if _, others := b.rights[id]; others {
		u.whole = true
		return
	}
	for _, h := range b.hops {
		b.dirty(u, h, id, true)
	}
}

// edge takes a change of an edge.
func (b *book) edge(u *update, ch *graph.Change) {
	e := ch.EdgeAfter
	if e == nil {
		e = ch.EdgeBefore
	}
	for _, h := range b.hops[1:] {
		if h.step.Label != e.Label {
			continue
		}
		near, far := e.From, e.To
		if h.step.In {
			near, far = far, near
		}
		if v := h.visits[near]; v != nil {
			b.changed.edges[e.ID] = tie{e.Label, e.From, e.To}
			b.look(u, v, far, ch.Event == graph.Created)
		}
	}
	if ch.Event != graph.Modified && inherits(b.reader.src.Object(e.From), e.Label) {
		b.rejudge(u, e.From)
	}
}

// content reports whether a change leaves everything where it is: it touches
// nothing that decides what is shown, and nobody's rights.
func (b *book) content(t touch) bool {
	ch := t.change
	if ch.Event != graph.Modified || ch.AccessChanged {
		return false
	}
	for _, h := range b.hops {
		if h.sens.touches(t) && (ch.EdgeAfter == nil || h.step != nil && h.step.Label == ch.EdgeAfter.Label) {
			return false
		}
	}
	return true
}
