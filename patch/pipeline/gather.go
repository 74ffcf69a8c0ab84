package pipeline

import (
	"context"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// gather brings what a request names, and what rights on it are inherited from,
// into a replica that holds a part of its graph: one load for each step of the way,
// where the stages, which ask for one thing after the other, would wait for one
// load each. What it brought stays until the Reading is ended. It judges nothing;
// what it does not bring, for a fault of the store or because the stages want still
// more, they load themselves.
//
// A single operation names next to nothing: nil is given then.
func gather(ctx context.Context, rep *replica.Replica, req *request) *replica.Reading {
	if len(req.ops) < 2 {
		return nil
	}
	reading := rep.Begin()
	for range gatherSteps {
		if reading.Try(func(st *replica.State) { req.lookUp(st) }) {
			return reading
		}
		if reading.Load(ctx) != nil {
			return reading
		}
	}
	return reading
}

// gatherSteps bounds the loads: the entities, an edge's ends, and what these
// inherit from.
const gatherSteps = access.MaxInherit + 2

// lookUp asks for what the stages are going to ask for.
func (req *request) lookUp(r graph.Reader) {
	rights := access.NewWalker(r, &req.m.Author, nil)
	holds := func(id graph.ObjectID, right string) {
		if r.Object(id) != nil && !req.m.Author.Admin {
			rights.Holds(id, right)
		}
	}
	made := make(map[graph.ObjectID]bool)
	for i := range req.ops {
		o := &req.ops[i]
		switch {
		case o.lost != nil:
			if o.adds(graph.KindObject) {
				made[o.ref.ID] = true
			}
		case o.object != nil:
			made[o.ref.ID] = true
			r.Object(o.ref.ID) // that there is none yet
		case o.edge != nil:
			r.Edge(o.ref.ID)
			for _, end := range []graph.ObjectID{o.edge.from, o.edge.to} {
				if !made[end] {
					holds(end, access.Write)
				}
			}
		case o.ref.Kind == graph.KindEdge:
			if e := r.Edge(o.ref.ID); e != nil {
				holds(e.From, access.Write)
				holds(e.To, access.Read)
			}
		case !made[o.ref.ID]:
			holds(o.ref.ID, neededRight(o))
		}
	}
}
