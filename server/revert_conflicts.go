package server

import (
	"context"
	"errors"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// judgeBack judges what the write path cannot: an object comes back for who
// could write it when it was deleted, and its removal must not take edges with
// it that others have made since. What changes an access is judged here too, so
// that no conflict shows it to who may not manage the object.
func (p *revertPlan) judgeBack(ctx context.Context, back, managed []graph.Ref) (conflicts []graph.Conflict, err error) {
	var refusal *graph.Error
	err = p.j.ask(ctx, func(r graph.Reader) {
		conflicts, refusal = nil, nil
		for _, ref := range p.refs {
			id := graph.ObjectID(ref.ID)
			if ref.Kind != graph.KindObject {
				continue
			}
			right := ""
			switch {
			case slices.Contains(back, ref):
				right = access.Write
			case slices.Contains(managed, ref):
				right = access.Manage
			}
			if right != "" && !p.c.p.Admin && !access.Direct(r, p.c.p, id, right) && refusal == nil {
				refusal = graph.Errf(graph.CodeForbidden, "you may read this, but need the right %q", right).At(ref.Pointer())
				refusal.Right = right
			}
			if p.gone[ref] {
				conflicts = append(conflicts, p.edgesSince(r, id)...)
			}
		}
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	return conflicts, err
}

// endsLost gives the ends of edges about to come back that have been deleted
// since, and do not come back with them; and the edges of which the undo itself
// takes an end away, for others had made them.
func (p *revertPlan) endsLost(ctx context.Context, back []graph.Ref) ([]graph.Conflict, error) {
	var lost []graph.Ref
	var out []graph.Conflict
	err := p.c.rep.Read(ctx, func(st *replica.State) {
		lost, out = nil, nil
		for _, ref := range back {
			e := p.last[ref].Edge
			if e == nil {
				continue
			}
			if p.gone[graph.ObjectRef(e.From)] || p.gone[graph.ObjectRef(e.To)] {
				out = append(out, graph.Conflict{Path: ref.Pointer(), Version: e.Meta.CreatedVersion})
			}
			for _, id := range []graph.ObjectID{e.From, e.To} {
				end := graph.ObjectRef(id)
				if st.Object(id) == nil && !slices.Contains(back, end) && !slices.Contains(lost, end) && !p.blocked[end] { // its own conflicts are told
					lost = append(lost, end)
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, end := range lost {
		snap, err := p.s.Store.EntityAt(ctx, p.c.rep.Key(), end, p.c.rep.Head().Version)
		if err != nil {
			return nil, hideEntity(err, end)
		}
		out = append(out, graph.Conflict{Path: end.Pointer(), Version: snap.At})
	}
	return out, nil
}

// edgesSince gives the edges of an object about to go that the undo does not
// remove itself.
func (p *revertPlan) edgesSince(r graph.Reader, id graph.ObjectID) (out []graph.Conflict) {
	note := func(e *graph.Edge) bool {
		if ref := graph.EdgeRef(e.ID); !p.gone[ref] {
			out = append(out, p.linked(r, id, e))
		}
		return true
	}
	r.Out(id, "", note)
	r.In(id, "", note)
	return out
}

// linked is the conflict with an edge of an object that others have made since.
// Who may not read it is told of the object.
func (p *revertPlan) linked(r graph.Reader, id graph.ObjectID, e *graph.Edge) graph.Conflict {
	c := graph.Conflict{Path: graph.ObjectRef(id).Pointer(), Version: e.Meta.CreatedVersion}
	if p.c.p.Admin || readableEdge(r, p.c.p, e) {
		c.Path = graph.EdgeRef(e.ID).Pointer()
	}
	return c
}

// inTheWay explains that an edge cannot come back because others have filled its
// place since, or have made the same: they are not asked to make room, as for a
// new edge.
func (p *revertPlan) inTheWay(ctx context.Context, full error) error {
	var refusal *graph.Error
	if !errors.As(full, &refusal) {
		return full
	}
	same := refusal.Code == graph.CodeEdgeExists
	var conflicts []graph.Conflict
	err := p.j.ask(ctx, func(r graph.Reader) {
		conflicts = nil
		for _, ref := range p.refs {
			back := p.last[ref].Edge
			if back == nil || ref.Pointer() != refusal.Path {
				continue
			}
			id, walk := back.From, r.Out
			if refusal.Side == "to" {
				id, walk = back.To, r.In
			}
			walk(id, back.Label, func(e *graph.Edge) bool {
				if !p.gone[graph.EdgeRef(e.ID)] && e.Meta.CreatedVersion > p.undo[0] && (!same || e.To == back.To) {
					conflicts = append(conflicts, p.linked(r, id, e))
				}
				return true
			})
		}
	})
	if err != nil {
		return err
	}
	if len(conflicts) == 0 {
		return full
	}
	return conflicting(conflicts)
}

// conflicting is the refusal that names what has been changed since.
func conflicting(conflicts []graph.Conflict) *graph.Error {
	e := graph.Errf(graph.CodeUndoConflict, "what is to be undone has been changed since")
	e.Conflicts = conflicts
	return e
}
