package memstore

import (
	"context"

	"github.com/graphtide/graphtide/graph"
)

// Touched gives what a stretch of the log touched, as it was before.
func (s *Store) Touched(_ context.Context, key graph.GraphKey, since, until graph.Version, bounds graph.TouchedBounds) ([]graph.Touched, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	for _, v := range []graph.Version{since, until} {
		if err := g.within(v); err != nil {
			return nil, err
		}
	}
	if since < g.floor {
		return nil, graph.Errf(graph.CodeGone, "history is kept from version %d on", g.floor)
	}
	refs := map[graph.Ref]bool{}
	for v := since; v < until; v++ {
		for i := range g.log[v].Changes {
			refs[g.log[v].Changes[i].Ref] = true
		}
	}
	if len(refs) > bounds.Entities {
		return nil, graph.TooLarge("entities", int64(bounds.Entities), "entities were touched")
	}
	out, bytes := make([]graph.Touched, 0, len(refs)), 0
	for ref := range refs {
		t := graph.Touched{Ref: ref}
		before, known := g.pastOf(ref, since)
		switch {
		case !known:
			if err := g.lost(ref, since); err != nil {
				return nil, err
			}
		case !before.deleted:
			t.Object, t.Edge = before.obj, before.edge
			if bytes += len(before.body()); bytes > bounds.Bytes {
				return nil, graph.TooLarge("bytes", int64(bounds.Bytes), "bytes were touched")
			}
		}
		if last, _ := g.pastOf(ref, until); last.deleted {
			gone := last.snapshot()
			if gone.Object != nil {
				bare := *gone.Object
				bare.Body = nil
				gone.Object = &bare
			} else {
				bare := *gone.Edge
				bare.Body = nil
				gone.Edge = &bare
			}
			t.Gone = &gone
		}
		out = append(out, t)
	}
	return out, nil
}

func (r row) body() []byte {
	if r.obj != nil {
		return r.obj.Body
	}
	return r.edge.Body
}
