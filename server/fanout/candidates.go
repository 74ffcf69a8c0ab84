package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// A list that only objects with certain values concern (equality) is not told of
// the others, though they count as candidates. While there are few that costs
// nothing: a list cannot have more candidates than members. Once there are nearly
// as many as may be, the views of such lists are told of whatever comes and goes
// there, and count.

// counter is a reader that also counts the objects of a type.
type counter interface {
	graph.Reader
	CountOfType(typ string) int
}

// nearly is the number of members from which candidates are counted.
func nearly(limit int) int { return limit - limit/5 }

// choosers are the views that follow a list with an equality: all of those that take
// the same types, where it is one of types.
type choosers struct {
	types []string
	views viewSet
}

// choosersOf gives those of the types, made where there is none.
func (l *listViews) choosersOf(types []string) *choosers {
	for _, c := range l.choosers {
		if slices.Equal(c.types, types) {
			return c
		}
	}
	c := &choosers{types: types}
	l.choosers = append(l.choosers, c)
	return c
}

// disperse takes a view out of them.
func (l *listViews) disperse(types []string, v *view) {
	l.choosersOf(types).views.remove(v)
	l.choosers = slices.DeleteFunc(l.choosers, func(c *choosers) bool { return c.views.empty() })
}

// together gives the types that the candidates of a list of this kind are of; nil
// for the edges at one end.
func (b *book) together(k listKind) []string {
	if k == listType {
		return b.types
	}
	return nil
}

// crowded finds the views that have to count the candidates of a list, when an
// object comes into it or goes, or its rights change.
func (x *router) crowded(k listKey) {
	l := x.lists[k]
	if l == nil {
		return
	}
	for _, c := range l.choosers {
		// So many there are now, and before the stretch there were perhaps more.
		if members(x.r, k, c.types)+x.of.size() >= nearly(x.candidates) {
			c.views.each(x.found)
		}
	}
}

// members counts what is in a list, whoever may read it.
func members(r counter, k listKey, types []string) (n int) {
	switch k.kind {
	case listIn:
		return r.CountIn(k.id, k.label)
	case listOut:
		return r.CountOut(k.id, k.label)
	}
	for _, typ := range types {
		n += r.CountOfType(typ)
	}
	return n
}

// crowded reports whether a list with an equality has so many members that it is
// told of whatever comes and goes, and whether they are more than there may be
// candidates.
func (b *book) crowded(v *visit) (near, over bool) {
	r, ok := b.reader.src.(counter)
	if !ok {
		return false, false // a past state, which is not followed
	}
	n := 0
	if v.hop.step == nil {
		n = members(r, listKey{kind: listType}, b.types)
	} else {
		n = members(r, listKey{v.from, v.hop.step.Label, kindOf(v.hop.step.In)}, nil)
	}
	limit := b.reader.limits.Candidates
	return n >= nearly(limit), n > limit
}
