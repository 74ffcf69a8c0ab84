package replica

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// member is an object of a list, with the edge over which it was reached.
type member struct {
	obj  *graph.Object
	edge *graph.Edge
}

// list gathers what one parent reaches through one step, and gives the window
// of it that the projection asks for. It is used again and again.
type list struct {
	of      *graph.List
	plain   bool // all of it is shown: neither filtered, ordered nor windowed
	limit   int  // on the candidates
	offered int
	members []member
	places  []Position
	keys    []key // what places hold, in one piece
	filter  Filter
}

func (l *list) start(of *graph.List, lim *graph.Limits) *list {
	*l = list{
		of: of, members: l.members[:0], places: l.places[:0], keys: l.keys[:0], filter: l.filter,
		plain: of.Where == nil && len(of.Order) == 0 && of.Limit == 0 && of.After == nil,
		limit: lim.Candidates,
	}
	if l.plain {
		l.limit = lim.ViewEntities // one more would not fit into the result
	}
	return l
}

// offer takes a readable candidate; false ends the gathering.
func (l *list) offer(o *graph.Object, e *graph.Edge) bool {
	l.offered++
	if l.offered > l.limit {
		return false
	}
	if l.filter.Matches(l.of.Where, o, e) {
		l.members = append(l.members, member{o, e})
	}
	return true
}

// window gives the members asked for: sorted where the list is ordered or
// paged, else as they came. They are the caller's until the next start.
func (l *list) window() ([]member, *graph.Error) {
	switch {
	case l.offered <= l.limit:
	case l.plain:
		return nil, viewTooLarge(l.limit)
	default:
		return nil, graph.TooLarge("candidates", int64(l.limit), "candidates in a filtered or ordered list")
	}
	if len(l.of.Order) == 0 && l.of.Limit == 0 && l.of.After == nil {
		return l.members, nil
	}
	l.place()
	if l.of.After != nil {
		after := PositionAfter(l.of.After)
		l.drop(func(p Position) bool { return ComparePositions(l.of.Order, p, after) <= 0 })
	}
	l.sort()
	if n := l.of.Limit; n > 0 && n < len(l.members) {
		l.members = l.members[:n]
	}
	return l.members, nil
}

// place reads the position of every member, once.
func (l *list) place() {
	l.keys = slices.Grow(l.keys, len(l.members)*len(l.of.Order))
	for _, m := range l.members {
		at := len(l.keys)
		l.keys = appendKeys(l.keys, l.of.Order, m.obj, m.edge)
		l.places = append(l.places, Position{l.keys[at:len(l.keys):len(l.keys)], m.obj.ID})
	}
}

func (l *list) drop(out func(Position) bool) {
	n := 0
	for i, p := range l.places {
		if !out(p) {
			l.members[n], l.places[n] = l.members[i], p
			n++
		}
	}
	l.members, l.places = l.members[:n], l.places[:n]
}

func (l *list) sort() {
	order := make([]int32, len(l.members))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return ComparePositions(l.of.Order, l.places[a], l.places[b])
	})
	sorted := make([]member, len(l.members))
	for i, j := range order {
		sorted[i] = l.members[j]
	}
	l.members = sorted
}
