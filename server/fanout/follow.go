package fanout

import (
	"bytes"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// open follows a list for the first time.
func (b *book) open(v *visit) {
	r := &b.reader
	missed := r.misses()
	w := walk{book: b, v: v, limit: r.limits.Candidates}
	if v.hop.plain() {
		w.limit = r.limits.ViewEntities // one more would not fit into the view
	}
	switch step := v.hop.step; {
	case step != nil:
		w.edges(step)
	case b.proj.Type != nil:
		for _, typ := range b.types {
			r.src.OfType(typ, func(o *graph.Object) bool { return w.offer(o, nil) })
		}
	default:
		for _, id := range b.proj.Roots {
			if o := r.src.Object(id); o != nil {
				w.offer(o, nil)
			}
		}
	}
	switch {
	case r.misses() != missed:
		v.waiting, b.fault = true, nil
		b.closed = append(b.closed, v)
	case b.fault == nil:
		v.waiting = false
		w.settle()
	}
}

// openAgain opens the lists that could not be opened in the last update.
func (b *book) openAgain() {
	closed := b.closed
	b.closed = nil
	for _, v := range closed {
		if v.levels >= 0 {
			b.open(v)
		}
	}
}

// walk gathers the candidates of a new list.
type walk struct {
	book    *book
	v       *visit
	limit   int
	offered int
	found   []candidate
}

type candidate struct {
	obj  *graph.Object
	edge *graph.Edge
}

func (w *walk) edges(step *graph.Step) {
	src := w.book.reader.src
	along := src.Out
	if step.In {
		along = src.In
	}
	along(w.v.from, step.Label, func(e *graph.Edge) bool {
		far := e.To
		if step.In {
			far = e.From
		}
		o := src.Object(far)
		return o == nil || w.offer(o, e)
	})
}

// offer takes a candidate; false ends the gathering.
func (w *walk) offer(o *graph.Object, e *graph.Edge) bool {
	r := &w.book.reader
	if !r.judge.mayRead(o) {
		return true
	}
	if w.offered++; w.offered > w.limit {
		if w.v.hop.plain() {
			w.book.fault = viewTooLarge(w.limit)
		} else {
			w.book.fault = graph.TooLarge("candidates", int64(w.limit), "candidates in a filtered or ordered list")
		}
		return false
	}
	if w.v.hop.list == nil || w.book.filter.Matches(w.v.hop.list.Where, o, e) {
		w.found = append(w.found, candidate{o, e})
	}
	return true
}

// settle makes the visit's list of what was found, and shows it.
func (w *walk) settle() {
	v := w.v
	v.room, v.counted = w.limit-w.offered, true
	if v.hop.equal != nil {
		v.counted, _ = w.book.crowded(v)
	}
	if !v.hop.windowed() {
		seats := make([]seat, len(w.found))
		for i, c := range w.found {
			seats[i] = c.seat()
		}
		v.roster.fill(seats)
		for i, c := range w.found {
			w.book.show(v, seats[i], c.obj, c.edge)
		}
		return
	}
	v.window = newWindow(v.hop.list)
	places := make([]*place, len(w.found))
	of := make(map[graph.ObjectID]candidate, len(w.found))
	for i, c := range w.found {
		places[i] = &place{at: replica.PositionOf(v.hop.list.Order, c.obj, c.edge).Clone(), edge: c.seat().edge}
		of[c.obj.ID] = c
	}
	v.window.fill(places)
	v.window.each(func(s seat) bool {
		c := of[s.id]
		w.book.show(v, s, c.obj, c.edge)
		return true
	})
}

func (c candidate) seat() seat {
	s := seat{id: c.obj.ID}
	if c.edge != nil {
		s.edge = c.edge.ID
	}
	return s
}

// look brings a list up to date with one object that may be a candidate of it,
// and perhaps was none before (fresh). What that brings into the list, or takes
// out, is left to u.
func (b *book) look(u *update, v *visit, far graph.ObjectID, fresh bool) {
	if v.waiting {
		return
	}
	missed := b.reader.misses()
	o, e, is := b.candidate(v, far)
	if b.reader.misses() != missed {
		return // the update will be called again
	}
	in := is && (v.hop.list == nil || b.filter.Matches(v.hop.list.Where, o, e))
	was := false
	var s seat
	if in {
		s = candidate{o, e}.seat()
	}
	if v.window != nil {
		was = v.window.items[far] != nil
		if in {
			v.window.put(replica.PositionOf(v.hop.list.Order, o, e), s.edge)
		} else {
			v.window.drop(far)
		}
		if v.window.unsettled() {
			u.windows[v] = struct{}{}
		}
	} else {
		at := v.roster.find(far)
		was = at >= 0
		if !was || !in || v.roster.seats[at] != s {
			if was {
				u.leave = append(u.leave, seating{v, v.roster.seats[at]})
				v.roster.remove(at)
			}
			if in {
				v.roster.add(s)
				u.enter = append(u.enter, seating{v, s})
			}
		}
	}
	if v.hop.equal != nil {
		near, over := b.crowded(v)
		switch {
		case !near:
			v.counted = false
		case over && !v.counted:
			u.whole = true
		}
		if !v.counted {
			return
		}
	}
	switch {
	case was && !is:
		v.room++
	case !was && is && fresh:
		// Only counting tells how many there are: of what went, some could perhaps
		// not be read.
		if v.room--; v.room < 0 && !v.hop.plain() {
			u.whole = true
		}
	}
}

// candidate gives an object, and the edge to it, where it is a candidate of a
// list: whatever the list's condition says.
func (b *book) candidate(v *visit, far graph.ObjectID) (o *graph.Object, e *graph.Edge, is bool) {
	r := &b.reader
	if step := v.hop.step; step != nil {
		from, to := v.from, far
		if step.In {
			from, to = far, v.from
		}
		if e = r.src.Between(step.Label, from, to); e == nil {
			return nil, nil, false
		}
	}
	o = r.src.Object(far)
	switch {
	case o == nil || !r.judge.mayRead(o):
		return nil, nil, false
	case v.hop.step == nil && b.proj.Type == nil:
		_, is = b.named[far]
		return o, nil, is
	case v.hop.step == nil:
		return o, nil, slices.Contains(b.types, o.Type)
	}
	return o, e, true
}

func sortIDs(ids []graph.ObjectID) {
	slices.SortFunc(ids, func(a, b graph.ObjectID) int { return bytes.Compare(a[:], b[:]) })
}
