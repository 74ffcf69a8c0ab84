package torture

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/systest/plain"
)

// query is a projection: what it asks for, once as JSON for the server and once
// evaluated by the judge, who reads the same JSON.
type query struct {
	text string
	doc  map[string]any
}

func newQuery(text string) query {
	v, err := plain.Decode([]byte(text))
	if err != nil {
		panic(err) // ours
	}
	return query{text, v.(map[string]any)}
}

// result is a query's answer.
type result struct {
	objects, edges map[string]*entity
	roots          []string
}

func (r *result) sum() uint64 {
	var s uint64
	for _, e := range r.objects {
		s += e.sum
	}
	for _, e := range r.edges {
		s += e.sum
	}
	return s + sumOfRoots(r.roots)
}

func (r *result) digest() uint32 {
	var s uint32
	for _, all := range []map[string]*entity{r.objects, r.edges} {
		for id, e := range all {
			s += digestOf(id, e.meta.version)
		}
	}
	return s
}

func sumOfRoots(roots []string) uint64 { return sumOf("roots", map[string]any{"body": roots}) }

// walk evaluates a query for p.
func (m *model) walk(p principal, q query) *result {
	w := &walker{m: m, p: p, result: &result{objects: map[string]*entity{}, edges: map[string]*entity{}, roots: []string{}},
		seen: map[string]bool{}, reads: map[string]bool{}}
	var roots []reached
	switch root := q.doc["root"].(type) {
	case string:
		roots = w.named([]any{root})
	case []any:
		roots = w.named(root)
	case map[string]any:
		types := []string{root["type"].(string)}
		if types[0] == "Object" {
			types = nil
			for t := range m.ofType {
				types = append(types, t)
			}
		}
		for _, t := range types {
			for _, o := range m.ofType[t] {
				if w.mayRead(o.id) {
					roots = append(roots, reached{object: o})
				}
			}
		}
		roots = window(roots, root)
	}
	for _, r := range roots {
		w.result.objects[r.object.id] = r.object
		w.result.roots = append(w.result.roots, r.object.id)
		w.steps(r.object.id, q.doc, "")
	}
	return w.result
}

type walker struct {
	m      *model
	p      principal
	result *result
	seen   map[string]bool // steps followed, by object
	reads  map[string]bool
}

// reached is an object, and the edge that led to it.
type reached struct{ object, edge *entity }

func (w *walker) mayRead(id string) bool {
	r, known := w.reads[id]
	if !known {
		r = w.m.holds(w.p, id, "read")
		w.reads[id] = r
	}
	return r
}

func (w *walker) named(ids []any) (out []reached) {
	for _, id := range ids {
		if o := w.m.objects[id.(string)]; o != nil && w.mayRead(o.id) {
			out = append(out, reached{object: o})
		}
	}
	return out
}

// steps follows all edges that a node of the query names. at names the node.
func (w *walker) steps(from string, node map[string]any, at string) {
	for _, dir := range []string{"out", "in"} {
		labels, _ := node[dir].(map[string]any)
		for label, s := range labels {
			w.follow(from, dir, label, s.(map[string]any), at+"/"+dir+"/"+label)
		}
	}
}

// follow takes one step. Of repeats the queries have none or all: `true`.
func (w *walker) follow(from, dir, label string, s map[string]any, at string) {
	if w.seen[from+at] {
		return
	}
	w.seen[from+at] = true
	edges, far := w.m.out[from], "to"
	if dir == "in" {
		edges, far = w.m.in[from], "from"
	}
	var list []reached
	for _, e := range edges {
		if o := w.m.objects[e.str(far)]; e.str("label") == label && o != nil && w.mayRead(o.id) {
			list = append(list, reached{o, e})
		}
	}
	for _, r := range window(list, s) {
		w.result.objects[r.object.id], w.result.edges[r.edge.id] = r.object, r.edge
		w.steps(r.object.id, s, at)
		if s["repeat"] == true {
			w.follow(r.object.id, dir, label, s, at)
		}
	}
}

// window filters, sorts and cuts a list. The queries test for equality alone.
func window(list []reached, s map[string]any) []reached {
	where, _ := s["where"].(map[string]any)
	list = slices.DeleteFunc(list, func(r reached) bool {
		for k, want := range where {
			if have, ok := r.object.body()[k]; !ok || !plain.Equal(have, want) {
				return true
			}
		}
		return false
	})
	order, _ := s["order"].([]any)
	slices.SortFunc(list, func(a, b reached) int {
		for _, o := range order {
			path, down := strings.CutPrefix(o.(string), "-")
			c := compare(value(a, path), value(b, path))
			if down {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return strings.Compare(a.object.id, b.object.id)
	})
	if limit, ok := s["limit"].(json.Number); ok {
		if n, _ := limit.Int64(); int(n) < len(list) {
			list = list[:n]
		}
	}
	return list
}

func value(r reached, path string) any {
	v, _ := plain.At(r.object.doc, path)
	return v
}

// compare orders what the queries order by: nothing before numbers.
func compare(a, b any) int {
	x, ok1 := rat(a)
	y, ok2 := rat(b)
	switch {
	case ok1 && ok2:
		return x.Cmp(y)
	case ok1:
		return 1
	case ok2:
		return -1
	}
	return 0
}

func rat(v any) (*big.Rat, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetString(n.String())
}
