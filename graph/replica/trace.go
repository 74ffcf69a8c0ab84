package replica

import "github.com/graphtide/graphtide/graph"

// Trace is what an evaluation leaves behind so that it can be gone on with when
// edges are added, without walking again what it has walked. It belongs to one
// goroutine.
type Trace struct {
	seen  map[visit]int
	steps []*graph.Step // of the whole projection
	lim   graph.Limits
	plain bool
}

// EvaluateTrace is EvaluateAs, with a Trace of it.
func EvaluateTrace(src Source, mayRead func(graph.ObjectID) bool, types Types, proj *graph.Projection, lim graph.Limits) (*Result, *Trace, *graph.Error) {
	w := &walk{src: src, mayRead: func(o *graph.Object, _ *graph.Edge) bool { return mayRead(o.ID) }}
	res, err := w.run(types, proj, lim)
	if err != nil {
		return nil, nil, err
	}
	t := &Trace{seen: w.seen, lim: w.lim, plain: proj.Type == nil || !windowed(&proj.Type.List)}
	t.gather(&proj.Node)
	return res, t, nil
}

func (t *Trace) gather(n *graph.Node) {
	for _, s := range n.Steps {
		t.steps = append(t.steps, s)
		t.plain = t.plain && !windowed(&s.List)
		t.gather(&s.Node)
	}
}

func windowed(l *graph.List) bool { return l.Limit > 0 || l.After != nil }

// Plain reports whether no list of the projection has a window. Then more edges
// show more, and never less: Add gives all that they change.
func (t *Trace) Plain() bool { return t.plain }

// Leaf reports whether nothing was to be followed from the object: what it is
// shown with does not hang on it.
func (t *Trace) Leaf(id graph.ObjectID) bool {
	for _, s := range t.steps {
		if _, ok := t.seen[visit{id, s}]; ok {
			return false
		}
	}
	return true
}

// Add goes on from edges that the state has got since, and gives what they add
// to the result; part of it may have been there before. src is the state with
// the edges, of which nothing else that the projection asks for has changed. It
// is for a Plain trace alone.
func (t *Trace) Add(src Source, mayRead func(graph.ObjectID) bool, edges []*graph.Edge) (*Result, *graph.Error) {
	w := &walk{src: src, mayRead: func(o *graph.Object, _ *graph.Edge) bool { return mayRead(o.ID) }, lim: t.lim, seen: t.seen, bound: t.lim.ViewEntities}
	for _, e := range edges {
		for _, s := range t.steps {
			near, far := e.From, e.To
			if s.In {
				near, far = far, near
			}
			levels, followed := t.seen[visit{near, s}]
			if s.Label != e.Label || !followed {
				continue
			}
			if o := src.Object(far); o != nil && w.mayRead(o, nil) && w.list.filter.Matches(s.Where, o, e) {
				w.reached(task{visit{near, s}, levels}, member{o, e})
			}
		}
	}
	return w.finish()
}
