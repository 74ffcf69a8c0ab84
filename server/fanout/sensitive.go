package fanout

import (
	"encoding/json"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// sensitivity says which parts of an entity decide whether a projection shows
// it. A change elsewhere leaves the view's members as they are.
type sensitivity struct {
	objects []patch.Pointer // from the entity: body/…
	meta    bool            // something in meta, which every change touches
	edges   bool            // something in an edge
}

func sensitivityOf(p *graph.Projection) *sensitivity {
	s := &sensitivity{}
	if p.Type != nil {
		s.list(&p.Type.List)
	}
	s.node(&p.Node)
	return s
}

func (s *sensitivity) node(n *graph.Node) {
	for _, step := range n.Steps {
		s.list(&step.List)
		s.node(&step.Node)
	}
}

func (s *sensitivity) list(l *graph.List) {
	if l.Where != nil {
		s.cond(l.Where)
	}
	if l.Limit == 0 && l.After == nil {
		return // an order without a window shows everything all the same
	}
	for _, k := range l.Order {
		s.path(&k.Path)
	}
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

// touches reports whether a modification may change what is shown. The patch is
// relative to the entity.
func (s *sensitivity) touches(ch *graph.Change) bool {
	if ch.Ref.Kind == graph.KindEdge {
		return s.edges
	}
	if s.meta {
		return true
	}
	if len(s.objects) == 0 || !ch.BodyChanged {
		return false
	}
	ops, err := patch.Parse(ch.Patch, 0)
	if err != nil || len(ops) == 0 {
		return true // nothing is known about the change
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
