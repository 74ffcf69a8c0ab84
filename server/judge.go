package server

import (
	"context"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// judge says what of the past a caller may see: by today's rights, and what has
// been deleted since by the rights that it had last. It is for one request.
type judge struct {
	s      *Server
	c      *call
	ghosts map[graph.ObjectID]ghost
}

// ghost is a deleted object's last state, with the edges that left it when it
// was deleted: an access that inherits needs them. obj is nil for an id that
// never was.
type ghost struct {
	obj *graph.Object
	out []*graph.Edge
}

func (s *Server) judge(c *call) *judge {
	return &judge{s: s, c: c, ghosts: map[graph.ObjectID]ghost{}}
}

// ask calls fn with today's state and the ghosts in one. fn must only read, and
// may be called several times: where it meets an object that is gone, the ghost
// is fetched, outside the replica's lock, and fn is called again.
func (j *judge) ask(ctx context.Context, fn func(graph.Reader)) error {
	for {
		var missing []graph.ObjectID
		var at graph.Version
		err := j.c.rep.Read(ctx, func(st *replica.State) {
			missing, at = nil, st.Head().Version
			fn(&haunted{Reader: st, ghosts: j.ghosts, missing: &missing})
		})
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			return nil
		}
		for _, id := range missing {
			if _, ok := j.ghosts[id]; ok {
				continue
			}
			g, err := j.summon(ctx, id, at)
			if err != nil {
				return err
			}
			j.ghosts[id] = g
		}
	}
}

// summon reads a deleted object from history.
func (j *judge) summon(ctx context.Context, id graph.ObjectID, at graph.Version) (ghost, error) {
	key := j.c.rep.Key()
	snap, err := j.s.Store.EntityAt(ctx, key, graph.ObjectRef(id), at)
	if err != nil {
		if graph.CodeOf(err) == graph.CodeNotFound {
			return ghost{}, nil
		}
		return ghost{}, err
	}
	if !snap.Deleted || snap.Object == nil {
		return ghost{}, nil
	}
	g := ghost{obj: snap.Object}
	if !inherits(snap.Object) {
		return g, nil
	}
	commits, err := j.s.Store.Log(ctx, key, snap.At-1, 1)
	if err != nil {
		return ghost{}, err
	}
	for _, c := range commits {
		g.out = edgesRemoved(c, id)
	}
	return g, nil
}

// remember takes the ghosts that the commits themselves tell of.
func (j *judge) remember(commits []*graph.Commit) {
	for _, c := range commits {
		for i := range c.Changes {
			if ch := &c.Changes[i]; ch.Event == graph.Deleted && ch.ObjBefore != nil {
				j.ghosts[ch.ObjBefore.ID] = ghost{obj: ch.ObjBefore, out: edgesRemoved(c, ch.ObjBefore.ID)}
			}
		}
	}
}

// edgesRemoved gives the edges of an object that went in the commit that
// deleted it.
func edgesRemoved(c *graph.Commit, id graph.ObjectID) []*graph.Edge {
	var out []*graph.Edge
	for i := range c.Changes {
		if ch := &c.Changes[i]; ch.Event == graph.Deleted && ch.EdgeBefore != nil && ch.EdgeBefore.From == id {
			out = append(out, ch.EdgeBefore)
		}
	}
	return out
}

func inherits(o *graph.Object) bool {
	for _, h := range o.Access.Rights {
		if len(h.Inherit) > 0 {
			return true
		}
	}
	return false
}

// seen is what a caller may do with an entity.
type seen struct{ read, manage bool }

// entity judges an entity; e is the edge, as of any time, where it is one.
func (j *judge) entity(r graph.Reader, ref graph.Ref, e *graph.Edge) seen {
	if ref.Kind == graph.KindEdge {
		return seen{read: e != nil && readableEdge(r, j.c.p, e)}
	}
	id := graph.ObjectID(ref.ID)
	read := access.Direct(r, j.c.p, id, access.Read)
	return seen{read: read, manage: read && access.Direct(r, j.c.p, id, access.Manage)}
}

// haunted is a state with the deleted objects still there.
type haunted struct {
	graph.Reader
	ghosts  map[graph.ObjectID]ghost
	missing *[]graph.ObjectID
}

// Object gives the present object, else its ghost.
func (h *haunted) Object(id graph.ObjectID) *graph.Object {
	if o := h.Reader.Object(id); o != nil {
		return o
	}
	g, ok := h.ghosts[id]
	if !ok {
		*h.missing = append(*h.missing, id)
	}
	return g.obj
}

// Out gives the present edges, else those that left the ghost.
func (h *haunted) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	if h.Reader.Object(id) != nil {
		h.Reader.Out(id, label, yield)
		return
	}
	for _, e := range h.ghosts[id].out {
		if (label == "" || e.Label == label) && !yield(e) {
			return
		}
	}
}

// CountOut counts what Out gives.
func (h *haunted) CountOut(id graph.ObjectID, label string) int {
	n := 0
	h.Out(id, label, func(*graph.Edge) bool { n++; return true })
	return n
}
