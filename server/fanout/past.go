package fanout

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// past is the state before a stretch of the log, found again from the state
// after it and from what the stretch touched, as it was before. It lives as long
// as the state after it.
type past struct {
	now     replica.Source
	objects map[graph.ObjectID]*graph.Object // touched since; nil: did not exist
	edges   map[graph.EdgeID]*graph.Edge
	out, in map[graph.ObjectID][]*graph.Edge // of the touched edges, those that existed
	types   map[string][]*graph.Object       // of the touched objects, those that existed
}

func newPast(now replica.Source) *past {
	return &past{
		now: now, objects: map[graph.ObjectID]*graph.Object{}, edges: map[graph.EdgeID]*graph.Edge{},
		out: map[graph.ObjectID][]*graph.Edge{}, in: map[graph.ObjectID][]*graph.Edge{}, types: map[string][]*graph.Object{},
	}
}

// over gives the same for another state after the stretch.
func (p *past) over(now replica.Source) *past {
	q := *p
	q.now = now
	return &q
}

// before undoes the commits, which are those that led to now, oldest first.
func before(now replica.Source, commits []*graph.Commit) *past {
	p := newPast(now)
	for _, c := range commits {
		for i := range c.Changes {
			p.undo(&c.Changes[i])
		}
	}
	return p
}

// undo takes the first change of each entity: what was before it is the past.
func (p *past) undo(ch *graph.Change) {
	if sabotage.On(sabotage.StaleBeforeImage) {
		delete(p.objects, graph.ObjectID(ch.Ref.ID))
	}
	p.put(ch.Ref, ch.ObjBefore, ch.EdgeBefore)
}

// put notes what an entity was, unless it is known already.
func (p *past) put(ref graph.Ref, o *graph.Object, e *graph.Edge) {
	if ref.Kind == graph.KindObject {
		id := graph.ObjectID(ref.ID)
		if _, done := p.objects[id]; done {
			return
		}
		p.objects[id] = o
		if o != nil {
			p.types[o.Type] = append(p.types[o.Type], o)
		}
		return
	}
	id := graph.EdgeID(ref.ID)
	if _, done := p.edges[id]; done {
		return
	}
	p.edges[id] = e
	if e != nil {
		p.out[e.From] = append(p.out[e.From], e)
		p.in[e.To] = append(p.in[e.To], e)
	}
}

func (p *past) Object(id graph.ObjectID) *graph.Object {
	if o, touched := p.objects[id]; touched {
		return o
	}
	return p.now.Object(id)
}

func (p *past) Edge(id graph.EdgeID) *graph.Edge {
	if e, touched := p.edges[id]; touched {
		return e
	}
	return p.now.Edge(id)
}

func (p *past) Between(label string, from, to graph.ObjectID) *graph.Edge {
	if e := p.now.Between(label, from, to); e != nil {
		if _, touched := p.edges[e.ID]; !touched {
			return e
		}
	}
	for _, e := range p.out[from] {
		if e.Label == label && e.To == to {
			return e
		}
	}
	return nil
}

func (p *past) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	p.walk(p.now.Out, p.out[id], id, label, yield)
}

func (p *past) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	p.walk(p.now.In, p.in[id], id, label, yield)
}

type edgeWalk = func(graph.ObjectID, string, func(*graph.Edge) bool)

func (p *past) walk(now edgeWalk, then []*graph.Edge, id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	more := true
	now(id, label, func(e *graph.Edge) bool {
		if _, touched := p.edges[e.ID]; !touched {
			more = yield(e)
		}
		return more
	})
	for _, e := range then {
		if more && (label == "" || e.Label == label) {
			more = yield(e)
		}
	}
}

func (p *past) CountOut(id graph.ObjectID, label string) int {
	return p.now.CountOut(id, label) - p.touched(p.now.Out, id, label) + countLabel(p.out[id], label)
}

func (p *past) CountIn(id graph.ObjectID, label string) int {
	return p.now.CountIn(id, label) - p.touched(p.now.In, id, label) + countLabel(p.in[id], label)
}

func (p *past) touched(now edgeWalk, id graph.ObjectID, label string) (n int) {
	now(id, label, func(e *graph.Edge) bool {
		if _, touched := p.edges[e.ID]; touched {
			n++
		}
		return true
	})
	return n
}

func countLabel(edges []*graph.Edge, label string) (n int) {
	for _, e := range edges {
		if label == "" || e.Label == label {
			n++
		}
	}
	return n
}

func (p *past) OfType(typ string, yield func(*graph.Object) bool) {
	more := true
	p.now.OfType(typ, func(o *graph.Object) bool {
		if _, touched := p.objects[o.ID]; !touched {
			more = yield(o)
		}
		return more
	})
	for _, o := range p.types[typ] {
		if more {
			more = yield(o)
		}
	}
}
