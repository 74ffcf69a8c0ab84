package fanout

import (
	"encoding/json"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// sensitivity says which parts of an entity decide whether and where a list has
// it. A change elsewhere leaves the list as it is.
type sensitivity struct {
	objects []patch.Pointer // from the entity: body/…
	meta    bool            // something in meta, which every change touches
	edges   bool            // something in an edge
}

// sensitivityOf gives that of a list; its order counts where windowed.
func sensitivityOf(l *graph.List, windowed bool) *sensitivity {
	s := &sensitivity{}
	if l.Where != nil {
		s.cond(l.Where)
	}
	if windowed {
		for _, k := range l.Order {
			s.path(&k.Path)
		}
	}
	return s
}

func (s *sensitivity) cond(c *graph.Cond) {
	if c.Op <= graph.CondNot {
		for _, sub := range c.Sub {
			s.cond(sub)
		}
		return
	}
	s.path(&c.Path)
}

func (s *sensitivity) path(p *graph.Path) {
	switch {
	case p.Edge:
		s.edges = true
	case len(p.Tokens) == 0 || p.Tokens[0] == "meta":
		s.meta = true
	case p.Tokens[0] == "body":
		s.objects = append(s.objects, patch.Pointer(p.Tokens))
	}
}

// touches reports whether a modification may move an entity into the list, out
// of it, or within it. The patch is relative to the entity.
func (s *sensitivity) touches(t touch) bool {
	ch := t.change
	if ch.Ref.Kind == graph.KindEdge {
		return s.edges
	}
	if s.meta {
		return true
	}
	if len(s.objects) == 0 || !ch.BodyChanged {
		return false
	}
	ops, known := t.ops()
	if !known {
		return true
	}
	for _, op := range ops {
		for _, p := range s.objects {
			if overlap(op.Path, p) || op.Kind == patch.Move && overlap(op.From, p) {
				return true
			}
		}
	}
	return false
}

// overlap reports whether a change at p may change the value at q. An element
// that comes or goes moves its later siblings, so an array is one place: tokens
// that could be an index end the comparison.
func overlap(p, q patch.Pointer) bool {
	for i := range min(len(p), len(q)) {
		if isIndex(p[i]) && isIndex(q[i]) {
			return true
		}
		if p[i] != q[i] {
			return false
		}
	}
	return true
}

func isIndex(token string) bool {
	return token == "-" || token != "" && !slices.ContainsFunc([]byte(token), func(c byte) bool { return c < '0' || c > '9' })
}

// bodyOnly gives the part of a change's patch that a client may see: the body,
// not the access. It looks at every operation: an access may be written without
// being changed.
func bodyOnly(ch *graph.Change) json.RawMessage {
	ops, err := patch.Parse(ch.Patch, 0)
	if err != nil {
		return nil
	}
	hidden := func(op patch.Op) bool { return len(op.Path) == 0 || op.Path[0] != "body" }
	if !slices.ContainsFunc(ops, hidden) {
		return ch.Patch
	}
	dst := []byte{'['}
	for _, op := range ops {
		if hidden(op) {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = patch.AppendOp(dst, "", op)
	}
	return append(dst, ']')
}
