package replica

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Matches judges a condition on an object (edge is the one it was reached by,
// nil for a root). No condition always holds.
//
// Equality is that of JSON Patch, numbers by value; a missing value equals
// nothing, null neither, so `ne` holds for it. `lt`, `lte`, `gt` and `gte` hold
// only between two numbers, two strings or two booleans. `prefix` holds for
// strings alone.
func Matches(c *graph.Cond, o *graph.Object, edge *graph.Edge) bool {
	return new(Filter).Matches(c, o, edge)
}

// Filter judges the conditions of one projection, for one goroutine. It
// remembers the values of long `in` lists in order, so that a candidate costs a
// search and not a walk through thousands. The zero Filter is ready.
type Filter struct {
	sorted map[*graph.Cond][]json.RawMessage
}

// longList is from how many values on sorting pays.
const longList = 32

// Matches is the function of that name, remembered.
func (f *Filter) Matches(c *graph.Cond, o *graph.Object, edge *graph.Edge) bool {
	if c == nil {
		return true
	}
	switch c.Op {
	case graph.CondAnd:
		for _, sub := range c.Sub {
			if !f.Matches(sub, o, edge) {
				return false
			}
		}
		return true
	case graph.CondOr:
		for _, sub := range c.Sub {
			if f.Matches(sub, o, edge) {
				return true
			}
		}
		return false
	case graph.CondNot:
		for _, sub := range c.Sub {
			if f.Matches(sub, o, edge) {
				return false
			}
		}
		return true
	}
	v := valueAt(c.Path, o, edge)
	switch c.Op {
	case graph.CondExists:
		return (v != nil) == c.Bool
	case graph.CondNe:
		return !equalsAny(v, c.Values)
	case graph.CondEq:
		return equalsAny(v, c.Values)
	case graph.CondIn:
		return f.in(v, c)
	}
	if v == nil || len(c.Values) == 0 {
		return false
	}
	a, b := keyOf(v), keyOf(c.Values[0])
	if c.Op == graph.CondPrefix {
		return a.kind == patch.RankString && b.kind == patch.RankString && bytes.HasPrefix(a.text, b.text)
	}
	if !ordered(a.kind, b.kind) {
		return false
	}
	order := compareKeys(a, b)
	switch c.Op {
	case graph.CondLt:
		return order < 0
	case graph.CondLte:
		return order <= 0
	case graph.CondGt:
		return order > 0
	case graph.CondGte:
		return order >= 0
	}
	return false
}

// in reports whether the value is one of the condition's.
func (f *Filter) in(v []byte, c *graph.Cond) bool {
	if v == nil || len(c.Values) < longList {
		return equalsAny(v, c.Values)
	}
	values, ok := f.sorted[c]
	if !ok {
		values = slices.Clone(c.Values)
		slices.SortFunc(values, func(a, b json.RawMessage) int { return patch.Compare(a, b) })
		values = slices.CompactFunc(values, func(a, b json.RawMessage) bool { return patch.Equal(a, b) })
		if f.sorted == nil {
			f.sorted = map[*graph.Cond][]json.RawMessage{}
		}
		f.sorted[c] = values
	}
	at, found := slices.BinarySearchFunc(values, v, func(w json.RawMessage, v []byte) int { return patch.Compare(w, v) })
	if !found {
		return false
	}
	// Arrays and objects have no order among themselves; they come last.
	if v[0] == '[' || v[0] == '{' {
		return equalsAny(v, values[at:])
	}
	return true
}

func equalsAny[V ~[]byte](v []byte, among []V) bool {
	if v == nil {
		return false
	}
	for _, w := range among {
		if patch.Equal(v, w) {
			return true
		}
	}
	return false
}

// ordered reports whether two values have an order that means something.
func ordered(a, b patch.Rank) bool {
	isBool := func(k patch.Rank) bool { return k == patch.RankFalse || k == patch.RankTrue }
	return a == b && (a == patch.RankNumber || a == patch.RankString) || isBool(a) && isBool(b)
}

// ValueKey names a JSON value for the look-up of conditions that ask for
// equality: values that are equal have the same key. Others may share one; nil,
// a missing value, has a key of its own.
func ValueKey(v []byte) string {
	switch k := keyOf(v); k.kind {
	case patch.RankNumber:
		return "n" + strconv.FormatFloat(k.num+0, 'g', -1, 64) // -0 is 0
	case patch.RankString:
		return "s" + string(k.text)
	default:
		return string('a' + rune(k.kind))
	}
}
