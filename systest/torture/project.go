package torture

import (
	"encoding/json"
	"fmt"
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
		for label, raw := range labels {
			s := raw.(map[string]any)
			repeat := toInt(s["repeat"])
			if s["repeat"] == true {
				repeat = endless
			}
			w.follow(from, dir, label, s, at+"/"+dir+"/"+label, repeat)
		}
	}
}

// endless is `repeat: true`.
const endless = -1

// follow takes one step, and repeats it so many levels more.
func (w *walker) follow(from, dir, label string, s map[string]any, at string, repeat int) {
	seen := fmt.Sprint(from, at, " ", repeat)
	if w.seen[seen] {
		return
	}
	w.seen[seen] = true
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
		switch {
		case repeat == endless:
			w.follow(r.object.id, dir, label, s, at, endless)
		case repeat > 0:
			w.follow(r.object.id, dir, label, s, at, repeat-1)
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
	places := map[*entity]place{}
	for _, r := range list {
		p := place{id: r.object.id}
		for _, o := range order {
			path, _ := strings.CutPrefix(o.(string), "-")
			p.values = append(p.values, value(r, path))
		}
		places[r.object] = p
	}
	slices.SortFunc(list, func(a, b reached) int { return places[a.object].compare(places[b.object], order) })
	if after, ok := s["after"].(map[string]any); ok {
		values, _ := after["values"].([]any)
		from := place{values, text(after["id"])}
		list = slices.DeleteFunc(list, func(r reached) bool { return places[r.object].compare(from, order) <= 0 })
	}
	if limit, ok := s["limit"].(json.Number); ok {
		if n, _ := limit.Int64(); int(n) < len(list) {
			list = list[:n]
		}
	}
	return list
}

// place is where something stands in an ordered list.
type place struct {
	values []any
	id     string
}

func (p place) compare(q place, order []any) int {
	for i, o := range order {
		c := compare(p.values[i], q.values[i])
		if strings.HasPrefix(o.(string), "-") {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return strings.Compare(p.id, q.id)
}

// missing is the value of what is not there.
type missing struct{}

func value(r reached, path string) any {
	doc := r.object.doc
	if of, ok := strings.CutPrefix(path, "edge:"); ok {
		doc, path = r.edge.doc, of
	}
	v, ok := plain.At(doc, path)
	if !ok {
		return missing{}
	}
	return v
}

// rank gives the place of a value's kind among the others: missing, null, false,
// true, numbers, strings, and anything else.
func rank(v any) int {
	switch v := v.(type) {
	case missing:
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

// compare orders two values. UTF-8 sorts as code points do.
func compare(a, b any) int {
	if c := rank(a) - rank(b); c != 0 {
		return c
	}
	switch a := a.(type) {
	case json.Number:
		x, _ := new(big.Rat).SetString(a.String())
		y, _ := new(big.Rat).SetString(b.(json.Number).String())
		return x.Cmp(y)
	case string:
		return strings.Compare(a, b.(string))
	}
	return 0
}
