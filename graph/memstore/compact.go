package memstore

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
)

var _ graph.Compactor = (*Store)(nil)

// Compact applies a retention policy to the history of a graph's objects: see
// graph.Compactor. Without Runs beside the store no rule has seen anything, and
// nothing goes.
func (s *Store) Compact(_ context.Context, name string, keep map[string]graph.Keep, grace time.Duration) (graph.Compacted, error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.names[name]
	if !ok {
		return graph.Compacted{}, graph.NotFound("graph")
	}
	now := time.Now()
	settled := graph.Settled{Until: now.Add(-grace), Upto: 0}
	if s.matched != nil {
		settled.Upto = min(g.head.Version-1, s.matched(g.key))
	}
	var out graph.Compacted
	for ref, history := range g.history {
		if ref.Kind != graph.KindObject || len(history) == 0 {
			continue
		}
		states := make([]graph.PastState, len(history))
		for i, p := range history {
			states[i] = graph.PastState{Version: p.version, At: g.log[p.version-1].At, Deleted: p.deleted}
		}
		n, from := keep[g.rows[ref].obj.Type].Removable(states, len(states), now, settled)
		if n > 0 {
			g.history[ref] = history[n:]
			g.floor = max(g.floor, from)
			out.Rows += int64(n)
		}
	}
	g.forget()
	out.Floor = g.floor
	return out, nil
}

// forget removes the patches of those commits below the floor that nothing in
// history needs any more.
func (g *graphState) forget() {
	needed := map[graph.Version]bool{}
	for _, history := range g.history {
		for _, p := range history {
			needed[p.version] = true
		}
	}
	for v := graph.Version(1); v <= g.floor; v++ {
		if needed[v] || g.log[v-1].Done == nil {
			continue
		}
		bare := *g.log[v-1]
		bare.Asked, bare.Done, bare.Changes = nil, nil, nil
		g.log[v-1] = &bare
	}
}
