package server

import (
	"context"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// recheck judges every entity again, by the other evaluator, before it is
// encoded. What the two disagree about is taken out of the result; it gives how
// many entities these are, for disagreed.
func recheck(r graph.Reader, p *graph.Principal, res *replica.Result) (lost int) {
	judge := access.NewJudge(r, p)
	kept := make(map[graph.ObjectID]struct{}, len(res.Objects))
	objects := res.Objects[:0:0]
	for i, o := range res.Objects {
		if judge.Holds(o.ID, access.Read) {
			kept[o.ID] = struct{}{}
			if lost > 0 {
				objects = append(objects, o)
			}
			continue
		}
		if lost == 0 {
			objects = append(objects, res.Objects[:i]...)
		}
		lost++
	}
	if lost > 0 {
		res.Objects = objects
		roots := make([]graph.ObjectID, 0, len(res.Roots))
		for _, id := range res.Roots {
			if _, ok := kept[id]; ok {
				roots = append(roots, id)
			}
		}
		res.Roots = roots
	}
	// The ends of an edge are shown with it, or may be read at least.
	readable := func(id graph.ObjectID) bool {
		_, ok := kept[id]
		return ok || judge.Holds(id, access.Read)
	}
	var from, to graph.ObjectID // ends of the edge before: those of a list share one
	edges := res.Edges[:0:0]
	dropped := 0
	for i, e := range res.Edges {
		if (e.From == from || readable(e.From)) && (e.To == to || readable(e.To)) {
			from, to = e.From, e.To
			if dropped > 0 {
				edges = append(edges, e)
			}
			continue
		}
		if dropped == 0 {
			edges = append(edges, res.Edges[:i]...)
		}
		dropped++
	}
	if dropped > 0 {
		res.Edges = edges
	}
	return lost + dropped
}

// disagreed tells the operator that the two checks differ: one of them is wrong.
func (s *Server) disagreed(ctx context.Context, lost int) {
	if lost == 0 {
		return
	}
	s.metrics.disagreed.Add(float64(lost))
	s.Log.ErrorContext(ctx, "the two checks of rights disagree; what only one of them allows was held back", "entities", lost)
}
