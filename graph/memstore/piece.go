package memstore

import (
	"context"

	"github.com/graphtide/graphtide/graph"
)

// Piece reads parts of the present state.
func (s *Store) Piece(_ context.Context, key graph.GraphKey, want *graph.Want) (*graph.Piece, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	ids := map[graph.ObjectID]bool{}
	for _, id := range want.Objects {
		ids[id] = true
	}
	types := map[string]bool{}
	for _, t := range want.Types {
		types[t] = true
	}
	in := map[graph.Arriving]bool{}
	for _, a := range want.In {
		in[a] = true
	}
	byID := map[graph.EdgeID]bool{}
	for _, id := range want.Edges {
		byID[id] = true
	}
	arrives := func(e *graph.Edge) bool {
		return in[graph.Arriving{To: e.To, Label: e.Label}] || in[graph.Arriving{To: e.To}]
	}
	for _, r := range g.rows {
		switch {
		case r.deleted:
		case r.obj != nil:
			if types[r.obj.Type] {
				ids[r.obj.ID] = true
			}
		case arrives(r.edge), byID[r.edge.ID]:
			ids[r.edge.From] = true
		}
	}
	out := &graph.Piece{Head: g.head}
	for _, r := range g.rows {
		switch {
		case r.deleted:
		case r.obj != nil:
			if ids[r.obj.ID] {
				out.Objects = append(out.Objects, r.obj)
			}
		case ids[r.edge.From]:
			out.Edges = append(out.Edges, r.edge)
		}
	}
	return out, nil
}

// Befores gives the states that entities had right before a version.
func (s *Store) Befores(_ context.Context, key graph.GraphKey, asked []graph.RefVersion) ([]graph.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	out := make([]graph.Snapshot, len(asked))
	for i, a := range asked {
		p, ok := g.pastOf(a.Ref, a.Version-1)
		if !ok {
			if err := g.lost(a.Ref, a.Version-1); err != nil {
				return nil, err
			}
			continue
		}
		if !p.deleted {
			out[i] = graph.Snapshot{Object: p.obj, Edge: p.edge, At: p.version}
		}
	}
	return out, nil
}

// Types gives the types of objects that are there or were once.
func (s *Store) Types(_ context.Context, key graph.GraphKey, ids []graph.ObjectID) (map[graph.ObjectID]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	out := make(map[graph.ObjectID]string, len(ids))
	for _, id := range ids {
		if r, ok := g.rows[graph.ObjectRef(id)]; ok && r.obj != nil {
			out[id] = r.obj.Type
		}
	}
	return out, nil
}

// Trail calls fn for everything that a stretch of the log touched.
func (s *Store) Trail(_ context.Context, key graph.GraphKey, since, until graph.Version, fn func(graph.Foot)) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return err
	}
	if since < g.floor {
		return graph.Errf(graph.CodeGone, "the log begins after version %d", g.floor)
	}
	for v := max(0, since); v < min(until, g.head.Version); v++ {
		c := g.log[v]
		for i := range c.Changes {
			fn(graph.FootOf(c.Version, &c.Changes[i]))
		}
	}
	return nil
}
