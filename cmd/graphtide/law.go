package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/schema"
)

// lawfulness judges a state by a schema: for verify the present one, for import
// the one that an archive leads to (archive.Law).
type lawfulness struct {
	reg    *schema.Registry
	count  int
	faults []unlawful // the first of them

	types map[graph.ObjectID]string
	edges map[edgeEnd]int // how many an object has
}

// unlawful is a fault of an entity.
type unlawful struct {
	ref  graph.Ref
	text string
}

// Error says what is wrong with which entity.
func (u unlawful) Error() string { return u.text }

// edgeEnd is one side of the edges of one label.
type edgeEnd struct {
	object graph.ObjectID
	label  string
	in     bool
}

// lawOf gives the law of the active schema.
func lawOf(ctx context.Context, store graph.Store) (*lawfulness, error) {
	live := schema.NewLive(store)
	if err := live.Refresh(ctx); err != nil {
		return nil, err
	}
	return &lawfulness{reg: live.Current(), types: map[graph.ObjectID]string{}, edges: map[edgeEnd]int{}}, nil
}

// maxSpelled is how many faults are spelled out.
const maxSpelled = 100

func (l *lawfulness) fault(ref graph.Ref, format string, args ...any) {
	l.count++
	if len(l.faults) < maxSpelled {
		l.faults = append(l.faults, unlawful{ref, fmt.Sprintf(format, args...)})
	}
}

// judge judges the present state of a graph.
func (l *lawfulness) judge(ctx context.Context, store *pgstore.Store, name string) error {
	info, err := store.Graph(ctx, name)
	if err != nil {
		return err
	}
	// The objects come before the edges.
	if _, err := store.State(ctx, info.Key, func(objects []*graph.Object, edges []*graph.Edge) error {
		for _, o := range objects {
			l.object(o)
		}
		for _, e := range edges {
			l.edge(e)
		}
		return nil
	}); err != nil {
		return err
	}
	l.bounds()
	return nil
}

// Object judges an object for an import.
func (l *lawfulness) Object(o *graph.Object) error { return l.during(func() { l.object(o) }) }

// Edge judges an edge for an import.
func (l *lawfulness) Edge(e *graph.Edge) error { return l.during(func() { l.edge(e) }) }

// End judges the whole for an import.
func (l *lawfulness) End() (graph.Ref, error) {
	err := l.during(l.bounds)
	if first := (unlawful{}); errors.As(err, &first) {
		return first.ref, err
	}
	return graph.Ref{}, err
}

// during gives the first fault that a judgement finds, and how many more of its
// entity there are.
func (l *lawfulness) during(judge func()) error {
	before := len(l.faults)
	judge()
	found := l.faults[before:]
	if len(found) == 0 {
		return nil
	}
	first := found[0]
	var more []string
	for _, f := range found[1:] {
		if f.ref == first.ref {
			more = append(more, f.text)
		}
	}
	if len(more) > 0 {
		first.text += "; " + strings.Join(more, "; ")
	}
	return first
}

func (l *lawfulness) object(o *graph.Object) {
	ref := graph.ObjectRef(o.ID)
	l.types[o.ID] = o.Type
	t := l.reg.TypeOf(o.Type)
	switch {
	case t == nil:
		l.fault(ref, "object %s has the type %s, which the schema does not know", o.ID, o.Type)
		return
	case t.Abstract:
		l.fault(ref, "object %s has the abstract type %s", o.ID, o.Type)
	}
	for _, v := range t.Validate(o.Body, nil) {
		l.fault(ref, "object %s, a %s, at /body%s: %s", o.ID, o.Type, v.Path, v.Message)
	}
	for _, v := range t.CheckAccess(o.Access) {
		l.fault(ref, "object %s, a %s, at /access%s: %s", o.ID, o.Type, v.Path, v.Message)
	}
}

func (l *lawfulness) edge(e *graph.Edge) {
	ref := graph.EdgeRef(e.ID)
	from, ok := l.types[e.From]
	if !ok {
		l.fault(ref, "edge %s (%s) comes from %s, which does not exist", e.ID, e.Label, e.From)
	}
	to, ok2 := l.types[e.To]
	if !ok2 {
		l.fault(ref, "edge %s (%s) goes to %s, which does not exist", e.ID, e.Label, e.To)
	}
	if !ok || !ok2 {
		return
	}
	if out, in, err := l.reg.EdgeBetween(e.Label, from, to); err != nil {
		l.fault(ref, "edge %s: %s", e.ID, err.Message)
	} else {
		for _, v := range l.reg.CheckEdgeBody(out, in, e.Body) {
			l.fault(ref, "edge %s (%s), at /body%s: %s", e.ID, e.Label, v.Path, v.Message)
		}
	}
	l.edges[edgeEnd{e.From, e.Label, false}]++
	l.edges[edgeEnd{e.To, e.Label, true}]++
}

// bounds compares the numbers of edges with `max` and `required`.
func (l *lawfulness) bounds() {
	before := len(l.faults)
	defer func() { // the maps have no order
		slices.SortFunc(l.faults[before:], func(a, b unlawful) int { return strings.Compare(a.text, b.text) })
	}()
	for end, n := range l.edges {
		t := l.reg.TypeOf(l.types[end.object])
		if t == nil {
			continue
		}
		decl, way := t.Out[end.label], "outbound"
		if end.in {
			decl, way = t.In[end.label], "inbound"
		}
		if decl != nil && decl.Max > 0 && n > decl.Max {
			l.fault(graph.ObjectRef(end.object), "object %s has %d %s edges %s, at most %d are allowed", end.object, n, way, end.label, decl.Max)
		}
	}
	for id, name := range l.types {
		t := l.reg.TypeOf(name)
		if t == nil {
			continue
		}
		for _, decl := range t.Required {
			if l.edges[edgeEnd{id, decl.Label, false}] == 0 {
				l.fault(graph.ObjectRef(id), "object %s, a %s, lacks the required edge %s", id, name, decl.Label)
			}
		}
	}
}
