package fanout

import "github.com/graphtide/graphtide/graph"

// sweep looks at the lists of endless repeats that lost one who asked for them
// and are still asked for, but only as further levels of their step: perhaps by
// none but each other, on a cycle that nothing leads to any more. It gives up
// those.
//
// It costs what hangs on these lists over the same step: nothing in a tree,
// where nobody else asks; the part below in a graph where many ways lead to one
// object; the whole repeat where all hangs on all.
func (b *book) sweep() {
	asked := map[*visit]int32{} // by those that hang together
	var part []*visit
	reach := func(v *visit) {
		if _, seen := asked[v]; !seen {
			asked[v] = 0
			part = append(part, v)
		}
	}
	for _, v := range b.loose {
		if v.levels == endless && v.first == 0 {
			reach(v)
		}
	}
	b.loose = b.loose[:0]
	for i := 0; i < len(part); i++ {
		part[i].next(func(w *visit) {
			reach(w)
			asked[w]++
		})
	}

	alive := make(map[*visit]bool, len(part))
	var reached []*visit
	keep := func(v *visit) {
		if _, here := asked[v]; here && !alive[v] {
			alive[v] = true
			reached = append(reached, v)
		}
	}
	for _, v := range part {
		if v.first+v.again > asked[v] {
			keep(v)
		}
	}
	for i := 0; i < len(reached); i++ {
		reached[i].next(keep)
	}

	for _, v := range part {
		if !alive[v] {
			v.next(func(w *visit) { w.again-- })
		}
	}
	for _, v := range part {
		if !alive[v] {
			b.close(v, 0)
		}
	}
}

// next calls yield with the lists that this one asks for as further levels.
func (v *visit) next(yield func(*visit)) {
	v.each(func(s seat) bool {
		if w := v.hop.visits[s.id]; w != nil {
			yield(w)
		}
		return true
	})
}

// dirty looks again at an object in every list of a hop that it may be in.
func (b *book) dirty(u *update, h *hop, id graph.ObjectID, fresh bool) {
	if h.step == nil {
		if v := h.visits[graph.ObjectID{}]; v != nil {
			b.look(u, v, id, fresh)
		}
		return
	}
	src := b.reader.src
	along, degree := src.In, src.CountIn
	if h.step.In {
		along, degree = src.Out, src.CountOut
	}
	if len(h.visits) <= fewEnds || degree(id, h.step.Label) > len(h.visits) {
		for _, v := range h.visits {
			b.look(u, v, id, fresh)
		}
		return
	}
	along(id, h.step.Label, func(e *graph.Edge) bool {
		near := e.From
		if h.step.In {
			near = e.To
		}
		if v := h.visits[near]; v != nil {
			b.look(u, v, id, fresh)
		}
		return true
	})
}
