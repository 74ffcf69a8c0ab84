package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
)

// equality is a condition that every object of a list meets: the value at a
// path is one of a few. So a change of an object whose value was and is another
// one does not concern the list.
type equality struct {
	path   graph.Path
	at     string   // names the path
	values []string // by replica.ValueKey
}

// maxEqual bounds the values under which a list is found.
const maxEqual = 64

// equalityOf finds the equality that a condition implies, nil where there is
// none. Of several it takes one whose values are likely to be rare.
func equalityOf(c *graph.Cond) *equality {
	if c == nil {
		return nil
	}
	switch c.Op {
	case graph.CondAnd:
		var best *equality
		for _, sub := range c.Sub {
			if e := equalityOf(sub); e != nil && (best == nil || e.telling() > best.telling()) {
				best = e
			}
		}
		return best
	case graph.CondEq, graph.CondIn:
		if len(c.Values) > maxEqual {
			return nil
		}
		e := &equality{path: c.Path, at: patch.Pointer(c.Path.Tokens).String()}
		for _, v := range c.Values {
			e.values = append(e.values, replica.ValueKey(v))
		}
		return e
	}
	return nil
}

// telling says how much an equality is likely to tell: the fewer and the longer
// its values, the more.
func (e *equality) telling() float64 {
	if len(e.values) == 0 {
		return 1000
	}
	n := 0
	for _, v := range e.values {
		n += len(v)
	}
	return float64(n) / float64(len(e.values)*len(e.values))
}

// has reports whether e asks for a value at a path.
func (e *equality) has(at, value string) bool {
	return e != nil && e.at == at && slices.Contains(e.values, value)
}
