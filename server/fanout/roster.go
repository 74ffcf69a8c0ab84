package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// seat is an object that a list shows, and the edge over which it is reached:
// zero for a root.
type seat struct {
	id   graph.ObjectID
	edge graph.EdgeID
}

// fewSeats is up to how many seats a roster is searched from end to end.
const fewSeats = 16

// roster is what a list without a window shows, in no order.
type roster struct {
	seats []seat
	at    map[graph.ObjectID]int32 // position; nil while there are few
}

func (r *roster) find(id graph.ObjectID) int {
	if r.at != nil {
		if i, ok := r.at[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range r.seats {
		if r.seats[i].id == id {
			return i
		}
	}
	return -1
}

func (r *roster) add(s seat) {
	r.seats = append(r.seats, s)
	switch {
	case r.at != nil:
		r.at[s.id] = int32(len(r.seats) - 1)
	case len(r.seats) > fewSeats:
		r.index()
	}
}

func (r *roster) index() {
	r.at = make(map[graph.ObjectID]int32, len(r.seats)+len(r.seats)/4)
	for i := range r.seats {
		r.at[r.seats[i].id] = int32(i)
	}
}

// fill takes seats that are all of different objects, and keeps the slice.
func (r *roster) fill(seats []seat) {
	if r.seats = seats; len(seats) > fewSeats {
		r.index()
	}
}

func (r *roster) remove(i int) {
	last := len(r.seats) - 1
	if r.at != nil {
		delete(r.at, r.seats[i].id)
		if i < last {
			r.at[r.seats[last].id] = int32(i)
		}
	}
	r.seats[i] = r.seats[last]
	r.seats = r.seats[:last]
	if last <= fewSeats/2 {
		r.at = nil
	}
}

// window is a list with an order, of which a part is shown. It keeps the places
// of all candidates, so that the one that slides in at an end is at hand.
type window struct {
	list  *graph.List
	after *replica.Position
	items map[graph.ObjectID]*place
	shelf shelf

	// Since the list was last settled:
	come []*place // placed; some are gone again
	gone []*place // taken out while they were shown
}

func newWindow(l *graph.List) *window {
	w := &window{list: l, items: map[graph.ObjectID]*place{}, shelf: shelf{order: l.Order}}
	if l.After != nil {
		after := replica.PositionAfter(l.After)
		w.after = &after
	}
	return w
}

// takes reports whether a place is within what the list may ever show.
func (w *window) takes(at replica.Position) bool {
	return w.after == nil || replica.ComparePositions(w.list.Order, at, *w.after) > 0
}

// fill takes the candidates of a list that is new.
func (w *window) fill(places []*place) {
	if w.after != nil {
		places = slices.DeleteFunc(places, func(p *place) bool { return !w.takes(p.at) })
	}
	slices.SortFunc(places, w.shelf.compare)
	w.shelf.fill(places)
	w.items = make(map[graph.ObjectID]*place, len(places))
	end := w.end()
	for i, p := range places {
		p.shown = i < end
		w.items[p.at.ID] = p
	}
}

// end gives how many places are to be shown.
func (w *window) end() int {
	if w.list.Limit > 0 && w.list.Limit < w.shelf.n {
		return w.list.Limit
	}
	return w.shelf.n
}

// put makes a candidate stand at a place.
func (w *window) put(at replica.Position, edge graph.EdgeID) {
	old := w.items[at.ID]
	if old != nil && old.edge == edge && replica.ComparePositions(w.list.Order, old.at, at) == 0 {
		return
	}
	w.drop(at.ID)
	if !w.takes(at) && !sabotage.On(sabotage.LooseWindow) {
		return
	}
	p := &place{at: at.Clone(), edge: edge, moved: true}
	w.items[at.ID] = p
	w.shelf.insert(p)
	w.come = append(w.come, p)
}

// drop takes a candidate out.
func (w *window) drop(id graph.ObjectID) {
	p := w.items[id]
	if p == nil {
		return
	}
	delete(w.items, id)
	w.shelf.remove(p)
	if p.shown {
		w.gone = append(w.gone, p)
	}
}

func (w *window) unsettled() bool { return len(w.come)+len(w.gone) > 0 }

// settle brings what is shown up to date with the places. Its cost is that of
// what was put and dropped. What stood and stands in the order as it did is
// shown from the start on, up to some place: so from the end of the window, one
// way and the other, those that change sides lie together.
func (w *window) settle(enter, leave func(seat)) {
	end := w.end()
	var last *place
	w.shelf.below(end, func(p *place) bool {
		if last == nil {
			last = p
		}
		if p.moved {
			return true
		}
		if p.shown {
			return false
		}
		p.shown = true
		enter(p.seat())
		return true
	})
	w.shelf.from(end, func(p *place) bool {
		if p.moved {
			return true
		}
		if !p.shown {
			return false
		}
		p.shown = false
		leave(p.seat())
		return true
	})
	for _, p := range w.come {
		p.moved = false
		if w.items[p.at.ID] == p && last != nil && w.shelf.compare(p, last) <= 0 {
			p.shown = true
			enter(p.seat())
		}
	}
	for _, p := range w.gone {
		leave(p.seat())
	}
	w.come, w.gone = nil, nil
}

func (p *place) seat() seat { return seat{p.at.ID, p.edge} }

// each calls yield with what is shown, in order.
func (w *window) each(yield func(seat) bool) {
	left := w.end()
	w.shelf.from(0, func(p *place) bool {
		left--
		return left >= 0 && yield(p.seat())
	})
}
