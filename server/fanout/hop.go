package fanout

import (
	"cmp"
	"math"
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// hop is one step of a projection, or its roots, with what is kept of the
// following of it.
type hop struct {
	step   *graph.Step // nil: the roots
	list   *graph.List // nil: named roots, of which all are shown
	subs   []*hop      // followed from what this one reaches
	levels int         // that the step repeats; endless: as far as it goes
	sens   *sensitivity
	equal  *equality // what alone can be in the list; nil where that is not known
	visits map[graph.ObjectID]*visit
}

// endless is the number of levels of a repeat of `true`.
const endless = math.MaxInt

// less gives the levels left after one.
func less(levels int) int {
	if levels == endless {
		return endless
	}
	return levels - 1
}

func (h *hop) plain() bool { return h.list == nil || h.list.Where == nil && !h.windowed() }
func (h *hop) windowed() bool {
	return h.list != nil && (h.list.Limit > 0 || h.list.After != nil || h.ranks())
}

// ranks reports whether the order itself is part of the answer: that of roots is.
func (h *hop) ranks() bool { return h.step == nil && h.list != nil && len(h.list.Order) > 0 }

// hopsOf lays out a projection. The first hop is that of the roots.
func hopsOf(p *graph.Projection) []*hop {
	root := &hop{sens: &sensitivity{}, visits: map[graph.ObjectID]*visit{}}
	if p.Type != nil {
		root.list = &p.Type.List
	}
	root.learn()
	all := []*hop{root}
	var below func(of *hop, n *graph.Node)
	below = func(of *hop, n *graph.Node) {
		for _, s := range n.Steps {
			h := &hop{step: s, list: &s.List, levels: s.Repeat, visits: map[graph.ObjectID]*visit{}}
			if s.Repeat < 0 {
				h.levels = endless
			}
			h.learn()
			of.subs = append(of.subs, h)
			all = append(all, h)
			below(h, &s.Node)
		}
	}
	below(root, &p.Node)
	return all
}

func (h *hop) learn() {
	if h.list != nil {
		h.sens = sensitivityOf(h.list, h.windowed())
		h.equal = equalityOf(h.list.Where)
	}
}

// visit is the following of one step from one object: a list, and for how many
// reasons it is followed. In a graph with cycles there are no more of them than
// objects times steps.
type visit struct {
	hop    *hop
	from   graph.ObjectID // zero for the roots
	levels int            // that the step may still repeat from here: the most of all reasons; -1 once closed

	// How often the list is asked for: as the first level of the step, and as
	// a further one. By levels, where the step repeats so and so often: that is
	// what keeps the counting exact on cycles, since what supports a visit has
	// more levels than it.
	first, again int32
	byLevels     []levelCount // most levels first, none of 0

	roster roster
	window *window // instead of roster
	// room is how many candidates more may come before they have to be counted
	// anew: one that comes or goes is counted here where that can be told.
	room int
	// counted says whether room is true: of a list with an equality it is while
	// the list is crowded.
	counted bool
	// closed until what it is made of is held: nothing is in it meanwhile.
	waiting bool
}

// levelCount says how often a list is asked for with so many levels left. A step
// may repeat a billion times: it is the levels that occur that take room.
type levelCount struct {
	levels int
	n      int32
}

// count notes that a visit is asked for once more, or once less, and gives the
// levels that it is asked for with now: -1 where nobody asks.
func (v *visit) count(levels int, again bool, by int32) int {
	if again {
		v.again += by
	} else {
		v.first += by
	}
	if v.hop.levels > 0 && v.hop.levels != endless {
		i, found := slices.BinarySearchFunc(v.byLevels, levels, func(c levelCount, levels int) int { return cmp.Compare(levels, c.levels) })
		if !found {
			v.byLevels = slices.Insert(v.byLevels, i, levelCount{levels: levels})
		}
		if v.byLevels[i].n += by; v.byLevels[i].n == 0 {
			v.byLevels = slices.Delete(v.byLevels, i, i+1)
		}
		for _, c := range v.byLevels {
			if c.n > 0 {
				return c.levels
			}
		}
		return -1
	}
	if v.first+v.again > 0 {
		return v.hop.levels
	}
	return -1
}

// each calls yield with what the list shows.
func (v *visit) each(yield func(seat) bool) {
	if v.window != nil {
		v.window.each(yield)
		return
	}
	for _, s := range v.roster.seats {
		if !yield(s) {
			return
		}
	}
}

// shows gives the edge over which the list shows an object.
func (v *visit) shows(id graph.ObjectID) (edge graph.EdgeID, ok bool) {
	if v.window != nil {
		if p := v.window.items[id]; p != nil && p.shown {
			return p.edge, true
		}
		return edge, false
	}
	if i := v.roster.find(id); i >= 0 {
		return v.roster.seats[i].edge, true
	}
	return edge, false
}
