package pipeline

import (
	"context"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// lockedReader reads the replica under its lock one call at a time, and loads
// what the replica does not hold. What two calls give may belong to two
// versions; the facets tell when that matters. After err nothing that it gave
// counts.
type lockedReader struct {
	rep *replica.Replica
	ctx context.Context
	err error // the first fault of a load
}

func (l *lockedReader) read(fn func(*replica.State)) {
	if l.err == nil {
		l.err = l.rep.Read(l.ctx, fn)
	}
}

func (l *lockedReader) Object(id graph.ObjectID) (o *graph.Object) {
	l.read(func(st *replica.State) { o = st.Object(id) })
	return o
}

func (l *lockedReader) Edge(id graph.EdgeID) (e *graph.Edge) {
	l.read(func(st *replica.State) { e = st.Edge(id) })
	return e
}

func (l *lockedReader) Between(label string, from, to graph.ObjectID) (e *graph.Edge) {
	l.read(func(st *replica.State) { e = st.Between(label, from, to) })
	return e
}

func (l *lockedReader) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	var edges []*graph.Edge
	l.read(func(st *replica.State) {
		edges = edges[:0]
		st.Out(id, label, func(e *graph.Edge) bool { edges = append(edges, e); return true })
	})
	each(edges, yield)
}

func (l *lockedReader) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	var edges []*graph.Edge
	l.read(func(st *replica.State) {
		edges = edges[:0]
		st.In(id, label, func(e *graph.Edge) bool { edges = append(edges, e); return true })
	})
	each(edges, yield)
}

func (l *lockedReader) CountOut(id graph.ObjectID, label string) (n int) {
	l.read(func(st *replica.State) { n = st.CountOut(id, label) })
	return n
}

func (l *lockedReader) CountIn(id graph.ObjectID, label string) (n int) {
	l.read(func(st *replica.State) { n = st.CountIn(id, label) })
	return n
}

// each yields outside the lock: a walker asks further questions from inside.
func each(edges []*graph.Edge, yield func(*graph.Edge) bool) {
	for _, e := range edges {
		if !yield(e) {
			return
		}
	}
}
