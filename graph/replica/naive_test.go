package replica_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/graphtide/graphtide/graph"
)

// This file judges projections once more, from the contract's text alone: over
// plain maps and decoded values, by recursion, with no thought of cost.

type naive struct {
	w      *world
	user   string // "" is an admin
	subs   map[string][]string
	roots  []graph.ObjectID
	shown  map[graph.ObjectID]bool
	edges  map[graph.EdgeID]bool
	walked map[string]bool
}

func (n *naive) readable(id graph.ObjectID) bool {
	return n.w.objects[id] != nil && (n.user == "" || n.holdsRead(id, nil))
}

// holdsRead follows the inheritance; way holds the objects gone through.
func (n *naive) holdsRead(id graph.ObjectID, way []graph.ObjectID) bool {
	o := n.w.objects[id]
	h := o.Access.Rights["read"]
	if h.Public || h.Users[n.user] {
		return true
	}
	if slices.Contains(way, id) || len(way) == 16 {
		return false
	}
	edges := 0
	for _, e := range n.w.edges {
		if e.From == id && slices.Contains(h.Inherit, e.Label) {
			edges++
			if n.holdsRead(e.To, append(slices.Clone(way), id)) {
				return true
			}
		}
	}
	return len(h.Inherit) > 0 && edges == 0 && o.Meta.CreatedBy == n.user
}

func (n *naive) run(p *graph.Projection) {
	n.shown, n.edges, n.walked = map[graph.ObjectID]bool{}, map[graph.EdgeID]bool{}, map[string]bool{}
	var roots []reached
	if p.Type == nil {
		for _, id := range p.Roots {
			if n.readable(id) {
				roots = append(roots, reached{o: n.w.objects[id]})
			}
		}
	} else {
		for _, o := range n.w.sortedObjects() {
			if slices.Contains(n.subs[p.Type.Type], o.Type) && n.readable(o.ID) {
				roots = append(roots, reached{o: o})
			}
		}
		roots = cut(roots, &p.Type.List)
	}
	for _, r := range roots {
		n.roots = append(n.roots, r.o.ID)
		n.shown[r.o.ID] = true
		n.below(r.o.ID, &p.Node)
	}
}

func (n *naive) below(id graph.ObjectID, node *graph.Node) {
	for _, s := range node.Steps {
		levels := s.Repeat
		if levels < 0 {
			levels = len(n.w.objects) + 1 // longer than any path without a repeat
		}
		n.along(id, s, levels)
	}
}

func (n *naive) along(id graph.ObjectID, s *graph.Step, levels int) {
	if key := fmt.Sprintf("%s %p %d", id, s, levels); n.walked[key] {
		return
	} else {
		n.walked[key] = true
	}
	var list []reached
	for _, e := range n.w.sortedEdges() {
		near, far := e.From, e.To
		if s.In {
			near, far = far, near
		}
		if near == id && e.Label == s.Label && n.readable(far) {
			list = append(list, reached{n.w.objects[far], e})
		}
	}
	for _, r := range cut(list, &s.List) {
		n.shown[r.o.ID], n.edges[r.e.ID] = true, true
		n.below(r.o.ID, &s.Node)
		if levels > 0 {
			n.along(r.o.ID, s, levels-1)
		}
	}
}

type reached struct {
	o *graph.Object
	e *graph.Edge
}

func cut(all []reached, l *graph.List) []reached {
	var list []reached
	for _, r := range all {
		if l.Where == nil || holds(l.Where, r) {
			list = append(list, r)
		}
	}
	place := func(r reached) []any {
		var vs []any
		for _, k := range l.Order {
			vs = append(vs, look(k.Path, r))
		}
		return vs
	}
	compare := func(a []any, aID graph.ObjectID, b []any, bID graph.ObjectID) int {
		for i, k := range l.Order {
			if c := rankValues(a[i], b[i]); c != 0 {
				if k.Desc {
					c = -c
				}
				return c
			}
		}
		return strings.Compare(aID.String(), bID.String())
	}
	slices.SortFunc(list, func(a, b reached) int { return compare(place(a), a.o.ID, place(b), b.o.ID) })
	if l.After != nil {
		var at []any
		for _, v := range l.After.Values {
			at = append(at, decode(v))
		}
		list = slices.DeleteFunc(list, func(r reached) bool { return compare(place(r), r.o.ID, at, l.After.ID) <= 0 })
	}
	if l.Limit > 0 && len(list) > l.Limit {
		list = list[:l.Limit]
	}
	return list
}

// absent stands for a missing value.
type absent struct{}

func decode(text []byte) any {
	if text == nil {
		return absent{}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func look(p graph.Path, r reached) any {
	var doc any
	switch {
	case p.Edge && r.e == nil:
		return absent{}
	case p.Edge:
		doc = decode(r.e.AppendJSON(nil))
		doc.(map[string]any)["id"] = r.e.ID.String()
	default:
		doc = decode(r.o.AppendJSON(nil, false))
		doc.(map[string]any)["id"] = r.o.ID.String()
	}
	for _, token := range p.Tokens {
		m, ok := doc.(map[string]any)
		if !ok {
			return absent{}
		}
		if doc, ok = m[token]; !ok {
			return absent{}
		}
	}
	return doc
}

func rank(v any) int {
	switch v := v.(type) {
	case absent:
		return 0
	case nil:
		return 1
	case bool:
		if v {
			return 3
		}
		return 2
	case json.Number:
		return 4
	case string:
		return 5
	}
	return 6
}

func number(v any) *big.Rat {
	r, ok := new(big.Rat).SetString(v.(json.Number).String())
	if !ok {
		panic(v)
	}
	return r
}

func rankValues(a, b any) int {
	if ra, rb := rank(a), rank(b); ra != rb {
		return ra - rb
	}
	switch a := a.(type) {
	case json.Number:
		return number(a).Cmp(number(b))
	case string:
		for b := b.(string); ; {
			if a == "" || b == "" {
				return len(a) - len(b)
			}
			x, n := utf8.DecodeRuneInString(a)
			y, m := utf8.DecodeRuneInString(b)
			if x != y {
				return int(x) - int(y)
			}
			a, b = a[n:], b[m:]
		}
	}
	return 0
}

func same(a, b any) bool {
	if rank(a) != rank(b) || rank(a) == 0 {
		return false
	}
	if rank(a) < 6 {
		return rankValues(a, b) == 0
	}
	return fmt.Sprint(a) == fmt.Sprint(b) // the tests' arrays and objects have one spelling
}

func holds(c *graph.Cond, r reached) bool {
	all, any := true, false
	for _, sub := range c.Sub {
		h := holds(sub, r)
		all, any = all && h, any || h
	}
	v := look(c.Path, r)
	var first, equal = decode(nil), false
	for i, text := range c.Values {
		if i == 0 {
			first = decode(text)
		}
		equal = equal || same(v, decode(text))
	}
	kindsMatch := rank(v) == rank(first) && rank(v) >= 4 && rank(v) <= 5 || rank(v)/2 == 1 && rank(first)/2 == 1
	switch c.Op {
	case graph.CondAnd:
		return all
	case graph.CondOr:
		return any
	case graph.CondNot:
		return !any
	case graph.CondEq, graph.CondIn:
		return equal
	case graph.CondNe:
		return !equal
	case graph.CondLt:
		return kindsMatch && rankValues(v, first) < 0
	case graph.CondLte:
		return kindsMatch && rankValues(v, first) <= 0
	case graph.CondGt:
		return kindsMatch && rankValues(v, first) > 0
	case graph.CondGte:
		return kindsMatch && rankValues(v, first) >= 0
	case graph.CondPrefix:
		s, ok1 := v.(string)
		p, ok2 := first.(string)
		return ok1 && ok2 && strings.HasPrefix(s, p)
	case graph.CondExists:
		return (v != absent{}) == c.Bool
	}
	panic(c.Op)
}
